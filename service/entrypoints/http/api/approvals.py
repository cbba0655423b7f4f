"""`/v1/approvals`: what waits for a second admin; only another admin than the one who asked can confirm it."""

from __future__ import annotations

from flask import Response

from service.bootstrap import Service
from service.entrypoints.http import guards, lists
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.administration import ApprovalOut, write_approval
from service.entrypoints.responses.fields import JsonObject, NothingIn, ReasonMaybeIn
from service.entrypoints.responses.lists import APPROVALS


def register(routes: ApiRoutes, service: Service) -> None:
    @lists.add(routes, "GET /v1/approvals", APPROVALS)
    def show_approvals() -> Response:
        """List what waits for a second admin, the newest first."""
        return lists.respond(APPROVALS, service)

    @routes.add("POST /v1/approvals/<approval>", "granter", ApprovalOut, body=NothingIn, repeatable=True)
    def confirm_approval(approval: str) -> JsonObject:
        """Approve what another admin asked for, and do it."""
        now = service.clock()
        asked, outcome = service.approval_workflow.confirm(approval, guards.actor(), now)
        return write_approval(asked, "confirmed", outcome, now)

    @routes.add("DELETE /v1/approvals/<approval>", "granter", ApprovalOut, reason=ReasonMaybeIn)
    def refuse_approval(approval: str, reason: str | None) -> JsonObject:
        """Reject what another admin asked for, or withdraw what you asked for yourself."""
        refused = service.approvals.refuse(approval, guards.actor(), reason, service.clock())
        return write_approval(refused, "refused")
