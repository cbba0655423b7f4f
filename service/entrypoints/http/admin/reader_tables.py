"""The tables of readers and of grants: search by prefix, filters, order by expiry, pages, and CSV."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from flask import Response, request

from service.entrypoints.http.admin.page_context import PageContext, render
from service.entrypoints.http.admin.request_inputs import EXPIRIES, filters_in_address, requested_page
from service.entrypoints.http.lists import csv_file
from service.entrypoints.responses.labels import SOURCES, STANDINGS, STATES, label
from service.entrypoints.responses.lists import GRANT_TABLE, GRANTS_BY_END, READERS, READERS_BY_END, ListKind
from service.entrypoints.responses.readers import GRANT_STATUSES

CHANGE_ENDS = (*EXPIRIES, ("revoke", "now: revoke them"))
"""What can happen to chosen grants: another end, or a revocation."""


def register(context: PageContext) -> None:
    """Add both tables, and their files."""
    service = context.service
    plans = [(plan.id, plan.name) for plan in context.catalogue.plans.values()]

    @context.page("GET /readers/table", "viewer")
    def reader_table() -> Response:
        return _table(_reader_kind(), "reader_table.html", sources=SOURCES, standings=STANDINGS)

    @context.page("GET /readers/table.csv", "viewer")
    def reader_table_csv() -> Response:
        return _csv(_reader_kind())

    @context.page("GET /grants", "viewer")
    def grant_table() -> Response:
        statuses = {status: label(STATES, status) for status in GRANT_STATUSES}
        return _table(_grant_kind(), "grant_table.html", statuses=statuses, change_ends=CHANGE_ENDS)

    @context.page("GET /grants.csv", "viewer")
    def grant_table_csv() -> Response:
        return _csv(_grant_kind())

    def _table(kind: ListKind, template: str, **values: Any) -> Response:
        found = kind.load(service, requested_page(context, kind))
        typed = {name: value for name, value in filters_in_address().items() if name in (*kind.filters, "sort")}
        return render(template, items=found.items, following=found.next, wanted=typed, plans=plans, **values)

    def _csv(kind: ListKind) -> Response:
        found = kind.load(service, requested_page(context, kind, limit=100))
        return csv_file(kind.columns, found.items, kind.name, found.next)


def _reader_kind() -> ListKind:
    return READERS_BY_END if request.args.get("sort") == "end" else READERS


def _grant_kind() -> ListKind:
    return GRANTS_BY_END if request.args.get("sort") == "end" else GRANT_TABLE


def after_this_month(now: float, zone: tzinfo) -> str:
    """Return the second after the midnight that ends this month: the end of a grant until its last day is that midnight."""
    today = datetime.fromtimestamp(now, zone).date()
    return f"{today.year + today.month // 12}-{today.month % 12 + 1:02d}-01T00:00:01"
