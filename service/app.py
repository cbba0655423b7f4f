"""The composition root: settings → store, clock, desk → a WSGI app. Nothing connects before `start`.

`Service` holds the pieces that every way in shares (web, worker, command line); `wsgi` puts the web in front of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from service import governance, overview, sharing
from service.aftercare import Aftercare, Noticed
from service.billing.gateway import Gateway
from service.billing.prices import Prices
from service.clock import clock_of
from service.decision_ids import KEPT, DecisionIds
from service.desk import Desk
from service.engine.admin import Admin
from service.engine.engine import Engine
from service.erasure import Erasure
from service.erasure import build as build_erasure
from service.governance import Governance
from service.importing.build import build as build_imports
from service.importing.bulk import GrantImports
from service.observe import Metrics, log, where
from service.overview import Overview, Receiver
from service.profile import Profiles
from service.settings import Settings
from service.sharing import Sharing
from service.store.address import parse_address
from service.store.admin_keys import KeyBook
from service.store.audit import Audit
from service.store.audit_log import AuditLog
from service.store.customers import Customers
from service.store.grants import Grants
from service.store.idempotency import Idempotency
from service.store.keys import Keys
from service.store.known import Known
from service.store.link import Link
from service.store.merges import Merges
from service.store.readers import Readers
from service.store.secret import Secrets
from service.store.signals import Signal
from service.store.spill import Spill
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

Clock = Callable[[], float]


@dataclass(frozen=True)
class Service:
    """The pieces, put together once a process."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    link: Link
    keys: Keys
    secrets: Secrets
    readers: Readers
    audit: Audit
    known: Known
    grants: Grants
    desk: Desk
    profiles: Profiles
    decision_ids: DecisionIds
    gateway: Gateway | None
    prices: Prices
    prices_changed: Signal
    engine: Engine
    stripe_admin: Admin
    governance: Governance
    imports: GrantImports
    sharing: Sharing
    overview: Overview

    @cached_property
    def erasure(self) -> Erasure:
        """Erasing of readers; it needs what is put together above."""
        governed = self.governance
        return build_erasure(
            self.settings.catalogue,
            self.link,
            self.keys,
            self.readers,
            self.audit,
            governed.audit_log,
            governed.audit_erasure,
            governed.approvals,
            self.imports,
            self.known,
        )

    @property
    def export(self) -> privacy.Export:
        """Everything that is kept of a reader."""
        customers = Customers(self.link, self.keys)
        return privacy.Export(self.profiles, self.readers, customers, self.governance.audit_log, self.erasure)

    def start(self) -> None:
        """Starts the threads that watch the store and keep what is known. Once a process, after any fork."""
        self.link.start()
        self.known.start()
        self.prices.start()
        self.governance.policy_keeper.start()
        self.imports.background.start()

    def close(self) -> None:
        """Writes what is still to be written and lets go of the store."""
        self.imports.background.close()
        self.governance.policy_keeper.close()
        self.prices.stop()
        self.known.close()
        self.overview.activity.flush()
        self.link.close()


def build(settings: Settings, store_url: str, *, clock: Clock | None = None, metrics: Metrics | None = None) -> Service:
    """Puts the pieces together around the store at `store_url`; nothing connects yet."""
    clock = clock or clock_of(settings.demo_clock)
    catalogue = settings.catalogue
    metrics = metrics or Metrics()
    keys = Keys(settings.prefix)
    link = Link(parse_address(store_url), on_change=_store_changed(metrics), probe_key=keys.shared("probe"))
    secrets = Secrets(link, keys, settings.secrets)
    store_readers = Readers(link, keys)
    audit_log = AuditLog(link, keys)
    audit = Audit(link, keys, lambda: secrets.signer("audit"), audit_log, on_refused=_forged, clock=clock)
    known = Known(settings.data, catalogue.failure.known_for, clock=clock, on_error=_unwritten)
    gateway = Gateway(settings.stripe_api_key, settings.stripe_api_base) if settings.stripe_api_key else None
    store_grants = Grants(store_readers, audit, known)
    shared = sharing.build(catalogue, link, keys, lambda: secrets.pairs("pass"), audit, store_readers)
    desk = Desk(catalogue, link, store_readers, known, shared.gate)
    decision_ids = DecisionIds(lambda: secrets.sealer("decision"), catalogue, Spill(link, keys, KEPT))
    engine = Engine(link, keys, store_readers, catalogue, gateway=gateway, known=known, report=_trouble)
    governed = governance.build(
        catalogue,
        {key.name for key in (*settings.site_keys, *settings.admin_keys)},
        link,
        keys,
        secrets,
        audit,
        audit_log,
        store_readers,
        store_grants,
        desk,
        decision_ids,
        clock,
        _broken_chain,
    )
    return Service(
        settings=settings,
        clock=clock,
        metrics=metrics,
        link=link,
        keys=keys,
        secrets=secrets,
        readers=store_readers,
        audit=audit,
        known=known,
        grants=store_grants,
        desk=desk,
        profiles=Profiles(catalogue, link, store_readers),
        decision_ids=decision_ids,
        gateway=gateway,
        prices=Prices(gateway, catalogue),
        prices_changed=Signal(link, keys, "prices"),
        engine=engine,
        stripe_admin=Admin(engine, audit, Merges(link, keys, store_readers, catalogue)),
        governance=governed,
        imports=build_imports(
            catalogue, link, keys, secrets, audit, known, governed.approving, clock, report=_import_failed
        ),
        sharing=shared,
        overview=overview.build(catalogue, link, keys, store_readers, engine, clock),
    )


def wsgi(service: Service) -> WSGIApplication:
    """The web in front of a service."""
    settings = service.settings
    book = KeyBook(service.governance.admin_keys)
    wrong = WrongKeys(service.link, service.keys, enough=guards.WRONG_KEYS).count
    keyring = guards.Keyring(settings.site_keys, settings.admin_keys, stored=guards.made_at_run_time(book), wrong=wrong)
    offer_prices = OfferPrices(settings.catalogue, service.prices)
    encoder = Encoder(settings.catalogue, service.decision_ids.seal, offer_prices)
    requests_log = RequestLog(service.metrics)
    answered = counter(service.metrics, service.overview.activity)
    app = flask_app(service.metrics, keyring, requests_log)
    repeated = Idempotency(service.link, service.keys, lambda: service.secrets.sealer("idempotency"))
    description = describe.Description(f"{settings.catalogue.site_name}: paywall", "1")
    app.register_blueprint(access.blueprint(service.desk, encoder, service.clock, answered))
    app.register_blueprint(readers.blueprint(service.profiles, service.clock))
    app.register_blueprint(
        grants.blueprint(
            settings.catalogue, service.readers, service.grants, service.governance.giving, repeated, service.clock
        )
    )
    app.register_blueprint(imports.blueprint(service.imports, settings.catalogue, repeated, service.clock))
    app.register_blueprint(privacy.blueprint(service.export, service.erasure, service.clock))
    governing.register(app, service.governance, book, repeated, service.clock)
    app.register_blueprint(passes.blueprint(service.sharing, repeated, service.clock))
    app.register_blueprint(gifts.blueprint(service.sharing, repeated, service.clock))
    app.register_blueprint(overview_blueprint(settings.catalogue, service.overview, service.clock))
    shop = selling.Shop(settings.catalogue, service.readers, service.gateway, service.prices)
    app.register_blueprint(selling.blueprint(shop, service.engine.work_soon, service.clock))
    app.register_blueprint(
        webhook.blueprint(
            Receiver(service.engine, service.overview),
            settings.stripe_webhook_secrets,
            service.metrics,
            service.prices_changed.send,
            service.clock,
        )
    )
    app.register_blueprint(belonging.blueprint(service.stripe_admin, repeated, service.clock))
    app.register_blueprint(events.blueprint(service.engine.ledger, service.stripe_admin, repeated, service.clock))
    app.register_blueprint(health.blueprint(service.link.ready, service.metrics, description))
    mount_page(app, service, keyring, requests_log)
    return HotRoute(app, service.desk, encoder, keyring, requests_log, service.clock, answered)


def _store_changed(metrics: Metrics) -> Callable[[bool, str], None]:
    def changed(available: bool, why: str) -> None:
        metrics.store_up.set(1 if available else 0)
        if available:
            log().info("store_available")
        else:
            metrics.outages.labels(why).inc()
            log().warning("store_unavailable", why=why)

    return changed


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


def _trouble(what: str, why: str) -> None:
    log().warning("stripe_trouble", what=what, why=why)


def _forged(count: int) -> None:
    log().error("audit_entries_not_ours", count=count)


def _broken_chain(seq: int) -> None:
    log().error("audit_chain_broken", first_bad=seq)


def _import_failed(what: str, error: Exception) -> None:
    log().error(what, error=type(error).__name__, where=where(error))


def _unwritten(error: Exception) -> None:
    log().error("known_readers_unwritten", error=type(error).__name__)
