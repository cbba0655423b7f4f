"""Read what the metrics report of the state that all processes share. A background task of each web process calls this."""

from __future__ import annotations

import time
from collections.abc import Callable

from service.adapters.observability.state_gauges import Figures, StateGauges
from service.adapters.redis.audit.audit import AuditWriter
from service.adapters.redis.client.store import Store
from service.adapters.redis.reporting.alert_flags import AlertStore
from service.adapters.redis.service_state.coordination import LEADS_FOR, LeaderElection
from service.adapters.redis.stripe_objects.objects import PendingWork
from service.use_cases.approvals.approval_workflow import ApprovalWorkflow
from service.use_cases.imports.bulk_imports import BulkImports
from service.use_cases.providers.snapshots import Snapshots

EVERY = 2.0
"""Seconds between two readings. A reading takes about ten short round trips."""


class StateMetrics:
    """Updates the gauges. `clock` is the service's clock; leases and Prometheus have the machine's."""

    def __init__(
        self,
        store: Store,
        gauges: StateGauges,
        audit: AuditWriter,
        imports: BulkImports,
        approvals: ApprovalWorkflow,
        *,
        snapshots: Snapshots,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._gauges = gauges
        self._audit = audit
        self._imports = imports
        self._approvals = approvals
        self._snapshots = snapshots
        self._clock = clock
        self._leader = LeaderElection(store, LEADS_FOR)
        self._pending_work = PendingWork(store)
        self._alert_store = AlertStore(store)
        self._next = 0.0
        self._heartbeat = 0.0

    def tick(self) -> None:
        """Read the state if that is due. Raises: StoreUnavailable; the gauges then stay as they are."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            self._gauges.update(self.read(time.time()))

    def read(self, at: float) -> dict[str, Figures]:
        """Return the figures by metric. `at` is the machine's time. Raises: StoreUnavailable."""
        counts = self._pending_work.count()
        renewed = self._leader.seconds_since_renewal()
        if renewed is not None:
            self._heartbeat = at - renewed
        caught_up = self._alert_store.load_flags().get("caught_up")
        providers = self._snapshots.list_states()
        return {
            "paywall_state_timestamp_seconds": {"": at},
            "paywall_worker_heartbeat_timestamp_seconds": {"": self._heartbeat},
            "paywall_last_catch_up_timestamp_seconds": {"": caught_up.at if caught_up else 0},
            "paywall_last_full_sync_timestamp_seconds": {"": self._pending_work.load_moment("sweep") or 0},
            "paywall_stripe_events": {"pending": counts["pending"], "dead": counts["dead"]},
            "paywall_stripe_objects_waiting": {"refresh": counts["unread"], "fan_out": counts["unspread"]},
            "paywall_audit_entries_waiting": {"": self._audit.count_waiting()},
            "paywall_imports": self._imports.store.count_open(),
            "paywall_approvals_waiting": {"": len(self._approvals.list_waiting(self._clock()))},
            "paywall_second_trials": {"": self._alert_store.list_objects("trials", 1)[0]},
            "paywall_provider_snapshot_timestamp_seconds": {one.id: state.at or 0 for one, state in providers},
            "paywall_provider_snapshot_expected_seconds": {one.id: one.expected_every or 0 for one, _ in providers},
            "paywall_provider_snapshot_refused": {one.id: int(state.refused is not None) for one, state in providers},
            "paywall_store_memory_used_ratio": {"": self._store.link.memory().share},
        }
