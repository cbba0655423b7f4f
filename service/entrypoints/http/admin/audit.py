"""The audit log: who changed what, when, from where and why; with filters, and as CSV."""

from __future__ import annotations

from flask import Flask, Response

from service.adapters.redis.audit import chain
from service.entrypoints.http import csv_output
from service.entrypoints.http.admin.page_context import PageContext, render, requires
from service.entrypoints.http.admin.request_inputs import PAGE_SIZE, filters_in_address, requested_page
from service.entrypoints.http.api.audit import FILTERS, LIST, listing
from service.entrypoints.responses.labels import ACTIONS

LINKED_ACTIONS = ("import.apply", "import.undo", "pass.create", "pass.revoke", "event.replay")
"""Actions whose object has a page of its own, which the search finds."""


def register(app: Flask, context: PageContext) -> None:
    """Add the audit log."""
    log = context.service.audit_log

    @app.get("/audit")
    @requires("viewer")
    def audit() -> Response:
        page = requested_page(LIST, FILTERS, limit=PAGE_SIZE)
        found, following = listing(log, page)
        return render(
            "audit.html",
            records=found,
            following=following,
            wanted=page.filters,
            actions=ACTIONS,
            linked_actions=LINKED_ACTIONS,
            head=log.state().head,
            filters=filters_in_address(),
        )

    @app.get("/audit.csv")
    @requires("viewer")
    def audit_csv() -> Response:
        found, following = listing(log, requested_page(LIST, FILTERS, limit=100))
        return csv_output.answer(chain.PUBLIC_FIELDS, found, LIST, following)
