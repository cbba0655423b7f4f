"""`/v1/audit`: who changed what, when, from where, and why; newest first, as JSON or CSV."""

from __future__ import annotations

from flask import Blueprint, Response

from service.bootstrap import Service
from service.entrypoints.http import guards, lists
from service.entrypoints.http.openapi_description import AFTER, LIMIT, described, query
from service.entrypoints.responses.administration import AuditOut
from service.entrypoints.responses.lists import AUDIT, list_audit

HEAD = "X-Audit-Head"
"""Header with the chain's end, `SEQ:HASH`, for `paywall audit verify --head`."""

_FILTERS = tuple(query(name, f"Only records with this {name}.", {"type": "string"}) for name in AUDIT.filters)


def blueprint(service: Service) -> Blueprint:
    """Return the route of the audit log."""
    blp = Blueprint("audit", __name__)

    @blp.get("/v1/audit")
    @described(gives={200: lists.or_csv(AuditOut)}, parameters=(LIMIT, AFTER, *_FILTERS), tag="audit")
    @guards.admin("viewer")
    def show_audit() -> Response:
        """The audit log, newest first; CSV where Accept asks for text/csv.

        The header X-Audit-Head names the chain's end, for `paywall audit verify --head`.
        """
        page = lists.asked(AUDIT)
        head = service.audit_log.state().head
        answer = lists.answer(AUDIT, list_audit(service.audit_log, page))
        answer.headers[HEAD] = str(head)
        return answer

    return blp
