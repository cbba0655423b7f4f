"""A reader's page: entitlements and their sources, free stories and activity, with the forms of what staff can do.

The forms grant, extend, revoke, link, merge, export and erase. They call what the API calls.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

from flask import Response, request, url_for

from service.adapters.redis.staff.approvals import Approval
from service.domain.catalogue import DAY, Catalogue
from service.domain.errors import InvalidFields, ListsNotReady
from service.domain.roles import Role
from service.domain.times import write_time
from service.entrypoints.http import guards, idempotency
from service.entrypoints.http.admin.page_context import Outcome, PageContext, refusal_of, render, see_other
from service.entrypoints.http.admin.reader_summary import gives_something, summarize
from service.entrypoints.http.admin.request_inputs import (
    EXPIRIES,
    form_field,
    optional_reason,
    query_field,
    read_expiry,
    read_time,
    reader_id,
    require_confirmation,
    required_reason,
    submitted_fields,
)
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.fields import check
from service.entrypoints.responses.labels import APPROVAL_REQUESTED
from service.entrypoints.responses.readers import GrantChangeIn, GrantIn, ReaderOut, write_reader_export
from service.entrypoints.responses.stripe_objects import LinkIn, MergeIn
from service.use_cases.access.source_history import load_activity
from service.use_cases.grants.grant_changes import to_grant_request
from service.use_cases.lists.reader_lists import ReaderFilter

SIMILAR_IDS = 8
"""IDs that the page of an unknown one suggests at most."""
FIRST_ENTRIES = 30
"""Entries of the activity that the page shows at first."""


@dataclass(frozen=True, slots=True)
class RejectedForm:
    """A form that was refused: its name, why, and the fields that were filled in."""

    form: str
    problem: Problem
    fields: dict[str, str]


def register(context: PageContext) -> None:
    """Add the page and its forms."""

    @context.page("GET /reader", "viewer")
    def reader() -> Response:
        if query_field("id") is None:
            return see_other(url_for("readers"))
        at = read_time(context, "at", query_field("at"), query_field("zone"))
        name = reader_id(request.args.get("id"))
        if at is None and not is_known(context, name):
            return _render_unknown(context, name)
        return render_reader(context, name, at=at, all_entries=query_field("all") is not None)

    _register_grants(context)
    _register_merges(context)
    _register_privacy(context)

    _register_links(context)


def _reader_form(
    context: PageContext, form: str, role: Role
) -> Callable[[Callable[[str], str]], Callable[[], Response]]:
    """Add a form of a reader's page: its work gets the reader and returns a message, which the page shows then.

    If it is refused, the page shows the form open, with the reason. A grant has forms of its own.
    """

    def show_again(problem: Problem) -> Response:
        name = " ".join(filter(None, [form, form_field("grant")]))
        rejected = RejectedForm(name, problem, submitted_fields())
        reader = reader_id(form_field("id"))
        if form == "grant" and not is_known(context, reader):
            return _render_unknown(context, reader, rejected)
        return render_reader(context, reader, rejected=rejected)

    def register(work: Callable[[str], str]) -> Callable[[], Response]:
        @context.form(f"POST /reader/{form}", role, show_again)
        @wraps(work)
        def outcome() -> Outcome:
            reader = reader_id(form_field("id"))
            return work(reader), url_for("reader", id=reader)

        return outcome

    return register


def _register_grants(context: PageContext) -> None:
    grants = context.service.grant_changes

    @_reader_form(context, "grant", "granter")
    def grant(reader: str) -> str:
        now = context.now
        kind, _, what = (form_field("what") or "").partition(":")
        if kind not in ("plan", "feature"):
            raise InvalidFields([("what", "choose a plan or a feature")])
        body: dict[str, Any] = {"plan": what} if kind == "plan" else {"features": [what]}
        body |= {"until": read_expiry(context), "reason": request.form.get("reason", "")}
        wanted = to_grant_request(check(GrantIn, body), now)
        if form_field("sure") is None and not is_known(context, reader):
            raise InvalidFields([("reader", "is not known yet. Check the ID, and tick the box to grant anyway")])
        done = grants.create(reader, wanted, guards.actor(), now, named=idempotency.token())
        return APPROVAL_REQUESTED if isinstance(done, Approval) else "Access granted."

    @_reader_form(context, "extend", "granter")
    def extend(reader: str) -> str:
        now = context.now
        body = {"until": read_expiry(context), "reason": request.form.get("reason", "")}
        data = check(GrantChangeIn, body)
        done = grants.change(reader, form_field("grant") or "", data["until"], data["reason"], guards.actor(), now)
        return APPROVAL_REQUESTED if isinstance(done, Approval) else "Expiry date changed."

    @_reader_form(context, "revoke", "granter")
    def revoke(reader: str) -> str:
        reason = required_reason()
        require_confirmation("the reader can lose access at once")
        grants.revoke(reader, form_field("grant") or "", reason, guards.actor(), context.now)
        return "Grant revoked."


def _register_links(context: PageContext) -> None:
    admin = context.service.subscription_admin

    @_reader_form(context, "link", "granter")
    def link_stripe(reader: str) -> str:
        kind, target = _stripe_object()
        force = form_field("force") is not None
        linked = admin.link_to_reader(reader, **target, actor=guards.actor(), now=context.now, force=force)
        moved = " It was linked to another reader before." if linked.was not in (None, linked.reader) else ""
        return f"{kind.capitalize()} linked.{moved}"

    @_reader_form(context, "unlink", "granter")
    def unlink_stripe(reader: str) -> str:
        kind, target = _stripe_object()
        require_confirmation("the reader can lose access at once")
        reason = optional_reason()
        admin.unlink_from_reader(reader, **target, actor=guards.actor(), now=context.now, reason=reason)
        return f"Link of the {kind} removed."


def _stripe_object() -> tuple[str, dict[str, Any]]:
    """Return the kind of the object in a form, and the object as the API takes it. Raises: `InvalidFields`."""
    name = form_field("object") or ""
    kind = {"cus": "customer", "sub": "subscription"}.get(name.partition("_")[0])
    if kind is None:
        raise InvalidFields([("object", "must be a customer (cus_…) or a subscription (sub_…)")])
    return kind, check(LinkIn, {kind: name})


def _register_merges(context: PageContext) -> None:
    service = context.service

    @context.page("GET /reader/merge", "owner")
    def confirm_merge() -> Response:
        """Show both readers side by side; a merge cannot be undone."""
        reader = reader_id(query_field("id"))
        try:
            removed = reader_id(query_field("from"), "other_reader")
            if removed == reader:
                raise InvalidFields([("other_reader", "is the same reader")])
        except InvalidFields as error:
            rejected = RejectedForm("merge", refusal_of(error), request.args.to_dict())
            return render_reader(context, reader, rejected=rejected)
        return comparison(reader, removed)

    def comparison(reader: str, removed: str, problem: Problem | None = None) -> Response:
        now = context.now
        profiles = [ReaderOut.write(service.profiles.load_profile(name, None, now)) for name in (reader, removed)]
        return render("merge.html", reader=reader, removed=removed, profiles=profiles, problem=problem)

    def readers_in_form() -> tuple[str, str]:
        return reader_id(form_field("id")), reader_id(form_field("from"), "other_reader")

    @context.form("POST /reader/merge", "owner", lambda problem: comparison(*readers_in_form(), problem))
    def merge() -> Outcome:
        reader, removed = readers_in_form()
        require_confirmation("a merge can’t be undone")
        reason = form_field("reason")
        check(MergeIn, {"from": removed, "reason": reason})
        service.subscription_admin.merge_readers(reader, removed, guards.actor(), context.now, reason=reason)
        return "Readers merged. Both IDs now lead to this reader.", url_for("reader", id=reader)


def _register_privacy(context: PageContext) -> None:
    service = context.service

    @context.page("GET /reader/export", "owner")
    def export() -> Response:
        data = write_reader_export(service.export.collect(reader_id(query_field("id")), context.now))
        text = context.app.json.dumps(data, indent=2, ensure_ascii=False)
        answer = Response(text, mimetype="application/json")
        # The file name is fixed because an ID can contain any character.
        answer.headers["Content-Disposition"] = 'attachment; filename="reader.json"'
        return answer

    @_reader_form(context, "erase", "owner")
    def erase(reader: str) -> str:
        if form_field("typed") != reader:
            raise InvalidFields([("typed", "does not match this reader’s ID. Nothing was deleted")])
        reason, force = required_reason(), form_field("force") is not None
        done = service.erasure.erase(reader, reason, guards.actor(), context.now, force=force)
        count = sum(done.counts.values())
        return f"Reader erased: {count} records deleted. Only a hash of the ID is kept."


def render_reader(
    context: PageContext,
    reader: str,
    *,
    at: float | None = None,
    all_entries: bool = False,
    rejected: RejectedForm | None = None,
) -> Response:
    """Render a reader's page, now or at another time; with a rejected form still open and filled in."""
    service, now, catalogue = context.service, context.now, context.catalogue
    resolved = service.readers.resolve_merged(reader)
    complete = all_entries or at is not None
    entries = load_activity(service.readers, service.audit_log, catalogue, reader, complete=complete)
    entries = entries if at is None else [entry for entry in entries if entry.at <= at]
    profile = ReaderOut.write(service.profiles.load_profile(reader, at, now))
    erased_at = service.erased.last_erased_at(reader, resolved)
    return render(
        "reader.html",
        status=rejected.problem.status if rejected is not None else 200,
        reader=reader,
        resolved=resolved,
        profile=profile,
        summary=summarize(profile, catalogue),
        gives_something=partial(gives_something, catalogue=catalogue),
        erased_at=erased_at,
        at=write_time(at),
        is_future=at is not None and at > now,
        entries=entries if all_entries else entries[:FIRST_ENTRIES],
        hidden_entries=0 if all_entries else max(0, len(entries) - FIRST_ENTRIES),
        **_grant_choices(catalogue),
        groups={plan.id for plan in catalogue.plans.values() if plan.seats},
        tiers=list(catalogue.tiers),
        rejected=rejected,
    )


def is_known(context: PageContext, reader: str) -> bool:
    """Return whether a reader has a source, a customer, a link, a used meter or an audit record, or was merged or erased."""
    service = context.service
    profile = service.profiles.load_profile(reader, None, context.now)
    if profile.sources or profile.customers or any(meter.used for meter in profile.meters):
        return True
    resolved = service.readers.resolve_merged(reader)
    if resolved != reader or service.erased.last_erased_at(reader, resolved):
        return True
    if service.readers.list_owned_objects(reader):
        return True
    return bool(load_activity(service.readers, service.audit_log, context.catalogue, reader, complete=False))


def _render_unknown(context: PageContext, reader: str, rejected: RejectedForm | None = None) -> Response:
    """Render the page of an ID that is not known, with similar IDs; or the form to grant there, which was refused."""
    return render(
        "reader_unknown.html",
        status=rejected.problem.status if rejected is not None else 404,
        reader=reader,
        is_unknown=True,
        tiers=list(context.catalogue.tiers),
        similar=_find_similar(context, reader),
        rejected=rejected,
        **_grant_choices(context.catalogue),
    )


def _find_similar(context: PageContext, reader: str) -> list[str]:
    """Return some IDs that begin with this one, also in lower or upper case, or with all but its last characters."""
    beginnings = [reader, reader.lower(), reader.upper(), reader[:-1], reader[:-2]]
    with suppress(ListsNotReady):
        for beginning in dict.fromkeys(beginnings):
            if len(beginning) > 1:
                found, _ = context.service.reader_lists.find_readers(ReaderFilter(prefix=beginning), SIMILAR_IDS)
                if found:
                    return [one.reader for one in found]
    return []


def _grant_choices(catalogue: Catalogue) -> dict[str, Any]:
    """Return what the form to grant access offers: what `[grants]` allows."""
    allowed, longest = catalogue.grants.plans, catalogue.grants.longest
    plans = catalogue.plans.values()
    return {
        "plans": [(plan.id, plan.name) for plan in plans if allowed is None or plan.id in allowed],
        "features": list(catalogue.features) if allowed is None else [],
        "expiries": [
            (value, label)
            for value, label in EXPIRIES
            if longest is None or not (value == "never" or (value.isdigit() and int(value) * DAY > longest))
        ],
    }
