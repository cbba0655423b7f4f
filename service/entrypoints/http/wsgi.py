"""The web in front of a service: its routes, the hot one ahead of them, and what a web process does beside requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.adapters.redis.staff.admin_keys import AdminKeyCache, WrongKeyCounter
from service.adapters.redis.staff.idempotency import AT_WORK, IdempotencyStore
from service.bootstrap import Service
from service.entrypoints.http import guards
from service.entrypoints.http import openapi_description as describe
from service.entrypoints.http.access_route import AccessRoute
from service.entrypoints.http.admin.application import mount as mount_page
from service.entrypoints.http.api import (
    access,
    approvals,
    audit,
    checkout,
    decisions,
    events,
    gifts,
    grants,
    health,
    imports,
    keys,
    links_and_seats,
    passes,
    privacy,
    readers,
    reporting,
    webhook,
)
from service.entrypoints.http.flask_app import flask_app
from service.entrypoints.http.request_log import RequestLog
from service.entrypoints.responses.access import AccessWriter
from service.use_cases.checkout.offer_boxes import OfferBoxes

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def wsgi(service: Service) -> WSGIApplication:
    """All routes of a service."""
    settings = service.settings
    book = AdminKeyCache(service.admin_keys)
    wrong = WrongKeyCounter(service.store, enough=guards.WRONG_KEYS).increment
    keyring = guards.Keyring(settings.site_keys, settings.admin_keys, stored=guards.made_at_run_time(book), wrong=wrong)
    writer = AccessWriter(service.decision_ids.seal, OfferBoxes(settings.catalogue, service.prices))
    requests_log = RequestLog(service.metrics)
    count = service.usage_counters.count_answer
    app = flask_app(service.metrics, keyring, requests_log)
    repeated = IdempotencyStore(service.store, lambda: service.secrets.sealer("idempotency"), AT_WORK)
    description = describe.Description(f"{settings.catalogue.site_name}: paywall", "1")
    app.register_blueprint(access.blueprint(service.access_check, writer, service.clock, count))
    for api in (audit, checkout, decisions, privacy, readers, reporting, webhook):
        app.register_blueprint(api.blueprint(service))
    for idempotent in (approvals, events, gifts, grants, imports, links_and_seats, passes):
        app.register_blueprint(idempotent.blueprint(service, repeated))
    app.register_blueprint(keys.blueprint(service, repeated, book))
    app.register_blueprint(health.blueprint(service.store.link.ready, service.metrics, description))
    mount_page(app, service, keyring, requests_log, book.invalidate, openid=settings.openid)
    return AccessRoute(
        app,
        access_check=service.access_check,
        writer=writer,
        keyring=keyring,
        log=requests_log,
        clock=service.clock,
        count=count,
    )
