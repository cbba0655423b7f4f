"""The composition root: settings → store, clock, engine, desk → a `Service`. Nothing connects before `start`.

`Service` holds the components that every entrypoint shares; `service.entrypoints.http.wsgi` puts the web in front of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from service.adapters.clock import clock_of
from service.adapters.observability import reports
from service.adapters.observability.telemetry import Metrics
from service.adapters.recent_entitlements import Known
from service.adapters.redis.audit.audit import Audit
from service.adapters.redis.audit.audit_log import AuditLog
from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.keys import Keys
from service.adapters.redis.client.link import Link
from service.adapters.redis.client.store import Store
from service.adapters.redis.grants.grants import Grants
from service.adapters.redis.reader_lifecycle.merges import Merges
from service.adapters.redis.readers.customers import Customers
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.service_state.change_signal import Signal
from service.adapters.redis.service_state.decision_overflow import Spill
from service.adapters.redis.service_state.secrets import Secrets
from service.adapters.stripe.gateway import Gateway
from service.entrypoints.http.api.privacy import Export
from service.settings.settings import Settings
from service.use_cases.access.check import Desk
from service.use_cases.access.decision_ids import KEPT, DecisionIds
from service.use_cases.access.reader_profile import Profiles
from service.use_cases.checkout.price_cache import Prices
from service.use_cases.grants.imports.build import build as build_imports
from service.use_cases.grants.imports.grant_imports import GrantImports
from service.use_cases.operations import governance
from service.use_cases.operations.governance import Governance
from service.use_cases.privacy.erasure import Erasure
from service.use_cases.privacy.erasure import build as build_erasure
from service.use_cases.reporting import dashboard as overview
from service.use_cases.reporting.dashboard import Overview
from service.use_cases.story_passes import gifts as sharing
from service.use_cases.story_passes.gifts import Sharing
from service.use_cases.subscriptions.administration import Admin
from service.use_cases.subscriptions.processor import Engine

Clock = Callable[[], float]

PATIENCE = 0.25
"""Seconds: a shorter one would call a slow disk an outage, a longer one would be felt by readers."""


@dataclass(frozen=True)
class Service:
    """The pieces, put together once a process."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    store: Store
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
            self.store,
            self.readers,
            self.audit,
            governed.audit_log,
            governed.audit_erasure,
            governed.approvals,
            self.imports,
            self.known,
        )

    @property
    def export(self) -> Export:
        """Everything that is kept of a reader."""
        customers = Customers(self.store)
        return Export(self.profiles, self.readers, customers, self.governance.audit_log, self.erasure)

    def start(self) -> None:
        """Starts the threads that watch the store and keep what is known. Once a process, after any fork."""
        self.store.link.start()
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
        self.store.link.close()


def build(
    settings: Settings,
    store_url: str,
    *,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
    patience: float = PATIENCE,
) -> Service:
    """Puts the pieces together around the store at `store_url`; nothing connects yet.

    `patience`: seconds for the store to answer before it counts as away.
    """
    clock = clock or clock_of(settings.demo_clock)
    metrics = metrics or Metrics()
    keys = Keys(settings.prefix)
    link = Link(
        parse_address(store_url),
        timeout=patience,
        on_change=reports.store_changed(metrics),
        probe_key=keys.shared("probe"),
    )
    store = Store(link, keys)
    secrets = Secrets(store, settings.secrets)
    log = AuditLog(store)
    audit = Audit(store, lambda: secrets.signer("audit"), log, on_refused=reports.forged, clock=clock)
    known = Known(settings.data, settings.catalogue.failure.known_for, clock=clock, on_error=reports.unwritten)
    base = Base(settings, clock, metrics, store, secrets, Readers(store), log, audit, known)
    return _around(base)


@dataclass(frozen=True)
class Base:
    """What everything else is put together around."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    store: Store
    secrets: Secrets
    readers: Readers
    audit_log: AuditLog
    audit: Audit
    known: Known


def _around(base: Base) -> Service:
    settings, store, secrets = base.settings, base.store, base.secrets
    catalogue, clock, readers, audit, known = settings.catalogue, base.clock, base.readers, base.audit, base.known
    gateway = Gateway(settings.stripe_api_key, settings.stripe_api_base) if settings.stripe_api_key else None
    engine = Engine(store, readers, catalogue, gateway=gateway, known=known, report=reports.trouble)
    shared = sharing.build(catalogue, store, lambda: secrets.signing_keys("pass"), audit, readers)
    desk = Desk(catalogue, store, readers, known, shared.gate)
    decision_ids = DecisionIds(lambda: secrets.sealer("decision"), catalogue, Spill(store, KEPT))
    grants = Grants(readers, catalogue, audit, known)
    governed = _governed(base, grants, desk, decision_ids)
    approving, failed = governed.approving, reports.import_failed
    return Service(
        settings=settings,
        clock=clock,
        metrics=base.metrics,
        store=store,
        secrets=secrets,
        readers=readers,
        audit=audit,
        known=known,
        grants=grants,
        desk=desk,
        profiles=Profiles(catalogue, store, readers),
        decision_ids=decision_ids,
        gateway=gateway,
        prices=Prices(gateway, catalogue),
        prices_changed=Signal(store, "prices"),
        engine=engine,
        stripe_admin=Admin(engine, audit, Merges(store, readers, catalogue)),
        governance=governed,
        imports=build_imports(catalogue, store, secrets, audit, known, approving, clock, report=failed),
        sharing=shared,
        overview=overview.build(catalogue, store, readers, engine, clock),
    )


def _governed(base: Base, grants: Grants, desk: Desk, decision_ids: DecisionIds) -> Governance:
    settings = base.settings
    return governance.build(
        settings.catalogue,
        {key.name for key in (*settings.site_keys, *settings.admin_keys)},
        base.store,
        base.secrets,
        base.audit,
        base.audit_log,
        base.readers,
        grants,
        desk,
        decision_ids,
        base.clock,
        reports.broken_chain,
    )
