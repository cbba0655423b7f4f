"""Pending approvals: a second admin approves or rejects them. Nobody can approve their own request."""

from __future__ import annotations

from flask import Response, url_for

from service.entrypoints.http import guards
from service.entrypoints.http.admin.page_context import Outcome, PageContext, render
from service.entrypoints.http.admin.request_inputs import form_field, optional_reason
from service.entrypoints.responses.administration import write_approval
from service.entrypoints.responses.errors import Problem

FIRST_APPROVALS = 100
"""Approvals that the page shows."""


def register(context: PageContext) -> None:
    service = context.service

    @context.page("GET /approvals", "viewer")
    def approvals(problem: Problem | None = None) -> Response:
        found = [write_approval(approval) for approval in service.approval_workflow.list_waiting(context.now)]
        return render("approvals.html", approvals=found[:FIRST_APPROVALS], total=len(found), problem=problem)

    @context.form("POST /approvals/confirm", "granter", approvals)
    def approve() -> Outcome:
        done, _ = service.approval_workflow.confirm(form_field("approval") or "", guards.actor(), context.now)
        if name := done.wants.get("import"):
            return "Approved. The import has started.", url_for("import_progress", id=name)
        return "Approved. The change is in effect.", url_for("approvals")

    @context.form("POST /approvals/refuse", "granter", approvals)
    def reject() -> Outcome:
        service.approvals.refuse(form_field("approval") or "", guards.actor(), optional_reason(), context.now)
        return "Rejected. Nothing was changed.", url_for("approvals")
