"""The forms of a reader's page: grant, extend, revoke, link, merge, export and erase. They call what the API calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, request

from service.adapters.redis.staff.approvals import Approval
from service.domain.errors import InvalidFields
from service.domain.sources import Grant
from service.entrypoints.http import guards, idempotency
from service.entrypoints.http.admin.page_context import PageContext, reader_url, refusal_of, render, submit
from service.entrypoints.http.admin.reader import RejectedForm, render_reader
from service.entrypoints.http.admin.request_inputs import (
    form_field,
    query_field,
    read_expiry,
    reader_id,
    required_reason,
    submitted_fields,
)
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.fields import check
from service.entrypoints.responses.labels import APPROVAL_REQUESTED
from service.entrypoints.responses.readers import GrantChangeIn, GrantIn, ReaderOut, write_reader_export
from service.entrypoints.responses.stripe_objects import LinkIn, MergeIn
from service.use_cases.grants.grant_changes import to_grant_request


def register(context: PageContext) -> None:
    """Add the forms of a reader's page."""
    _register_grants(context)
    _register_links(context)
    _register_merges(context)
    _register_privacy(context)


def _submit(context: PageContext, form: str, reader: str, work: Callable[[], str]) -> Response:
    """Do a form's work and show its message; if it is refused, render the reader's page with the form open."""
    return submit(
        context,
        lambda: (work(), reader_url(reader)),
        lambda problem: render_reader(context, reader, rejected=RejectedForm(form, problem, submitted_fields())),
    )


def _register_grants(context: PageContext) -> None:
    grants, catalogue = context.service.grant_changes, context.service.settings.catalogue

    @context.page("POST /reader/grant", "granter")
    def grant() -> Response:
        reader = reader_id(form_field("id"))

        def work() -> str:
            now = context.now
            kind, _, what = (form_field("what") or "").partition(":")
            if kind not in ("plan", "feature"):
                raise InvalidFields([("what", "choose a plan or a feature")])
            body: dict[str, Any] = {"plan": what} if kind == "plan" else {"features": [what]}
            body |= {"until": read_expiry(now, catalogue.zone), "reason": request.form.get("reason", "")}
            wanted = to_grant_request(check(GrantIn, body), now)
            done = grants.create(reader, wanted, guards.actor(), now, named=idempotency.token())
            return _outcome(done, "Access granted.")

        return _submit(context, "grant", reader, work)

    @context.page("POST /reader/extend", "granter")
    def extend() -> Response:
        reader, name = reader_id(form_field("id")), form_field("grant") or ""

        def work() -> str:
            now = context.now
            body = {"until": read_expiry(now, catalogue.zone), "reason": request.form.get("reason", "")}
            data = check(GrantChangeIn, body)
            until = None if data["until"] is None else int(data["until"])
            done = grants.change(reader, name, until, data["reason"], guards.actor(), now)
            return _outcome(done, "Expiry date changed.")

        return _submit(context, f"extend {name}", reader, work)

    @context.page("POST /reader/revoke", "granter")
    def revoke() -> Response:
        reader, name = reader_id(form_field("id")), form_field("grant") or ""

        def work() -> str:
            grants.revoke(reader, name, required_reason(), guards.actor(), context.now)
            return "Grant revoked."

        return _submit(context, f"revoke {name}", reader, work)


def _outcome(done: Grant | Approval, message: str) -> str:
    return APPROVAL_REQUESTED if isinstance(done, Approval) else message


def _register_links(context: PageContext) -> None:
    @context.page("POST /reader/link", "granter")
    def link_stripe() -> Response:
        reader = reader_id(form_field("id"))

        def work() -> str:
            name = form_field("object") or ""
            kind = {"cus": "customer", "sub": "subscription"}.get(name.partition("_")[0])
            if kind is None:
                raise InvalidFields([("object", "must be a customer (cus_…) or a subscription (sub_…)")])
            check(LinkIn, {kind: name})
            linked_object: dict[str, Any] = {kind: name}
            linked = context.service.subscription_admin.link_to_reader(
                reader, **linked_object, actor=guards.actor(), now=context.now
            )
            moved = " It was linked to another reader before." if linked.was not in (None, linked.reader) else ""
            return f"{kind.capitalize()} linked.{moved}"

        return _submit(context, "link", reader, work)


def _register_merges(context: PageContext) -> None:
    service = context.service

    @context.page("GET /reader/merge", "owner")
    def confirm_merge() -> Response:
        """Show both readers side by side; a merge cannot be undone."""
        reader = reader_id(query_field("id"))
        try:
            removed = reader_id(query_field("from"), "from")
            if removed == reader:
                raise InvalidFields([("from", "is the same reader")])
        except InvalidFields as error:
            rejected = RejectedForm("merge", refusal_of(error), request.args.to_dict())
            return render_reader(context, reader, rejected=rejected)
        return comparison(reader, removed)

    @context.page("POST /reader/merge", "owner")
    def merge() -> Response:
        reader, removed = reader_id(form_field("id")), reader_id(form_field("from"), "from")

        def work() -> tuple[str, str]:
            if form_field("sure") is None:
                raise InvalidFields([("sure", "tick the box to confirm; a merge can’t be undone")])
            reason = form_field("reason")
            check(MergeIn, {"from": removed, "reason": reason})
            service.subscription_admin.merge_readers(reader, removed, guards.actor(), context.now, reason=reason)
            return "Readers merged. Both IDs now lead to this reader.", reader_url(reader)

        return submit(context, work, lambda problem: comparison(reader, removed, problem))

    def comparison(reader: str, removed: str, problem: Problem | None = None) -> Response:
        now = context.now
        profiles = [ReaderOut.write(service.profiles.load_profile(name, None, now)) for name in (reader, removed)]
        return render("merge.html", reader=reader, removed=removed, profiles=profiles, problem=problem)


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

    @context.page("POST /reader/erase", "owner")
    def erase() -> Response:
        reader = reader_id(form_field("id"))

        def work() -> str:
            if form_field("typed") != reader:
                raise InvalidFields([("typed", "does not match this reader’s ID. Nothing was deleted")])
            reason, force = required_reason(), form_field("force") is not None
            done = service.erasure.erase(reader, reason, guards.actor(), context.now, force=force)
            count = sum(done.counts.values())
            return f"Reader erased: {count} records deleted. Only a hash of the ID is kept."

        return _submit(context, "erase", reader, work)
