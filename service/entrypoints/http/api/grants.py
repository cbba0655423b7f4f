"""`/v1/readers/{reader}/grants`: admins create grants, change their end, and revoke them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from service.adapters.redis.staff.approvals import Approval
from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.bootstrap import Service
from service.domain import grant_rules
from service.domain.catalogue import Catalogue
from service.domain.sources import Grant
from service.entrypoints.http import guards
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.lists import answered
from service.entrypoints.http.openapi_description import IDEMPOTENCY_KEY, REASON, described
from service.entrypoints.responses.administration import ApprovalOut, write_approval
from service.entrypoints.responses.readers import GrantChangeIn, GrantIn, GrantOut, write_grant
from service.entrypoints.responses.shared_schemas import ReasonIn
from service.entrypoints.responses.validation import reader_id
from service.use_cases.grants.manage import to_grant_request


def blueprint(service: Service, repeated: IdempotencyStore) -> Blueprint:
    """Return the routes of one reader's grants."""
    blp = Blueprint("grants", __name__)
    changes, catalogue = service.grant_changes, service.settings.catalogue
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
        """Give a reader a plan or single features, with a reason and an end (or, written out, none)."""
        name = reader_id(reader)
        data = bodies.load(grant_in, further=lambda body: _not_grantable(body, catalogue))

        def create() -> Response:
            now = service.clock()
            done = changes.create(name, to_grant_request(data, now), guards.actor(), now, named=repeats.token())
            return _answer(done, name, now, 201)

        return repeats.once(repeated, create)

    @blp.patch("/v1/readers/<reader>/grants/<grant>")
    @described(takes=GrantChangeIn, gives={200: GrantOut, 202: ApprovalOut}, refuses=(404, 409), tag="grants")
    @guards.admin("granter")
    def change_grant(reader: str, grant: str) -> Response:
        """Give a grant another end."""
        name, now = reader_id(reader), service.clock()
        data = bodies.load(change_in)
        until = None if data["until"] is None else int(data["until"])
        return _answer(changes.change(name, grant, until, data["reason"], guards.actor(), now), name, now)

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
        """Revoke a grant at once; one that is revoked already stays as it is."""
        name, now = reader_id(reader), service.clock()
        reason = bodies.reason(reason_in) or ""
        return _answer(changes.revoke(name, grant, reason, guards.actor(), now), name, now)

    return blp


def _not_grantable(body: dict[str, Any], catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return why the plan or features of a body, as it came, cannot be granted; the schema refuses what is no name."""
    plan, features = body.get("plan"), body.get("features")
    if not isinstance(plan, str | None) or not isinstance(features, list | None) or features == []:
        return []
    names = tuple(name if isinstance(name, str) else "" for name in features or ())
    return grant_rules.find_plan_mistakes(catalogue, plan, names)


def _answer(done: Grant | Approval, reader: str, now: float, status: int = 200) -> Response:
    if isinstance(done, Approval):
        return answered(write_approval(done), 202)
    return answered(write_grant(done, reader, now), status)
