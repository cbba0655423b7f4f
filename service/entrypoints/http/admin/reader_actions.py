"""The forms of a reader's page: grant, extend, revoke, link, merge, export and erase. They call what the API calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request

from service.adapters.redis.staff.approvals import Approval
from service.domain.errors import CannotMerge, RevokedGrant, UnknownGrant
from service.domain.sources import Grant
from service.entrypoints.http import idempotency
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.admin.page_context import (
    PageContext,
    current_actor,
    reader_url,
    render,
    requires,
    submit_once,
)
from service.entrypoints.http.admin.reader import RejectedForm, render_reader
from service.entrypoints.http.admin.request_inputs import (
    form_field,
    query_field,
    read_expiry,
    reader_id,
    required_reason,
    submitted_fields,
)
from service.entrypoints.http.api.grants import wanted_of
from service.entrypoints.http.api.privacy import erased
from service.entrypoints.http.api.readers import tell
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.responses.labels import APPROVAL_REQUESTED
from service.entrypoints.responses.schemas import GrantChangeIn, GrantIn
from service.entrypoints.responses.stripe_schemas import LinkIn, MergeIn
from service.use_cases.grants.manage import WrongEnd


def register(app: Flask, context: PageContext) -> None:
    """Add the forms of a reader's page."""
    _register_grants(app, context)
    _register_links(app, context)
    _register_merges(app, context)
    _register_privacy(app, context)


def _submit(context: PageContext, form: str, reader: str, work: Callable[[], str]) -> Response:
    """Do a form's work and show its message; if it is refused, render the reader's page with the form open."""
    try:
        return submit_once(context, lambda: (work(), reader_url(reader)))
    except Problem as problem:
        return render_reader(context, reader, rejected=RejectedForm(form, problem, submitted_fields()))


def _register_grants(app: Flask, context: PageContext) -> None:
    service = context.service
    catalogue, grants = service.desk.catalogue, service.giving

    @app.post("/reader/grant")
    @requires("granter")
    def grant() -> Response:
        reader = reader_id(form_field("id"))

        def work() -> str:
            now = context.now
            kind, _, what = (form_field("what") or "").partition(":")
            if kind not in ("plan", "feature"):
                raise invalid([("what", "choose a plan or a feature")])
            body: dict[str, Any] = {"plan": what} if kind == "plan" else {"features": [what]}
            body |= {"until": read_expiry(now, catalogue.zone), "reason": request.form.get("reason", "")}
            wanted = wanted_of(bodies.check(GrantIn(), body), catalogue, now)
            done = grants.give(reader, wanted, current_actor(), now, named=idempotency.token())
            return _outcome(done, "Access granted.")

        return _submit(context, "grant", reader, work)

    @app.post("/reader/extend")
    @requires("granter")
    def extend() -> Response:
        reader, name = reader_id(form_field("id")), form_field("grant") or ""

        def work() -> str:
            now = context.now
            body = {"until": read_expiry(now, catalogue.zone), "reason": request.form.get("reason", "")}
            data = bodies.check(GrantChangeIn(), body)
            until = None if data["until"] is None else int(data["until"])
            actor = current_actor()
            return _change(
                lambda: grants.change(reader, name, until, data["reason"], actor, now), "Expiry date changed."
            )

        return _submit(context, f"extend {name}", reader, work)

    @app.post("/reader/revoke")
    @requires("granter")
    def revoke() -> Response:
        reader, name = reader_id(form_field("id")), form_field("grant") or ""

        def work() -> str:
            reason, resolved = required_reason(), service.readers.resolve_merged(reader)
            return _change(
                lambda: service.grants.revoke(resolved, name, reason, current_actor(), context.now), "Grant revoked."
            )

        return _submit(context, f"revoke {name}", reader, work)


def _outcome(done: Grant | Approval, message: str) -> str:
    return APPROVAL_REQUESTED if isinstance(done, Approval) else message


def _change(work: Callable[[], Grant | Approval], message: str) -> str:
    """Change a grant and return the message to show. `Problem` 404, 409, 422."""
    try:
        return _outcome(work(), message)
    except WrongEnd as error:
        raise invalid(error.mistakes) from None
    except UnknownGrant:
        raise Problem(404, "This reader has no grant with this ID.") from None
    except RevokedGrant:
        raise Problem(409, "This grant was revoked and can’t be changed. Create a new grant.") from None


def _register_links(app: Flask, context: PageContext) -> None:
    @app.post("/reader/link")
    @requires("granter")
    def link_stripe() -> Response:
        reader = reader_id(form_field("id"))

        def work() -> str:
            name = form_field("object") or ""
            kind = {"cus": "customer", "sub": "subscription"}.get(name.partition("_")[0])
            if kind is None:
                raise invalid([("object", "must be a customer (cus_…) or a subscription (sub_…)")])
            bodies.check(LinkIn(), {kind: name})
            linked_object: dict[str, Any] = {kind: name}
            linked = context.service.stripe_admin.link(reader, **linked_object, actor=current_actor(), now=context.now)
            moved = " It was linked to another reader before." if linked.was not in (None, linked.reader) else ""
            return f"{kind.capitalize()} linked.{moved}"

        return _submit(context, "link", reader, work)


def _register_merges(app: Flask, context: PageContext) -> None:
    service = context.service

    @app.get("/reader/merge")
    @requires("owner")
    def confirm_merge() -> Response:
        """Show both readers side by side; a merge cannot be undone."""
        reader = reader_id(query_field("id"))
        try:
            removed = reader_id(query_field("from"), "from")
            if removed == reader:
                raise invalid([("from", "is the same reader")])
        except Problem as problem:
            return render_reader(context, reader, rejected=RejectedForm("merge", problem, request.args.to_dict()))
        return comparison(reader, removed)

    @app.post("/reader/merge")
    @requires("owner")
    def merge() -> Response:
        reader, removed = reader_id(form_field("id")), reader_id(form_field("from"), "from")

        def work() -> tuple[str, str]:
            if form_field("sure") is None:
                raise invalid([("sure", "tick the box to confirm; a merge can’t be undone")])
            reason = form_field("reason")
            bodies.check(MergeIn(), {"from": removed, "reason": reason})
            try:
                service.stripe_admin.merge(reader, removed, current_actor(), context.now, reason=reason)
            except CannotMerge as error:
                raise Problem(409, f"{error.why[:1].upper()}{error.why[1:]}.") from None
            return "Readers merged. Both IDs now lead to this reader.", reader_url(reader)

        try:
            return submit_once(context, work)
        except Problem as problem:
            return comparison(reader, removed, problem)

    def comparison(reader: str, removed: str, problem: Problem | None = None) -> Response:
        now = context.now
        profiles = [tell(service.profiles, name, None, now) for name in (reader, removed)]
        status = problem.status if problem is not None else 200
        return render("merge.html", status=status, reader=reader, removed=removed, profiles=profiles, problem=problem)


def _register_privacy(app: Flask, context: PageContext) -> None:
    service = context.service

    @app.get("/reader/export")
    @requires("owner")
    def export() -> Response:
        data = service.export.of(reader_id(query_field("id")), context.now)
        answer = app.response_class(app.json.dumps(data, indent=2, ensure_ascii=False), mimetype="application/json")
        # The file name is fixed because an ID can contain any character.
        answer.headers["Content-Disposition"] = 'attachment; filename="reader.json"'
        return answer

    @app.post("/reader/erase")
    @requires("owner")
    def erase() -> Response:
        reader = reader_id(form_field("id"))

        def work() -> str:
            if form_field("typed") != reader:
                raise invalid([("typed", "does not match this reader’s ID. Nothing was deleted")])
            reason, force = required_reason(), form_field("force") is not None
            try:
                done = erased(service.erasure, reader, reason, current_actor(), context.now, force)
            except Problem as live:
                subscription = live.detail.partition(":")[0]
                detail = f"{subscription}: cancel it in Stripe first, or tick the box below."
                raise Problem(live.status, detail) from None
            count = sum(done.counts.values())
            return f"Reader erased: {count} records deleted. Only a hash of the ID is kept."

        return _submit(context, "erase", reader, work)
