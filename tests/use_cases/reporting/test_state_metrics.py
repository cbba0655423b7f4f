"""Test the gauges of the shared state against a real store."""

from __future__ import annotations

import time
from typing import Any

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.service_state.coordination import LEADS_FOR, LeaderElection
from tests.in_process_app import InProcessApp, MakeApp


def test_state_of_an_empty_store_is_zero(valkey_app: InProcessApp) -> None:
    figures = valkey_app.service.state_metrics.read(1_000.0)
    assert figures["paywall_state_timestamp_seconds"] == {"": 1_000.0}
    others = {name: values for name, values in figures.items() if name != "paywall_state_timestamp_seconds"}
    assert {value for values in others.values() for value in values.values()} == {0}


def test_heartbeat_is_when_the_lease_was_renewed_and_stays_when_it_expires(valkey_app: InProcessApp) -> None:
    store, state = valkey_app.service.store, valkey_app.service.state_metrics
    leader = LeaderElection(store, LEADS_FOR)
    assert leader.acquire()
    now = time.time()
    first = state.read(now)["paywall_worker_heartbeat_timestamp_seconds"][""]
    assert now - LEADS_FOR <= first <= now
    leader.release()
    assert state.read(now + 60)["paywall_worker_heartbeat_timestamp_seconds"][""] == first


def test_waiting_audit_entry_and_approval_are_counted(make_app: MakeApp, valkey_url: str) -> None:
    app = make_app(valkey_url)
    app.grant("r-1")
    service = app.service
    approval = service.approvals.request(
        "test", {}, wants={}, reader=None, reason=None, actor=Actor("ann"), now=app.clock()
    )
    head = service.store.keys.audit_head
    service.store.link.call(head, b"DEL", head)
    service.store.link.call(head, b"SET", head, b"not a hash")
    app.grant("r-2")
    figures = service.state_metrics.read(1.0)
    assert figures["paywall_approvals_waiting"] == {"": 1}
    assert figures["paywall_second_trials"] == {"": 0}
    assert figures["paywall_audit_entries_waiting"] == {"": 1}
    assert approval.state == "waiting"


def test_memory_share_is_reported_where_the_store_has_a_limit(make_app: MakeApp, launch: Any) -> None:
    service = make_app(launch(maxmemory="100mb").url).service
    assert 0 < service.state_metrics.read(1.0)["paywall_store_memory_used_ratio"][""] < 1


def test_damaged_audit_chain_stops_no_other_work_and_keeps_its_entries(make_app: MakeApp, valkey_url: str) -> None:
    app = make_app(valkey_url)
    service = app.service
    app.grant("r-1")
    head, kept = service.store.keys.audit_head, service.store.keys.shared("kept")
    service.store.link.call(head, b"RENAME", head, kept)
    service.store.link.call(head, b"SET", head, b"not a hash")
    app.grant("r-2")
    app.clock.now += 3_600
    service.maintenance.settle(app.clock())
    assert service.state_metrics.read(1.0)["paywall_audit_entries_waiting"] == {"": 1}
    service.store.link.call(head, b"RENAME", kept, head)
    assert service.maintenance.settle(app.clock()) == 1
    assert service.state_metrics.read(1.0)["paywall_audit_entries_waiting"] == {"": 0}
