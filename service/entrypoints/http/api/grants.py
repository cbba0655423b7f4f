"""`/v1/readers/{reader}/grants`: admins give access, change its end, take it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify

from service.adapters.redis.grants.grants import GrantRequest, Grants
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.staff.approvals import Approval
from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.domain import grant_rules as granting
from service.domain.catalogue import Catalogue
from service.domain.errors import RevokedGrant, UnknownGrant
from service.domain.sources import Grant
from service.entrypoints.http import guards
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.api import approvals
from service.entrypoints.http.api.readers import path_reader
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.http.openapi_description import IDEMPOTENCY_KEY, REASON, described
from service.entrypoints.responses import encoder as encode
from service.entrypoints.responses.governance_schemas import ApprovalOut
from service.entrypoints.responses.schemas import GrantChangeIn, GrantIn, GrantOut, ReasonIn
from service.use_cases.grants.manage import Giving, WrongEnd


def wanted_of(data: dict[str, Any], catalogue: Catalogue, now: float) -> GrantRequest:
    """What loaded request data asks for. `Problem` 422 with everything that speaks against it."""
    plan, features = data.get("plan"), tuple(data.get("features") or ())
    start = int(now if data.get("from_") is None else data["from_"])
    until = None if data["until"] is None else int(data["until"])
    mistakes = granting.find_mistakes(catalogue, plan=plan, features=features, start=start, until=until, now=now)
    if mistakes:
        raise invalid(mistakes)
    return GrantRequest(plan, tuple(dict.fromkeys(features)), data["reason"], start, until)


def unfit(body: dict[str, Any], catalogue: Catalogue) -> list[tuple[str, str]]:
    """What a body, as it came, asks for and may not have; what is no plan's or feature's name its schema refuses."""
    plan, features = body.get("plan"), body.get("features")
    if not isinstance(plan, str | None) or not isinstance(features, list | None) or features == []:
        return []
    features = features or []
    return granting.find_plan_mistakes(
        catalogue, plan, tuple(name if isinstance(name, str) else "" for name in features)
    )


def blueprint(
    catalogue: Catalogue,
    readers: Readers,
    grants: Grants,
    giving: Giving,
    repeated: IdempotencyStore,
    clock: Callable[[], float],
) -> Blueprint:
    """Grants of one reader."""
    blp = Blueprint("grants", __name__)
    grant_in, change_in, reason_in = GrantIn(), GrantChangeIn(), ReasonIn()

    @blp.post("/v1/readers/<reader>/grants")
    @described(
        takes=GrantIn,
        gives={201: GrantOut, 202: ApprovalOut},
        refuses=(409,),
        parameters=(IDEMPOTENCY_KEY,),
        tag="grants",
    )
    @guards.admin("granter")
    def give_grant(reader: str) -> Response:
        """Gives a reader a plan or single features, with a reason and an end (or, written out, none)."""
        name = path_reader(reader)
        data = bodies.load(grant_in, further=lambda body: unfit(body, catalogue))

        def give() -> Response:
            now = clock()
            wanted = wanted_of(data, catalogue, now)
            given = giving.give(name, wanted, guards.actor(), now, named=repeats.token())
            if isinstance(given, Approval):
                return approvals.waits(given)
            answer = jsonify(encode.grant(given, name, now))
            answer.status_code = 201
            return answer

        return repeats.once(repeated, give)

    @blp.patch("/v1/readers/<reader>/grants/<grant>")
    @described(takes=GrantChangeIn, gives={200: GrantOut, 202: ApprovalOut}, refuses=(404, 409), tag="grants")
    @guards.admin("granter")
    def change_grant(reader: str, grant: str) -> Response:
        """Gives a grant another end."""
        name, now = path_reader(reader), clock()
        data = bodies.load(change_in)
        until = None if data["until"] is None else int(data["until"])
        return _told(name, now, lambda: giving.change(name, grant, until, data["reason"], guards.actor(), now))

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
        return _told(name, now, lambda: grants.revoke(readers.resolve_merged(name), grant, reason, guards.actor(), now))

    return blp


def _told(name: str, now: float, work: Callable[[], Grant | Approval]) -> Response:
    try:
        done = work()
        return approvals.waits(done) if isinstance(done, Approval) else jsonify(encode.grant(done, name, now))
    except WrongEnd as error:
        raise invalid(error.mistakes) from None
    except UnknownGrant:
        raise Problem(404, "This reader has no such grant.") from None
    except RevokedGrant:
        detail = "This grant was revoked, and stays so; give a new one."
        raise Problem(409, detail, kind="grant-revoked", title="The grant was revoked") from None
