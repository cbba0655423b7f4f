"""Read what the metrics report of the state that all processes share. A background task of each web process calls this."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from service.adapters.observability.state_gauges import Figures, StateGauges
from service.adapters.redis.audit.audit import AuditWriter
from service.adapters.redis.client.store import Store
from service.adapters.redis.reporting.alert_flags import AlertStore
from service.adapters.redis.service_state.coordination import LeaderElection
from service.adapters.redis.stripe_objects.objects import PendingWork
from service.use_cases.approvals.approval_workflow import ApprovalWorkflow
from service.use_cases.imports.bulk_imports import BulkImports
from service.use_cases.providers.snapshots import Snapshots

EVERY = 2.0
"""Seconds between two readings. A reading takes about ten short round trips."""


@dataclass(kw_only=True)
class StateMetrics:
    """Updates the gauges. `clock` is the service's clock; leases and Prometheus have the machine's."""

    store: Store
    gauges: StateGauges
    audit: AuditWriter
    imports: BulkImports
    approvals: ApprovalWorkflow
    snapshots: Snapshots
    alert_store: AlertStore
    pending_work: PendingWork
    leader: LeaderElection
    clock: Callable[[], float]
    _next: float = field(default=0.0, init=False)
    _heartbeat: float = field(default=0.0, init=False)

    def tick(self) -> None:
        """Read the state if that is due. Raises: StoreUnavailable; the gauges then stay as they are."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            self.gauges.update(self.read(time.time()))

    def read(self, at: float) -> dict[str, Figures]:
        """Return the figures by metric. `at` is the machine's time. Raises: StoreUnavailable."""
        counts = self.pending_work.count()
        renewed = self.leader.seconds_since_renewal()
        if renewed is not None:
            self._heartbeat = at - renewed
        caught_up = self.alert_store.load_flags().get("caught_up")
        providers = self.snapshots.list_states()
        return {
            "paywall_state_timestamp_seconds": {"": at},
            "paywall_worker_heartbeat_timestamp_seconds": {"": self._heartbeat},
            "paywall_last_catch_up_timestamp_seconds": {"": caught_up.at if caught_up else 0},
            "paywall_last_full_sync_timestamp_seconds": {"": self.pending_work.load_moment("sweep") or 0},
            "paywall_stripe_events": {"pending": counts["pending"], "dead": counts["dead"]},
            "paywall_stripe_objects_waiting": {"refresh": counts["unread"], "fan_out": counts["unspread"]},
            "paywall_audit_entries_waiting": {"": self.audit.count_waiting()},
            "paywall_imports": self.imports.store.count_open(),
            "paywall_approvals_waiting": {"": len(self.approvals.list_waiting(self.clock()))},
            "paywall_second_trials": {"": self.alert_store.list_objects("trials", 1)[0]},
            "paywall_provider_snapshot_timestamp_seconds": {one.id: state.at or 0 for one, state in providers},
            "paywall_provider_snapshot_expected_seconds": {one.id: one.expected_every or 0 for one, _ in providers},
            "paywall_provider_snapshot_refused": {one.id: int(state.refused is not None) for one, state in providers},
            "paywall_store_memory_used_ratio": {"": self.store.link.memory().share},
        }
