"""The audit log: who changed what, when, from where, and why; with filters, and as CSV."""

from __future__ import annotations

from flask import Flask, Response

from service.adapters.redis.audit import chain
from service.entrypoints.http import csv_output as csv_out
from service.entrypoints.http.admin.frame import Frame, needs, show
from service.entrypoints.http.admin.lists import SHOWN, page_of, without_after
from service.entrypoints.http.api.audit import FILTERS, LIST, listing
from service.entrypoints.responses.labels import ACTIONS

LEADS = ("import.apply", "import.undo", "pass.create", "pass.revoke", "event.replay")
"""The actions whose target has a page of its own, by the search."""


def register(page: Flask, frame: Frame) -> None:
    """Adds the log."""
    log = frame.service.audit_log

    @page.get("/audit")
    @needs("viewer")
    def audit() -> Response:
        wanted = page_of(LIST, FILTERS, limit=SHOWN)
        found, following = listing(log, wanted)
        return show(
            "audit.html",
            records=found,
            following=following,
            filters=wanted.filters,
            actions=ACTIONS,
            leads=LEADS,
            head=log.state().head,
            without_after=without_after(),
        )

    @page.get("/audit.csv")
    @needs("viewer")
    def audit_csv() -> Response:
        found, following = listing(log, page_of(LIST, FILTERS, limit=100))
        return csv_out.answer(chain.SHOWN, found, LIST, following)
