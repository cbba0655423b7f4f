"""The web in front of a service: its routes, the hot one ahead of them, and what a web process does beside requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask

from service.aftercare import Aftercare, Noticed
from service.app import Service
from service.overview import Receiver
from service.store.admin_keys import KeyBook
from service.store.idempotency import Idempotency
from service.store.wrong_keys import WrongKeys
from service.web import (
    access,
    belonging,
    describe,
    events,
    gifts,
    governing,
    grants,
    guards,
    health,
    imports,
    passes,
    privacy,
    readers,
    selling,
    webhook,
)
from service.web.admin.page import mount as mount_page
from service.web.counting import counter
from service.web.encode import Encoder
from service.web.hot_route import HotRoute
from service.web.offers import OfferPrices
from service.web.overview import blueprint as overview_blueprint
from service.web.requests_log import RequestLog
from service.web.shell import flask_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def wsgi(service: Service) -> WSGIApplication:
    """All routes of a service."""
    settings = service.settings
    book = KeyBook(service.governance.admin_keys)
    wrong = WrongKeys(service.link, service.keys, enough=guards.WRONG_KEYS).count
    keyring = guards.Keyring(settings.site_keys, settings.admin_keys, stored=guards.made_at_run_time(book), wrong=wrong)
    encoder = Encoder(settings.catalogue, service.decision_ids.seal, OfferPrices(settings.catalogue, service.prices))
    requests_log = RequestLog(service.metrics)
    answered = counter(service.metrics, service.overview.activity)
    app = flask_app(service.metrics, keyring, requests_log)
    repeated = Idempotency(service.link, service.keys, lambda: service.secrets.sealer("idempotency"))
    description = describe.Description(f"{settings.catalogue.site_name}: paywall", "1")
    app.register_blueprint(access.blueprint(service.desk, encoder, service.clock, answered))
    _for_admins(app, service, book, repeated)
    _for_stripe(app, service, repeated)
    app.register_blueprint(health.blueprint(service.link.ready, service.metrics, description))
    mount_page(app, service, keyring, requests_log, book.forget, openid=settings.openid)
    return HotRoute(app, service.desk, encoder, keyring, requests_log, service.clock, answered)


def _for_admins(app: Flask, service: Service, book: KeyBook, repeated: Idempotency) -> None:
    catalogue, clock = service.settings.catalogue, service.clock
    app.register_blueprint(readers.blueprint(service.profiles, clock))
    giving = service.governance.giving
    app.register_blueprint(grants.blueprint(catalogue, service.readers, service.grants, giving, repeated, clock))
    app.register_blueprint(imports.blueprint(service.imports, catalogue, repeated, clock))
    app.register_blueprint(privacy.blueprint(service.export, service.erasure, clock))
    governing.register(app, service.governance, book, repeated, clock)
    app.register_blueprint(passes.blueprint(service.sharing, repeated, clock))
    app.register_blueprint(gifts.blueprint(service.sharing, repeated, clock))
    app.register_blueprint(overview_blueprint(catalogue, service.overview, clock))


def _for_stripe(app: Flask, service: Service, repeated: Idempotency) -> None:
    clock = service.clock
    shop = selling.Shop(
        service.settings.catalogue, service.readers, service.gateway, service.prices, service.engine.work_soon
    )
    app.register_blueprint(selling.blueprint(shop, clock))
    secrets, changed = service.settings.stripe_webhook_secrets, service.prices_changed.send
    receiver = Receiver(service.engine, service.overview)
    app.register_blueprint(webhook.blueprint(receiver, secrets, service.metrics, changed, clock))
    app.register_blueprint(belonging.blueprint(service.stripe_admin, repeated, clock))
    app.register_blueprint(events.blueprint(service.engine.ledger, service.stripe_admin, repeated, clock))


def aftercare(service: Service) -> Aftercare:
    """What a web process does beside its requests."""
    return Aftercare(
        [
            lambda: service.engine.finish_own(service.clock()),
            lambda: service.governance.finish_own(service.clock()),
            Noticed(service.prices_changed.value, service.prices.changed),
            service.overview.activity.tick,
        ]
    )
