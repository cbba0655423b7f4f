"""What waits for a second admin: confirm or refuse; nobody confirms what they asked for themselves."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, url_for

from service.entrypoints.http.admin.frame import Frame, actor, form, needs, once, reason, show
from service.entrypoints.http.api.approvals import confirmed, refused, told_of
from service.entrypoints.http.errors import Problem

Work = Callable[[], tuple[str, str]]


def register(page: Flask, frame: Frame) -> None:
    """Adds them."""
    approving = frame.service.approving

    @page.get("/approvals")
    @needs("viewer")
    def approvals() -> Response:
        return _listed()

    @page.post("/approvals/confirm")
    @needs("granter")
    def confirm() -> Response:
        def work() -> tuple[str, str]:
            done = confirmed(approving, form("approval") or "", actor(), frame.now)
            if name := done["wants"].get("import"):
                return "Confirmed: the import has begun.", url_for("import_shown", id=name)
            return "Confirmed, and done.", url_for("approvals")

        return _tried(work)

    @page.post("/approvals/refuse")
    @needs("granter")
    def refuse() -> Response:
        def work() -> tuple[str, str]:
            refused(approving, form("approval") or "", actor(), reason(), frame.now)
            return "Refused: nothing was changed.", url_for("approvals")

        return _tried(work)

    def _tried(work: Work) -> Response:
        try:
            return once(frame, work)
        except Problem as problem:
            return _listed(problem)

    def _listed(problem: Problem | None = None) -> Response:
        found = [told_of(approval) for approval in approving.approvals.waiting(frame.now)]
        status = problem.status if problem is not None else 200
        return show("approvals.html", status=status, approvals=found[:100], many=len(found), problem=problem)
