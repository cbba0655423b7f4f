"""The web in front of a service: its routes, the hot one ahead of them, and what a web process does beside requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.adapters.redis.staff.admin_keys import AdminKeyCache, WrongKeyCounter
from service.adapters.redis.staff.idempotency import AT_WORK, IdempotencyStore
from service.bootstrap import Service
from service.entrypoints.http import guards
from service.entrypoints.http.access_route import AccessRoute
from service.entrypoints.http.admin.application import mount as mount_page
from service.entrypoints.http.api import (
    access,
    approvals,
    audit,
    checkout,
    events,
    grants,
    health,
    imports,
    keys,
    passes,
    readers,
    reporting,
    seats,
    webhook,
)
from service.entrypoints.http.flask_app import flask_app
from service.entrypoints.http.request_log import RequestLog
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.access import AccessWriter
from service.use_cases.checkout.offer_boxes import OfferBoxes

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


REGISTER = (
    ("website", checkout.register),
    ("website", passes.register_gifts),
    ("readers", readers.register),
    ("grants", grants.register),
    ("grants", imports.register),
    ("approvals", approvals.register),
    ("seats", seats.register),
    ("passes", passes.register),
    ("decisions", access.register_decisions),
    ("events", events.register),
    ("stripe", webhook.register),
    ("overview", reporting.register),
    ("audit", audit.register),
    ("service", health.register),
)
"""Tag in `/openapi.json`, and what adds the routes under it."""


def wsgi(service: Service) -> WSGIApplication:
    """Return the WSGI application of a service, with all routes."""
    settings = service.settings
    book = AdminKeyCache(service.admin_keys)
    wrong = WrongKeyCounter(service.store, enough=guards.WRONG_KEYS).increment
    keyring = guards.Keyring(settings.site_keys, settings.admin_keys, stored=guards.made_at_run_time(book), wrong=wrong)
    writer = AccessWriter(service.decision_ids.seal, OfferBoxes(settings.catalogue, service.prices))
    requests_log = RequestLog(service.metrics)
    app = flask_app(service.metrics, keyring, requests_log)
    repeated = IdempotencyStore(service.store, lambda: service.secrets.sealer("idempotency"), AT_WORK)
    access.register(ApiRoutes(app, "website", repeated), service, writer)
    keys.register(ApiRoutes(app, "keys", repeated), service, book)
    for tag, register in REGISTER:
        register(ApiRoutes(app, tag, repeated), service)
    mount_page(app, service, keyring, requests_log, book.invalidate, openid=settings.openid)
    return AccessRoute(app, service, writer, keyring, requests_log)
