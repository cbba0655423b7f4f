"""What is put together around the engine: what admins say of Stripe's facts, and the worker."""

from __future__ import annotations

from collections.abc import Callable

from service.adapters.observability.telemetry import log
from service.adapters.redis.service_state.leader import Leader
from service.bootstrap import Service
from service.use_cases.operations.maintenance import Housekeeping
from service.use_cases.operations.worker import Worker
from service.use_cases.reporting.entitlement_counts import Stocktaking
from service.use_cases.subscriptions.catch_up import CatchUp


def worker_of(service: Service, settle_more: Callable[[], int] = lambda: 0) -> Worker:
    """The worker of a service. `settle_more` does what else was left behind, and gives how much."""
    return Worker(
        service.engine,
        service.stripe_admin,
        CatchUp(service.engine, service.store),
        Leader(service.store),
        settle_audit=lambda: service.governance.upkeep(service.clock()) + settle_more(),
        clock=service.clock,
        aside=housekeeping_of(service),
        prices_changed=service.prices_changed.send,
        report=trouble,
    )


def housekeeping_of(service: Service) -> Housekeeping:
    """What the worker keeps in order beside Stripe's facts."""
    overview = service.overview
    stock = Stocktaking(service.engine, overview.ends, overview.activity.store)
    return Housekeeping(overview, stock, service.sharing, service.clock)


def trouble(what: str, why: str) -> None:
    """Tells of what the worker could not do, by constant words."""
    log().warning("worker_trouble", what=what, why=why)
