"""Prometheus metrics that add up over processes. No label names a reader, a visitor or a payload."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from service.adapters.observability.logs import log

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The service's metrics. One a process; `PROMETHEUS_MULTIPROC_DIR` makes them add up over processes."""

    def __init__(self) -> None:
        shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self.registry = CollectorRegistry()
        own = self.registry if not shared else None
        self.requests = Counter("paywall_requests", "Requests answered.", ["route", "method", "status"], registry=own)
        self.seconds = Histogram(
            "paywall_request_seconds", "Seconds to answer.", ["route"], buckets=BUCKETS, registry=own
        )
        self.decisions = Counter(
            "paywall_decisions", "Answers to /v1/access, by what was shown and why.", ["show", "reason"], registry=own
        )
        self.degraded = Counter("paywall_degraded", "Answers given while the store was unavailable.", registry=own)
        self.outages = Counter(
            "paywall_store_outages", "Times the store became unavailable, by why.", ["why"], registry=own
        )
        self.store_up = Gauge(
            "paywall_store_up",
            "1 while the store can be reached, in the worst-off process.",
            registry=own,
            multiprocess_mode="livemin",
        )
        self.crashes = Counter("paywall_crashes", "Requests that failed unexpectedly.", registry=own)
        self.webhooks = Counter("paywall_webhooks", "Deliveries from Stripe, by outcome.", ["outcome"], registry=own)
        self._shared = shared

    def exposition(self) -> bytes:
        """Return the metrics of all processes, in Prometheus' text format."""
        if not self._shared:
            return generate_latest(self.registry)
        _drop_gauges_of_ended_processes()
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library leaves it untyped
        return generate_latest(registry)

    def report_store_change(self, available: bool, why: str) -> None:
        """Count and log that the store became available or unavailable; `why` is `StoreUnavailable.why`."""
        self.store_up.set(1 if available else 0)
        if available:
            log().info("store_available")
        else:
            self.outages.labels(why).inc()
            log().warning("store_unavailable", why=why)


def _drop_gauges_of_ended_processes() -> None:
    """Remove the gauges of processes that were killed; what they counted stays."""
    for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        if not _runs(process):
            with suppress(FileNotFoundError):  # another process removed it at the same moment
                multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]  # the library leaves it untyped


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError):  # it has ended, or its number is another user's process now
        return False
    return True
