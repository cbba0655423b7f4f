"""What staff do to one reader: grant, extend, revoke, link, merge. Each by the very function that the API calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request, url_for

from service.adapters.redis.staff.approvals import Approval
from service.domain.errors import CannotMerge, RevokedGrant, UnknownGrant
from service.domain.sources import Grant
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.admin import time_inputs as moments
from service.entrypoints.http.admin.frame import Frame, actor, asked, form, needs, once, show
from service.entrypoints.http.admin.reader import Failed, given, link, shown, the_reader
from service.entrypoints.http.api.grants import wanted_of
from service.entrypoints.http.api.readers import tell
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.responses.schemas import GrantChangeIn, GrantIn, ReasonIn
from service.entrypoints.responses.stripe_schemas import LinkIn, MergeIn
from service.use_cases.grants.manage import WrongEnd

WAITS = "A second admin has to confirm this. It is on the list of approvals, and opens nothing until then."


def register(page: Flask, frame: Frame) -> None:
    """Adds the forms of a reader's page."""
    _grants(page, frame)
    _links(page, frame)
    _merges(page, frame)


def trying(frame: Frame, name: str, reader: str, work: Callable[[], str]) -> Response:
    """Does a form's work and says what was done; where it is refused, the reader's page again with the form open."""
    try:
        return once(frame, lambda: (work(), link(reader)))
    except Problem as problem:
        return shown(frame, reader, failed=Failed(name, problem, given()))


def _grants(page: Flask, frame: Frame) -> None:
    service = frame.service
    catalogue, giving = service.desk.catalogue, service.giving

    @page.post("/reader/grant")
    @needs("granter")
    def grant() -> Response:
        reader = the_reader(form("id"))

        def work() -> str:
            now = frame.now
            kind, _, what = (form("what") or "").partition(":")
            if kind not in ("plan", "feature"):
                raise invalid([("what", "choose what to give")])
            told: dict[str, Any] = {"plan": what} if kind == "plan" else {"features": [what]}
            told |= {"until": moments.end(now, catalogue.zone), "reason": request.form.get("reason", "")}
            wanted = wanted_of(bodies.check(GrantIn(), told), catalogue, now)
            return outcome(giving.give(reader, wanted, actor(), now, named=repeats.token()), "Access granted.")

        return trying(frame, "grant", reader, work)

    @page.post("/reader/extend")
    @needs("granter")
    def extend() -> Response:
        reader, name = the_reader(form("id")), form("grant") or ""

        def work() -> str:
            now = frame.now
            told = {"until": moments.end(now, catalogue.zone), "reason": request.form.get("reason", "")}
            data = bodies.check(GrantChangeIn(), told)
            until = None if data["until"] is None else int(data["until"])
            return changed(lambda: giving.change(reader, name, until, data["reason"], actor(), now), "End changed.")

        return trying(frame, f"extend {name}", reader, work)

    @page.post("/reader/revoke")
    @needs("granter")
    def revoke() -> Response:
        reader, name = the_reader(form("id")), form("grant") or ""

        def work() -> str:
            data = bodies.check(ReasonIn(), {"reason": request.form.get("reason", "")})
            resolved = service.readers.resolve(reader)
            return changed(
                lambda: service.grants.revoke(resolved, name, data["reason"], actor(), frame.now), "Grant revoked."
            )

        return trying(frame, f"revoke {name}", reader, work)


def outcome(done: Grant | Approval, words: str) -> str:
    """What to say of what was done, or waits for a second admin."""
    return WAITS if isinstance(done, Approval) else words


def changed(work: Callable[[], Grant | Approval], words: str) -> str:
    """Changes a grant, and gives what to say. `Problem` 404, 409, 422."""
    try:
        return outcome(work(), words)
    except WrongEnd as error:
        raise invalid(error.mistakes) from None
    except UnknownGrant:
        raise Problem(404, "This reader has no such grant.") from None
    except RevokedGrant:
        raise Problem(409, "This grant was revoked, and stays so; give a new one.") from None


def _links(page: Flask, frame: Frame) -> None:
    @page.post("/reader/link")
    @needs("granter")
    def link_stripe() -> Response:
        reader = the_reader(form("id"))

        def work() -> str:
            name = form("object") or ""
            kind = {"cus": "customer", "sub": "subscription"}.get(name.partition("_")[0])
            if kind is None:
                raise invalid([("object", "must be a customer (cus_…) or a subscription (sub_…)")])
            bodies.check(LinkIn(), {kind: name})
            more: dict[str, Any] = {kind: name}
            linked = frame.service.stripe_admin.link(reader, **more, actor=actor(), now=frame.now)
            was = " It was another reader's before." if linked.was not in (None, linked.reader) else ""
            return f"Linked: this is whose the {kind} is now.{was}"

        return trying(frame, "link", reader, work)


def _merges(page: Flask, frame: Frame) -> None:
    service = frame.service

    @page.get("/reader/merge")
    @needs("owner")
    def confirm_merge() -> Response:
        """Both readers side by side, before what cannot be undone."""
        reader = the_reader(asked("id"))
        try:
            gone = the_reader(asked("from"), "from")
            if gone == reader:
                raise invalid([("from", "is this very reader")])
        except Problem as problem:
            return shown(frame, reader, failed=Failed("merge", problem, request.args.to_dict()))
        return _compared(reader, gone)

    @page.post("/reader/merge")
    @needs("owner")
    def merge() -> Response:
        reader, gone = the_reader(form("id")), the_reader(form("from"), "from")

        def work() -> tuple[str, str]:
            if form("sure") is None:
                raise invalid([("sure", "tick the box: it cannot be undone")])
            bodies.check(MergeIn(), {"from": gone, "reason": form("reason")})
            try:
                service.stripe_admin.merge(reader, gone, actor(), frame.now, reason=form("reason"))
            except CannotMerge as error:
                raise Problem(409, f"{error.why[:1].upper()}{error.why[1:]}.") from None
            return "Merged. Both ids are answered as this reader from now on.", link(reader)

        try:
            return once(frame, work)
        except Problem as problem:
            return _compared(reader, gone, problem)

    def _compared(reader: str, gone: str, problem: Problem | None = None) -> Response:
        now = frame.now
        both = [tell(service.profiles, name, None, now) for name in (reader, gone)]
        status = problem.status if problem is not None else 200
        return show(
            "merge.html", status=status, reader=reader, gone=gone, both=both, problem=problem, back=url_for("readers")
        )
