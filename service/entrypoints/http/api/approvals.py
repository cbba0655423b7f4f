"""`/v1/approvals`: what waits for a second admin; only another admin than the one who asked can confirm it."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.bootstrap import Service
from service.entrypoints.http import guards, lists
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.openapi_description import AFTER, IDEMPOTENCY_KEY, LIMIT, REASON, described
from service.entrypoints.responses.administration import ApprovalOut, ApprovalsOut, write_approval
from service.entrypoints.responses.lists import APPROVALS, list_approvals
from service.entrypoints.responses.shared_schemas import NothingIn, ReasonMaybeIn


def blueprint(service: Service, repeated: IdempotencyStore) -> Blueprint:
    """Return the routes of approvals."""
    blp = Blueprint("approvals", __name__)
    workflow, nothing_in, reason_in = service.approval_workflow, NothingIn(), ReasonMaybeIn()

    @blp.get("/v1/approvals")
    @described(gives={200: lists.or_csv(ApprovalsOut)}, parameters=(LIMIT, AFTER), tag="approvals")
    @guards.admin("viewer")
    def show_approvals() -> Response:
        """What waits for a second admin, newest first; CSV where Accept asks for text/csv."""
        return lists.answer(APPROVALS, list_approvals(service.approvals, lists.asked(APPROVALS), service.clock()))

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
        """Confirm what another admin asked for, and do it."""
        bodies.load(nothing_in, optional=True)

        def confirm() -> Response:
            now = service.clock()
            asked, outcome = workflow.confirm(approval, guards.actor(), now)
            return jsonify(write_approval(asked, "confirmed", outcome, now))

        return repeats.once(repeated, confirm)

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
        """Refuse what another admin asked for, or withdraw what you asked for yourself."""
        reason = bodies.reason(reason_in)
        refused = service.approvals.refuse(approval, guards.actor(), reason, service.clock())
        return jsonify(write_approval(refused, "refused"))

    return blp
