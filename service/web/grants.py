"""`/v1/readers/{reader}/grants`: admins give access, change its end, take it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify

from service.paywall import granting
from service.paywall.catalogue import Catalogue
from service.store.grants import Grants, RevokedGrant, UnknownGrant, Wanted
from service.store.idempotency import Idempotency
from service.store.readers import Readers
from service.web import bodies, encode, guards, repeats
from service.web.describe import IDEMPOTENCY_KEY, REASON, described
from service.web.errors import Problem, invalid
from service.web.readers import path_reader
from service.web.schemas import GrantChangeIn, GrantIn, GrantOut, ReasonIn


def wanted_of(data: dict[str, Any], catalogue: Catalogue, now: float) -> Wanted:
    """What loaded request data asks for. `Problem` 422 with everything that speaks against it."""
    plan, features = data.get("plan"), tuple(dict.fromkeys(data.get("features") or ()))
    if (plan is None) == (not features):
        message = "give exactly one of plan and features"
        raise invalid([("plan", message), ("features", message)])
    start = int(now if data.get("from_") is None else data["from_"])
    until = None if data["until"] is None else int(data["until"])
    mistakes = granting.refusals(catalogue, plan=plan, features=features, start=start, until=until, now=now)
    if mistakes:
        raise invalid(mistakes)
    return Wanted(plan, features, data["reason"], start, until)


def blueprint(
    catalogue: Catalogue, readers: Readers, grants: Grants, repeated: Idempotency, clock: Callable[[], float]
) -> Blueprint:
    """Grants of one reader."""
    blp = Blueprint("grants", __name__)
    grant_in, change_in, reason_in = GrantIn(), GrantChangeIn(), ReasonIn()

    @blp.post("/v1/readers/<reader>/grants")
    @described(takes=GrantIn, gives={201: GrantOut}, refuses=(409,), parameters=(IDEMPOTENCY_KEY,), tag="grants")
    @guards.admin("granter")
    def give_grant(reader: str) -> Response:
        """Gives a reader a plan or single features, with a reason and an end (or, written out, none)."""
        name = path_reader(reader)
        data = bodies.load(grant_in)

        def give() -> Response:
            now = clock()
            wanted = wanted_of(data, catalogue, now)
            given = grants.give(readers.resolve(name), wanted, guards.actor(), now)
            answer = jsonify(encode.grant(given, name, now))
            answer.status_code = 201
            return answer

        return repeats.once(repeated, give)

    @blp.patch("/v1/readers/<reader>/grants/<grant>")
    @described(takes=GrantChangeIn, gives={200: GrantOut}, refuses=(404, 409), tag="grants")
    @guards.admin("granter")
    def change_grant(reader: str, grant: str) -> Response:
        """Gives a grant another end."""
        name, now = path_reader(reader), clock()
        data = bodies.load(change_in)
        until = None if data["until"] is None else int(data["until"])
        return _told(name, now, lambda: _change(name, grant, until, data["reason"], now))

    def _change(name: str, grant: str, until: int | None, reason: str, now: float) -> Any:
        target = readers.resolve(name)
        current = next((found for found in grants.of(target) if found.id == grant), None)
        if current is None:
            raise UnknownGrant
        mistakes = granting.end_refusals(catalogue, start=current.start, until=until, now=now)
        if mistakes and current.revoked_at is None:
            raise invalid(mistakes)
        return grants.change(target, grant, until, reason, guards.actor(), now)

    @blp.delete("/v1/readers/<reader>/grants/<grant>")
    @described(
        takes=ReasonIn,
        body_required=False,
        gives={200: GrantOut},
        refuses=(404,),
        parameters=(REASON,),
        tag="grants",
    )
    @guards.admin("granter")
    def revoke_grant(reader: str, grant: str) -> Response:
        """Takes a grant back, at once; one that is revoked already stays as it is."""
        name, now = path_reader(reader), clock()
        reason = bodies.reason(reason_in) or ""
        return _told(name, now, lambda: grants.revoke(readers.resolve(name), grant, reason, guards.actor(), now))

    return blp


def _told(name: str, now: float, work: Callable[[], Any]) -> Response:
    try:
        return jsonify(encode.grant(work(), name, now))
    except UnknownGrant:
        raise Problem(404, "This reader has no such grant.") from None
    except RevokedGrant:
        detail = "This grant was revoked, and stays so; give a new one."
        raise Problem(409, detail, kind="grant-revoked", title="The grant was revoked") from None
