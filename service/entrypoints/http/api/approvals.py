"""`/v1/approvals`: what waits for a second admin; nobody confirms what they asked for themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.staff.approvals import Approval
from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.domain.errors import NoLongerPossible, OwnApproval, UnknownApproval
from service.domain.sources import Grant
from service.domain.times import write_time
from service.entrypoints.http import csv_output as csv_out
from service.entrypoints.http import guards, paging
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.api.access import private
from service.entrypoints.http.errors import Problem
from service.entrypoints.http.openapi_description import AFTER, IDEMPOTENCY_KEY, LIMIT, REASON, described
from service.entrypoints.responses import encoder as encode
from service.entrypoints.responses.governance_schemas import ApprovalOut, ApprovalsOut, NothingIn
from service.entrypoints.responses.schemas import ReasonMaybeIn
from service.use_cases.grants.approvals import Approving, Outcome

LIST = "approvals"
COLUMNS = ("approval", "state", "kind", "reader", "wants", "reason", "asked_by", "asked_at", "expires_at")


def blueprint(approving: Approving, repeated: IdempotencyStore, clock: Callable[[], float]) -> Blueprint:
    """What waits."""
    blp = Blueprint("approvals", __name__)
    nothing_in, reason_in = NothingIn(), ReasonMaybeIn()

    @blp.get("/v1/approvals")
    @described(gives={200: csv_out.or_csv(ApprovalsOut)}, parameters=(LIMIT, AFTER), tag="approvals")
    @guards.admin("viewer")
    def list_approvals() -> Response:
        """What waits for a second admin, newest first; CSV where Accept asks for text/csv."""
        page = paging.asked(LIST)
        waiting = [(_place(approval), approval) for approval in approving.approvals.list_waiting(clock())]
        chosen, following = paging.cut(LIST, waiting, page)
        found = [told_of(approval) for approval in chosen]
        if csv_out.wanted():
            return csv_out.answer(COLUMNS, found, LIST, following)
        return private(paging.listed(found, following))

    @blp.post("/v1/approvals/<approval>")
    @described(
        takes=NothingIn,
        body_required=False,
        gives={200: ApprovalOut},
        refuses=(404, 409),
        parameters=(IDEMPOTENCY_KEY,),
        tag="approvals",
    )
    @guards.admin("granter")
    def confirm_approval(approval: str) -> Response:
        """Confirms what another admin asked for, and does it."""
        bodies.load(nothing_in, optional=True)
        return repeats.once(repeated, lambda: jsonify(confirmed(approving, approval, guards.actor(), clock())))

    @blp.delete("/v1/approvals/<approval>")
    @described(
        takes=ReasonMaybeIn,
        body_required=False,
        gives={200: ApprovalOut},
        refuses=(404,),
        parameters=(REASON,),
        tag="approvals",
    )
    @guards.admin("granter")
    def refuse_approval(approval: str) -> Response:
        """Refuses what another admin asked for, or withdraws what one asked for oneself."""
        return jsonify(refused(approving, approval, guards.actor(), bodies.reason(reason_in), clock()))

    return blp


def confirmed(approving: Approving, approval_id: str, actor: Actor, now: float) -> dict[str, Any]:
    """Confirms and does it. `Problem` 404, 409."""
    try:
        approval, outcome = approving.confirm(approval_id, actor, now)
    except UnknownApproval:
        raise _unknown() from None
    except OwnApproval:
        detail = "You asked for this yourself; another admin has to confirm it."
        raise Problem(409, detail, kind="own-approval", title="Nobody confirms their own") from None
    except NoLongerPossible as error:
        detail = "This cannot be done any more; refuse it and ask anew."
        raise Problem(
            409, detail, errors=error.errors, kind="no-longer-possible", title="What was asked for no longer fits"
        ) from None
    return told_of(approval, "confirmed", outcome, now)


def refused(approving: Approving, approval_id: str, actor: Actor, reason: str | None, now: float) -> dict[str, Any]:
    """Refuses it. `Problem` 404."""
    try:
        return told_of(approving.approvals.refuse(approval_id, actor, reason, now), "refused")
    except UnknownApproval:
        raise _unknown() from None


def _unknown() -> Problem:
    return Problem(404, "Nothing of this id waits for a second admin; it may be settled, or its time is over.")


def waits(approval: Approval) -> Response:
    """The answer to what has to wait: 202."""
    answer = jsonify(told_of(approval))
    answer.status_code = 202
    return answer


def told_of(
    approval: Approval, state: str = "waiting", outcome: Outcome | None = None, now: float = 0.0
) -> dict[str, Any]:
    """An approval as admins see it; `outcome` is what came of it, at `now`."""
    if isinstance(outcome, Grant):
        outcome = {"grant": encode.grant(outcome, approval.reader or "", now)}
    return {
        "approval": approval.id,
        "state": state,
        "kind": approval.kind,
        "reader": approval.reader,
        "wants": dict(approval.wants),
        "reason": approval.reason,
        "asked_by": approval.asked_by,
        "asked_at": write_time(approval.asked_at),
        "expires_at": write_time(approval.expires_at),
        "settled_by": approval.settled_by,
        "outcome": outcome,
    }


def _place(approval: Approval) -> str:
    return f"{approval.asked_at:012d} {approval.id}"
