"""The routes about proof and power, put together."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from service.adapters.redis.staff.admin_keys import KeyBook
from service.adapters.redis.staff.idempotency import Idempotency
from service.entrypoints.http.api import approvals, audit, decisions
from service.entrypoints.http.api import keys as admin_keys
from service.use_cases.operations.governance import Governance


def register(
    app: Flask, governance: Governance, book: KeyBook, repeated: Idempotency, clock: Callable[[], float]
) -> None:
    """Adds them to the app."""
    app.register_blueprint(audit.blueprint(governance.audit_log))
    app.register_blueprint(admin_keys.blueprint(governance.admin_keys, book, repeated, clock))
    app.register_blueprint(approvals.blueprint(governance.approving, repeated, clock))
    app.register_blueprint(decisions.blueprint(governance.why, clock))
