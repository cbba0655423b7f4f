"""The worker: catch-up, full sync, scheduled jobs, and the audit entries and merges that other processes left unfinished.

Several may run; a lease in the store elects the one that works. Everything it does is idempotent, also beside the web
processes. Without a Stripe key it finishes what payloads allow.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from service.adapters.redis.service_state.coordination import LeaderElection
from service.adapters.stripe.observation import UNREACHABLE
from service.domain.errors import StoreUnavailable, StripeFailure
from service.use_cases.subscriptions.catch_up import EVERY, CatchUp, CatchUpResult
from service.use_cases.subscriptions.event_processor import EventProcessor
from service.use_cases.subscriptions.full_sync import FullSync, FullSyncResult
from service.use_cases.subscriptions.scheduled_jobs import READ_AGAIN_AFTER, ScheduledJobs
from service.use_cases.subscriptions.subscription_admin import SubscriptionAdmin

Found = TypeVar("Found")

TICK = 1.0
"""Seconds between two rounds, and between two tries to become the leader."""
RENEW_EVERY = 4.0
"""Seconds between two renewals of the lease."""
ROUND = 4.0
"""Seconds that the parts of a round may take together, where they can be interrupted."""
SYNC_AGAIN_AFTER = 60.0
"""Seconds until a full sync that Stripe interrupted starts again."""
TRIM_EVERY = 600.0
CLOCK_STEP = 1.0
"""Seconds by which the clock must fall behind the timer in a round to count as set back."""


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a round did: objects processed, audit entries and merges finished, what catch-up and full sync found."""

    objects: int = 0
    audit: int = 0
    merges: int = 0
    caught_up: CatchUpResult | None = None
    full_sync: FullSyncResult | None = None
    """`None`: it was not due."""
    left: int = 0
    """Objects that are still to be read from Stripe."""
    trouble: str | None = None
    """Why requests to Stripe failed; `None` if they did not."""


class MaintenanceTasks(Protocol):
    """What the worker needs of `Maintenance`."""

    def settle(self, now: float) -> int: ...
    def run_due(self, has_time: Callable[[], bool]) -> None: ...
    def run_all(self) -> None: ...
    def record_catch_up(self, found: CatchUpResult) -> None: ...
    def record_full_sync(self, found: FullSyncResult) -> None: ...


class Worker:
    """One a process. Price events call `prices_changed`."""

    def __init__(
        self,
        processor: EventProcessor,
        admin: SubscriptionAdmin,
        leader: LeaderElection,
        maintenance: MaintenanceTasks,
        *,
        clock: Callable[[], float],
        prices_changed: Callable[[], None] = lambda: None,
        report: Callable[[str, str], None] = lambda what, why: None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._processor = processor
        self._admin = admin
        self._catch_up = CatchUp(processor)
        self._leader = leader
        self._scheduled_jobs = ScheduledJobs(processor)
        self._full_sync = FullSync(processor)
        self._maintenance = maintenance
        self._clock = clock
        self._prices_changed = prices_changed
        self._report = report
        self._timer = timer
        self._next_catch_up = self._next_trim = self._next_sync = self._next_look_ahead = 0.0
        self._clock_ahead = math.inf
        self._sync_steps: Iterator[None] | None = None
        self._synced = FullSyncResult()
        self._stop = threading.Event()
        self._is_leader = threading.Event()

    def run(self) -> None:
        """Work while this process is the leader, until `stop`."""
        election = threading.Thread(target=self._stay_leader, name="leader", daemon=True)
        election.start()
        while not self._stop.is_set():
            try:
                if self._is_leader.is_set():
                    self._round()
            except StoreUnavailable:
                pass  # The breaker logs it; the next round tries again.
            except Exception as error:  # A failed round must not end the worker.
                self._report("worker_failed", type(error).__name__)
            self._stop.wait(TICK)
        election.join(RENEW_EVERY)
        try:
            self._leader.release()
        except StoreUnavailable:
            return  # The lease expires by itself.

    def _stay_leader(self) -> None:
        """Renew the lease in a thread of its own: a round may take long, as a first catch-up does."""
        while not self._stop.is_set():
            try:
                leads = self._leader.acquire()
            except StoreUnavailable:
                leads = False
            except Exception as error:  # Without this thread the worker would lead for ever, or never.
                self._report("worker_failed", type(error).__name__)
                leads = False
            if leads:
                self._is_leader.set()
            else:
                self._is_leader.clear()
                self._next_catch_up = 0.0  # A new leader starts with a catch-up, and with all that waits.
                self._clock_ahead = math.inf
            self._stop.wait(RENEW_EVERY if leads else TICK)

    def stop(self) -> None:
        """End `run` after the object in progress."""
        self._stop.set()

    def run_once(self) -> RoundResult:
        """Process everything that is due, pending or unconfirmed, whatever its back-off, without being the leader.

        With a Stripe key it also catches up, and runs the full sync if that is due. Raises: `StoreUnavailable`.
        """
        now = self._clock()
        caught_up, trouble = self._try_catch_up()
        synced = None
        if trouble is None and self._full_sync.is_due(now):
            synced, trouble = self._try("sweep_failed", self.full_sync)
        unread = set(self._processor.pending_work.list_to_refresh(float("inf")))
        merges, is_unreachable = self._admin.finish_merges(now), trouble == UNREACHABLE
        objects = self._scheduled_jobs.run_due(now, everything=True, stripe_unavailable=is_unreachable)
        self._processor.ledger.trim(now)
        audit = self._maintenance.settle(self._clock())
        self._maintenance.run_all()
        unread &= set(self._processor.pending_work.list_to_refresh(float("inf")))
        left = len(unread) if self._processor.gateway is not None else 0
        return RoundResult(objects, audit, merges, caught_up, synced, left, trouble)

    def catch_up(self, *, dry_run: bool = False) -> CatchUpResult | None:
        """Catch up with Stripe's events; return `None` without a key. Raises: `StripeFailure`, `StoreUnavailable`."""
        if self._processor.gateway is None:
            return None
        now = self._clock()
        found = self._catch_up.catch_up(self._processor.gateway, now, dry_run=dry_run)
        if not dry_run:
            self._maintenance.record_catch_up(found)
        return found

    def full_sync(self, *, dry_run: bool = False) -> FullSyncResult | None:
        """Compare every object with Stripe's; return `None` without a key. Raises: `StripeFailure`, `StoreUnavailable`."""
        if self._processor.gateway is None:
            return None
        found = self._full_sync.sync_all(self._processor.gateway, self._clock(), dry_run=dry_run)
        if not dry_run:
            self._maintenance.record_full_sync(found)
        return found

    def _round(self) -> None:
        started = self._timer()
        now = self._clock()
        if now - started < self._clock_ahead - CLOCK_STEP:
            self._processor.pending_work.make_due(now)
        elif started >= self._next_look_ahead:
            self._next_look_ahead = started + READ_AGAIN_AFTER
            self._processor.pending_work.make_due(now, later_than=now + READ_AGAIN_AFTER)
        self._clock_ahead = now - started
        if started >= self._next_catch_up:
            self._next_catch_up = started + EVERY
            self._try_catch_up()
        self._maintenance.settle(self._clock())
        self._admin.finish_merges(now)
        self._scheduled_jobs.run_due(now, goes_on=lambda: self._has_time(started))
        if started >= self._next_trim:
            self._next_trim = started + TRIM_EVERY
            self._processor.ledger.trim(now)
        self._continue_full_sync(started)
        self._maintenance.run_due(lambda: self._has_time(started))

    def _has_time(self, started: float) -> bool:
        return not self._stop.is_set() and self._timer() - started < ROUND

    def _try_catch_up(self) -> tuple[CatchUpResult | None, str | None]:
        found, trouble = self._try("catch_up_failed", self.catch_up)
        if found is not None and found.prices:
            self._prices_changed()
        return found, trouble

    def _try(self, what: str, work: Callable[[], Found | None]) -> tuple[Found | None, str | None]:
        """Return what the work found, and why requests to Stripe failed."""
        try:
            return work(), None
        except StripeFailure as failure:
            self._report(what, failure.why)
            return None, failure.why

    def _continue_full_sync(self, started: float) -> None:
        """Run a part of the nightly full sync, as far as there is time in this round."""
        gateway, now = self._processor.gateway, self._clock()
        if gateway is None or started < self._next_sync:
            return
        if self._sync_steps is None:
            if not self._full_sync.is_due(now):
                return
            self._synced = FullSyncResult()
            self._sync_steps = self._full_sync.sync_steps(gateway, now, self._synced)
        try:
            while self._has_time(started):
                if next(self._sync_steps, self) is self:
                    self._sync_steps = None
                    self._maintenance.record_full_sync(self._synced)
                    return
        except StripeFailure as failure:
            self._sync_steps, self._next_sync = None, started + SYNC_AGAIN_AFTER
            self._report("sweep_failed", failure.why)
