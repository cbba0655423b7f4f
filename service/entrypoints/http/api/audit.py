"""`/v1/audit`: who changed what, when, from where, and why; newest first, as JSON or CSV."""

from __future__ import annotations

from flask import Response

from service.bootstrap import Service
from service.entrypoints.http import lists
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.lists import AUDIT

HEAD = "X-Audit-Head"
"""Header with the chain's end, `SEQ:HASH`, for `paywall audit verify --head`."""


def register(routes: ApiRoutes, service: Service) -> None:
    @lists.add(routes, "GET /v1/audit", AUDIT)
    def show_audit() -> Response:
        """List the records of the audit log, the newest first.

        The header `X-Audit-Head` names the end of the chain, for `paywall audit verify --head`.
        """
        head = service.audit_log.state().head
        answer = lists.respond(AUDIT, service)
        answer.headers[HEAD] = str(head)
        return answer
