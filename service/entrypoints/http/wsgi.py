"""The web in front of a service: its routes, the hot one ahead of them, and what a web process does beside requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask

from service.adapters.redis.staff.admin_keys import AdminKeyCache, WrongKeyCounter
from service.adapters.redis.staff.idempotency import AT_WORK, IdempotencyStore
from service.bootstrap import Service
from service.entrypoints.http import guards
from service.entrypoints.http import openapi_description as describe
from service.entrypoints.http.access_counters import counter
from service.entrypoints.http.access_route import HotRoute
from service.entrypoints.http.admin.application import mount as mount_page
from service.entrypoints.http.api import (
    access,
    approvals,
    audit,
    decisions,
    events,
    gifts,
    grants,
    health,
    imports,
    keys,
    passes,
    privacy,
    readers,
    webhook,
)
from service.entrypoints.http.api import checkout as selling
from service.entrypoints.http.api import links_and_seats as belonging
from service.entrypoints.http.api.reporting import blueprint as overview_blueprint
from service.entrypoints.http.flask_app import flask_app
from service.entrypoints.http.offer_prices import OfferPrices
from service.entrypoints.http.request_log import RequestLog
from service.entrypoints.responses.encoder import Encoder

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def wsgi(service: Service) -> WSGIApplication:
    """All routes of a service."""
    settings = service.settings
    book = AdminKeyCache(service.admin_keys)
    wrong = WrongKeyCounter(service.store, enough=guards.WRONG_KEYS).increment
    keyring = guards.Keyring(settings.site_keys, settings.admin_keys, stored=guards.made_at_run_time(book), wrong=wrong)
    encoder = Encoder(settings.catalogue, service.decision_ids.seal, OfferPrices(settings.catalogue, service.prices))
    requests_log = RequestLog(service.metrics)
    answered = counter(service.metrics, service.activity)
    app = flask_app(service.metrics, keyring, requests_log)
    repeated = IdempotencyStore(service.store, lambda: service.secrets.sealer("idempotency"), AT_WORK)
    description = describe.Description(f"{settings.catalogue.site_name}: paywall", "1")
    app.register_blueprint(access.blueprint(service.desk, encoder, service.clock, answered))
    _for_admins(app, service, book, repeated)
    _for_stripe(app, service, repeated)
    app.register_blueprint(health.blueprint(service.store.link.ready, service.metrics, description))
    mount_page(app, service, keyring, requests_log, book.invalidate, openid=settings.openid)
    return HotRoute(app, service.desk, encoder, keyring, requests_log, service.clock, answered)


def _for_admins(app: Flask, service: Service, book: AdminKeyCache, repeated: IdempotencyStore) -> None:
    catalogue, clock = service.settings.catalogue, service.clock
    app.register_blueprint(readers.blueprint(service.profiles, clock))
    giving = service.giving
    app.register_blueprint(grants.blueprint(catalogue, service.readers, service.grants, giving, repeated, clock))
    app.register_blueprint(imports.blueprint(service.imports, catalogue, repeated, clock))
    app.register_blueprint(privacy.blueprint(service.export, service.erasure, clock))
    app.register_blueprint(audit.blueprint(service.audit_log))
    app.register_blueprint(keys.blueprint(service.admin_keys, book, repeated, clock))
    app.register_blueprint(approvals.blueprint(service.approving, repeated, clock))
    app.register_blueprint(decisions.blueprint(service.why, clock))
    app.register_blueprint(passes.blueprint(service, repeated, clock))
    app.register_blueprint(gifts.blueprint(service, repeated, clock))
    app.register_blueprint(overview_blueprint(service))


def _for_stripe(app: Flask, service: Service, repeated: IdempotencyStore) -> None:
    clock = service.clock
    shop = selling.Shop(
        service.settings.catalogue, service.readers, service.gateway, service.prices, service.engine.work_soon
    )
    app.register_blueprint(selling.blueprint(shop, clock))
    secrets, changed = service.settings.stripe_webhook_secrets, service.prices_changed.increment
    app.register_blueprint(webhook.blueprint(service.deliveries, secrets, service.metrics, changed, clock))
    app.register_blueprint(belonging.blueprint(service.stripe_admin, repeated, clock))
    app.register_blueprint(events.blueprint(service.engine.ledger, service.stripe_admin, repeated, clock))
