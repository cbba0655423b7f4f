"""The routes about proof and power, put together."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from service.governance import Governance
from service.store.admin_keys import KeyBook
from service.store.idempotency import Idempotency
from service.web import admin_keys, approvals, audit, decisions


def register(
    app: Flask, governance: Governance, book: KeyBook, repeated: Idempotency, clock: Callable[[], float]
) -> None:
    """Adds them to the app."""
    app.register_blueprint(audit.blueprint(governance.audit_log))
    app.register_blueprint(admin_keys.blueprint(governance.admin_keys, book, repeated, clock))
    app.register_blueprint(approvals.blueprint(governance.approving, repeated, clock))
    app.register_blueprint(decisions.blueprint(governance.why, clock))
