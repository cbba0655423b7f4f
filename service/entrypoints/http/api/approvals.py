"""`/v1/approvals`: what waits for a second admin; only another admin than the one who asked can confirm it."""

from __future__ import annotations

from flask import Response

from service.bootstrap import Service
from service.entrypoints.http import guards, inputs, lists
from service.entrypoints.http.routes import AFTER, LIMIT, ApiRoutes
from service.entrypoints.responses.administration import ApprovalOut, write_approval
from service.entrypoints.responses.fields import JsonObject, NothingIn, ReasonMaybeIn
from service.entrypoints.responses.lists import APPROVALS


def register(routes: ApiRoutes, service: Service) -> None:
    @routes.add("GET /v1/approvals", "viewer", lists.list_of(ApprovalOut), parameters=(LIMIT, AFTER))
    def show_approvals() -> Response:
        """List what waits for a second admin, the newest first."""
        return lists.answer(APPROVALS, service)

    @routes.add(
        "POST /v1/approvals/<approval>", "granter", ApprovalOut, takes=NothingIn, refuses=(404,), repeatable=True
    )
    def confirm_approval(approval: str) -> Response:
        """Approve what another admin asked for, and do it."""
        inputs.load(NothingIn, optional=True)

        def confirm() -> JsonObject:
            now = service.clock()
            asked, outcome = service.approval_workflow.confirm(approval, guards.actor(), now)
            return write_approval(asked, "confirmed", outcome, now)

        return routes.once(confirm)

    @routes.add("DELETE /v1/approvals/<approval>", "granter", ApprovalOut, reason=ReasonMaybeIn, refuses=(404,))
    def refuse_approval(approval: str) -> JsonObject:
        """Reject what another admin asked for, or withdraw what you asked for yourself."""
        reason = inputs.reason(ReasonMaybeIn)
        refused = service.approvals.refuse(approval, guards.actor(), reason, service.clock())
        return write_approval(refused, "refused")
