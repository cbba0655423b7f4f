"""The audit log: who changed what, when, from where and why; with filters, and as CSV."""

from __future__ import annotations

from flask import Response

from service.entrypoints.http.admin.page_context import PageContext, render
from service.entrypoints.http.admin.request_inputs import requested_page
from service.entrypoints.http.lists import csv_file
from service.entrypoints.responses.labels import ACTIONS
from service.entrypoints.responses.lists import AUDIT

LINKED_ACTIONS = ("import.apply", "import.undo", "pass.create", "pass.revoke", "event.replay")
"""Actions whose object has a page of its own, which the search finds."""


def register(context: PageContext) -> None:
    service = context.service

    @context.page("GET /audit", "viewer")
    def audit() -> Response:
        page = requested_page(context, AUDIT)
        found = AUDIT.load(service, page)
        return render(
            "audit.html",
            records=found.items,
            following=found.next,
            wanted=page.filters,
            actions=ACTIONS,
            linked_actions=LINKED_ACTIONS,
            head=service.audit_log.state().head,
        )

    @context.page("GET /audit.csv", "viewer")
    def audit_csv() -> Response:
        found = AUDIT.load(service, requested_page(context, AUDIT, limit=100))
        return csv_file(AUDIT.columns, found.items, AUDIT.name, found.next)
