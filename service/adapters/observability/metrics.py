"""Prometheus metrics that add up over processes. No label names a reader, a visitor or a payload.

Each label value that can be known exists from the start, at 0: Prometheus would not see the first event of a counter that
appears with it. `docs/reference/metrics.md` describes every metric.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values

from service.adapters.observability.exposition import SharedExposition
from service.adapters.observability.logs import log
from service.adapters.observability.state_gauges import StateGauges
from service.adapters.observability.value_files import FileValue, keep_values_in
from service.adapters.redis.client.errors import OUTAGE_WORDS
from service.adapters.stripe.observation import StripeOutcome, StripeRequest
from service.adapters.stripe.webhook import Why
from service.domain.decision import OPEN_REASONS
from service.domain.meter import VisitorRefusal
from service.domain.sources import Reason

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds: an access check takes less than a millisecond, a request that waits for Stripe some seconds."""
STRIPE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

SignInMethod = Literal["key", "link", "openid"]
SignInOutcome = Literal["succeeded", "failed"]
ProcessKind = Literal["web", "worker"]


class RequestSeconds(Histogram):
    """A histogram that takes many amounts at once: a write for each bucket and their sum, not two for each amount."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Observe each amount, by the attributes with which `Histogram.observe` counts one."""
        self._sum.inc(sum(amounts))
        counts: dict[int, int] = {}
        for amount in amounts:
            place = bisect_left(self._upper_bounds, amount)
            counts[place] = counts.get(place, 0) + 1
        for place, count in counts.items():
            self._buckets[place].inc(count)


class Metrics:
    """The service's metrics. One a process; `PROMETHEUS_MULTIPROC_DIR` makes them add up over processes."""

    def __init__(self) -> None:
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        self._folder = Path(folder) if folder else None
        self.registry = CollectorRegistry()
        self.state = StateGauges()
        self._shared = SharedExposition(self._folder, self.state) if self._folder else None
        if self._folder:
            values.ValueClass = FileValue  # The metrics below look it up.
        own = None if folder else self.registry
        counter, gauge = partial(Counter, registry=own), partial(Gauge, registry=own)
        self.requests = counter("paywall_requests", "Requests answered.", ["route", "method", "status"])
        self.seconds = RequestSeconds(
            "paywall_request_seconds", "Seconds to answer.", ["route"], registry=own, buckets=BUCKETS
        )
        self.decisions = counter(
            "paywall_decisions", "Answers to /v1/access, by what was shown and why.", ["show", "reason"]
        )
        self.comparisons = counter(
            "paywall_comparisons",
            "Answers to /v1/access that differ from the incumbent paywall's, by what each showed and why.",
            ["ours", "theirs", "reason"],
        )
        self.degraded = counter("paywall_degraded", "Answers given while the store was unavailable.")
        self.outages = counter("paywall_store_outages", "Times the store became unavailable, by why.", ["why"])
        self.store_up = gauge(
            "paywall_store_up",
            "1 while the store can be reached, in the worst-off process.",
            multiprocess_mode="livemin",
        )
        self.uncounted_visitors = counter(
            "paywall_uncounted_visitors",
            "Reads of new visitors who were not counted, by why: store_memory or address_limit.",
            ["reason"],
        )
        self.crashes = counter("paywall_crashes", "Requests that failed unexpectedly.")
        self.webhooks = counter("paywall_webhooks", "Deliveries from Stripe, by outcome.", ["outcome"])
        self.sign_ins = counter("paywall_sign_ins", "Sign-ins of staff.", ["method", "outcome"])
        self.stripe_requests = counter("paywall_stripe_requests", "Requests to Stripe's API, by outcome.", ["outcome"])
        self.stripe_seconds = Histogram(
            "paywall_stripe_request_seconds", "Seconds that Stripe takes.", registry=own, buckets=STRIPE_BUCKETS
        )
        self.stripe_configured = gauge(
            "paywall_stripe_configured", "1 if a Stripe API key is set.", multiprocess_mode="livemax"
        )
        self._build = gauge(
            "paywall_build_info",
            "1, with the version of the service and of Python.",
            ["version", "python"],
            multiprocess_mode="livemax",
        ).labels(version("paywall"), platform.python_version())
        self.processes = ProcessMetrics(own)
        self._declare()

    def _declare(self) -> None:
        """Create each label value that can be known. Routes are declared by `RequestLog.declare`."""
        for reason in Reason:
            if reason in OPEN_REASONS or reason == Reason.STORE_UNAVAILABLE:
                self.decisions.labels("full", reason)
                self.comparisons.labels("full", "upsell", reason)
            if reason not in OPEN_REASONS:
                self.decisions.labels("upsell", reason)
                self.comparisons.labels("upsell", "full", reason)
        for why in OUTAGE_WORDS:
            self.outages.labels(why)
        for outcome in ("done", "pending", "ignored", "repeat", "unrecorded", *get_args(Why)):
            self.webhooks.labels(outcome)
        for method in get_args(SignInMethod):
            for outcome in get_args(SignInOutcome):
                self.sign_ins.labels(method, outcome)
        for outcome in get_args(StripeOutcome):
            self.stripe_requests.labels(outcome)
        for refusal in get_args(VisitorRefusal):
            self.uncounted_visitors.labels(refusal)

    def start(self, kind: ProcessKind, *, has_stripe: bool) -> None:
        """Record the start of this process. Call it once, after any fork: nothing is counted before."""
        if self._folder is not None:
            keep_values_in(self._folder)
        self._build.set(1)
        self.stripe_configured.set(1 if has_stripe else 0)
        self.processes.start(kind)

    def exposition(self) -> bytes:
        """Return the metrics of all processes, in Prometheus' text format."""
        return self._shared.read() if self._shared is not None else generate_latest(self.registry)

    def count_sign_in(self, method: SignInMethod, outcome: SignInOutcome) -> None:
        """Count a sign-in of staff, or an attempt that failed."""
        self.sign_ins.labels(method, outcome).inc()

    def count_refused_visitor(self, reason: VisitorRefusal) -> None:
        """Count a read of a new visitor who was not counted."""
        self.uncounted_visitors.labels(reason).inc()

    @contextmanager
    def observe_stripe(self, method: str, template: str) -> Iterator[StripeRequest]:
        """Count and time a request to Stripe."""
        request, begun = StripeRequest(), time.perf_counter()
        try:
            yield request
        finally:
            self.stripe_seconds.observe(time.perf_counter() - begun)
            self.stripe_requests.labels(request.outcome).inc()

    def report_store_change(self, available: bool, why: str, detail: str) -> None:
        """Count and log that the store became available or unavailable: `why` and the text of a `StoreUnavailable`."""
        self.store_up.set(1 if available else 0)
        if available:
            log().info("store_available")
        else:
            self.outages.labels(why).inc()
            log().warning("store_unavailable", why=why, **({} if detail == why else {"detail": detail}))


class ProcessMetrics:
    """What the processes of each kind use. The web server's own parent and the supervisor are not among them.

    The memory is the sum over the processes. Of file descriptors it is the process with the most that counts.
    """

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._cpu = Counter("process_cpu_seconds", "CPU time, in user and system mode.", ["process"], registry=registry)
        self._running = _gauge("paywall_processes", "Processes that run.", "livesum", registry)
        self._memory = _gauge("process_resident_memory_bytes", "Resident memory.", "livesum", registry)
        self._open = _gauge("process_open_fds", "Open file descriptors, the most of a process.", "livemax", registry)
        self._most = _gauge("process_max_fds", "Limit of open file descriptors.", "livemax", registry)
        self._started = _gauge("process_start_time_seconds", "When the newest process started.", "livemax", registry)
        self._kind: ProcessKind = "web"
        self._cpu_counted = 0.0
        for kind in get_args(ProcessKind):
            for metric in (self._cpu, self._running, self._memory, self._open, self._most, self._started):
                metric.labels(kind)

    def start(self, kind: ProcessKind) -> None:
        """Record the start of this process."""
        self._kind = kind
        self._running.labels(kind).set(1)
        self._started.labels(kind).set(time.time())
        self.record()

    def record(self) -> None:
        """Record what this process uses now; a background task calls this."""
        cpu = time.process_time()
        self._cpu.labels(self._kind).inc(cpu - self._cpu_counted)
        self._cpu_counted = cpu
        self._most.labels(self._kind).set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        with suppress(FileNotFoundError):  # Only Linux has /proc.
            self._open.labels(self._kind).set(len(os.listdir("/proc/self/fd")))
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self._memory.labels(self._kind).set(pages * resource.getpagesize())


def _gauge(name: str, description: str, mode: Literal["livesum", "livemax"], own: CollectorRegistry | None) -> Gauge:
    return Gauge(name, description, ["process"], registry=own, multiprocess_mode=mode)
