"""Pending approvals: a second admin approves or rejects them. Nobody can approve their own request."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, url_for

from service.entrypoints.http.admin.page_context import PageContext, current_actor, render, requires, submit_once
from service.entrypoints.http.admin.request_inputs import form_field, optional_reason
from service.entrypoints.http.api.approvals import confirmed, refused, told_of
from service.entrypoints.http.errors import Problem

FIRST_APPROVALS = 100
"""Approvals that the page shows."""


def register(app: Flask, context: PageContext) -> None:
    """Add the approvals."""
    approving = context.service.approving

    @app.get("/approvals")
    @requires("viewer")
    def approvals() -> Response:
        return show_list()

    @app.post("/approvals/confirm")
    @requires("granter")
    def approve() -> Response:
        def work() -> tuple[str, str]:
            done = confirmed(approving, form_field("approval") or "", current_actor(), context.now)
            if name := done["wants"].get("import"):
                return "Approved. The import has started.", url_for("import_progress", id=name)
            return "Approved. The change is in effect.", url_for("approvals")

        return submit(work)

    @app.post("/approvals/refuse")
    @requires("granter")
    def reject() -> Response:
        def work() -> tuple[str, str]:
            refused(approving, form_field("approval") or "", current_actor(), optional_reason(), context.now)
            return "Rejected. Nothing was changed.", url_for("approvals")

        return submit(work)

    def submit(work: Callable[[], tuple[str, str]]) -> Response:
        try:
            return submit_once(context, work)
        except Problem as problem:
            return show_list(problem)

    def show_list(problem: Problem | None = None) -> Response:
        found = [told_of(approval) for approval in approving.approvals.list_waiting(context.now)]
        status = problem.status if problem is not None else 200
        return render(
            "approvals.html", status=status, approvals=found[:FIRST_APPROVALS], total=len(found), problem=problem
        )
