"""What the worker maintains beside Stripe's facts: the audit log, approvals, retention, statistics and short lists."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from service.adapters.redis.audit.audit import AuditWriter
from service.adapters.redis.grants.grants import GrantEndIndex
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.adapters.redis.staff.approvals import Approvals
from service.adapters.redis.story_passes.passes import Passes
from service.use_cases.approvals.approval_workflow import ApprovalWorkflow
from service.use_cases.privacy.retention import RetentionTask
from service.use_cases.reporting.alerts import Alerts
from service.use_cases.reporting.entitlement_counts import EntitlementCounts
from service.use_cases.reporting.usage_counters import UsageCounters
from service.use_cases.subscriptions.catch_up import CatchUpResult
from service.use_cases.subscriptions.full_sync import FullSyncResult

COUNT_EVERY = 3_600.0
CLEAN_UP_EVERY = 3_600.0
"""Seconds between two counts of the entitlements, and between two clean-ups of the lists."""
RETENTION_SECONDS = 1.0
"""The longest that one round of the worker spends on retention: it has other things to do."""


@dataclass(kw_only=True)
class Maintenance:
    """One per worker. Raises: StoreUnavailable from every method; the next round repeats what was not finished."""

    audit: AuditWriter
    approvals: Approvals
    approval_workflow: ApprovalWorkflow
    retention: RetentionTask
    erased: ErasedReaders
    usage_counters: UsageCounters
    alerts: Alerts
    entitlement_counts: EntitlementCounts
    passes: Passes
    grant_ends: GrantEndIndex
    clock: Callable[[], float]
    _next_count: float = field(default=0.0, init=False)
    _next_clean_up: float = field(default=0.0, init=False)
    _counting: Iterator[None] | None = field(default=None, init=False)

    def finish_pending(self, now: float) -> int:
        """Move audit entries into the chain and finish confirmed work. Return how many there were of both."""
        return self.audit.flush_all() + self.approval_workflow.finish_all(now)

    def settle(self, now: float) -> int:
        """Finish what is pending, drop expired approvals and apply retention. Return how much was done."""
        done = self.finish_pending(now) + self.audit.readmit_refused() + self.approvals.prune(now)
        return done + self.retention.run_for(now, RETENTION_SECONDS)

    def run_due(self, has_time: Callable[[], bool]) -> None:
        """Do what is due, as long as `has_time` returns true."""
        self.usage_counters.tick()
        started = time.monotonic()
        if started >= self._next_clean_up:
            self.clean_up()
            self._next_clean_up = started + CLEAN_UP_EVERY
        if self._counting is None and started >= self._next_count:
            self._next_count = started + COUNT_EVERY
            self._counting = self.entitlement_counts.iterate_steps(self.clock())
        while self._counting is not None and has_time():
            counting, self._counting = self._counting, None  # A count that fails does not continue.
            if next(counting, self) is not self:
                self._counting = counting

    def run_all(self) -> None:
        """Do all of it, whether it is due or not."""
        self.clean_up()
        self.entitlement_counts.run(self.clock())
        self.usage_counters.flush()

    def record_catch_up(self, found: CatchUpResult) -> None:
        self.alerts.record_catch_up(found, self.clock())

    def record_full_sync(self, found: FullSyncResult) -> None:
        self.alerts.record_full_sync(found, self.clock())

    def clean_up(self) -> None:
        """Remove from the lists what has expired, and seal keys with the first secret."""
        now = self.clock()
        self.erased.load_keys()
        self.passes.prune_list(now)
        self.grant_ends.prune(now)
        self.alerts.remove_resolved(now)
