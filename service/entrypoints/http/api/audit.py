"""`/v1/audit`: who changed what, when, from where, and why; newest first, as JSON or CSV."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from service.adapters.redis.audit import chain
from service.adapters.redis.audit.chain import AuditFilter, AuditLog
from service.entrypoints.http import csv_output as csv_out
from service.entrypoints.http import guards, paging
from service.entrypoints.http.api.access import private
from service.entrypoints.http.errors import invalid
from service.entrypoints.http.openapi_description import AFTER, LIMIT, described, query
from service.entrypoints.responses.governance_schemas import AuditOut

LIST = "audit"
FILTERS = ("reader", "actor", "action", "target")
HEAD = "X-Audit-Head"
"""Header with the chain's end, `SEQ:HASH`, for `paywall audit verify --head`."""

_FILTERS = tuple(query(name, f"Only records with this {name}.", {"type": "string"}) for name in FILTERS)


def blueprint(log: AuditLog) -> Blueprint:
    """The audit log."""
    blp = Blueprint("audit", __name__)

    @blp.get("/v1/audit")
    @described(gives={200: csv_out.or_csv(AuditOut)}, parameters=(LIMIT, AFTER, *_FILTERS), tag="audit")
    @guards.admin("viewer")
    def list_audit() -> Response:
        """The audit log, newest first; CSV where Accept asks for text/csv.

        The header X-Audit-Head names the chain's end, for `paywall audit verify --head`.
        """
        page = paging.asked(LIST, FILTERS)
        head = log.state().head
        found, following = listing(log, page)
        if csv_out.wanted():
            answer = csv_out.answer(chain.PUBLIC_FIELDS, found, LIST, following)
        else:
            answer = private(paging.listed(found, following))
        answer.headers[HEAD] = str(head)
        return answer

    return blp


def listing(log: AuditLog, page: paging.Page) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the log. `Problem` 422 for an `after` that names no record."""
    after = None
    if page.after is not None:
        if not (page.after.isascii() and page.after.isdigit() and len(page.after) < 16):
            raise invalid([("after", "is not a `next` of this list")])
        after = int(page.after)
    found, last = log.load_page(AuditFilter(**page.filters), limit=page.limit, after=after)
    return found, paging.cursor(LIST, str(last)) if last is not None else None
