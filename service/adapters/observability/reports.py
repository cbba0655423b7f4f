"""What the pieces tell of when something goes wrong, in constant words: the log and the metrics hear of it."""

from __future__ import annotations

from collections.abc import Callable

from service.adapters.observability.telemetry import Metrics, log, where


def store_changed(metrics: Metrics) -> Callable[[bool, str], None]:
    """Tells of the store's coming and going."""

    def changed(available: bool, why: str) -> None:
        metrics.store_up.set(1 if available else 0)
        if available:
            log().info("store_available")
        else:
            metrics.outages.labels(why).inc()
            log().warning("store_unavailable", why=why)

    return changed


def trouble(what: str, why: str) -> None:
    """Stripe could not be asked, or did not want to."""
    log().warning("stripe_trouble", what=what, why=why)


def forged(count: int) -> None:
    """Entries in an outbox that are not ours."""
    log().error("audit_entries_not_ours", count=count)


def broken_chain(seq: int) -> None:
    """The audit chain does not verify."""
    log().error("audit_chain_broken", first_bad=seq)


def import_failed(what: str, error: Exception) -> None:
    """An import could not go on; it is tried again."""
    log().error(what, error=type(error).__name__, where=where(error))


def unwritten(error: Exception) -> None:
    """What is known for an outage could not be written."""
    log().error("known_readers_unwritten", error=type(error).__name__)
