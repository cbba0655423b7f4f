"""The first page: what needs a hand, and how the last 30 days went."""

from __future__ import annotations

from flask import Flask, Response

from service.web.admin.frame import Frame, needs, show


def register(page: Flask, frame: Frame) -> None:
    """Adds it."""

    @page.get("/")
    @needs("viewer")
    def overview() -> Response:
        waiting = len(frame.house.governance.approving.approvals.waiting(frame.now))
        return show("overview.html", waiting=waiting)
