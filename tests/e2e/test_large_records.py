"""Test records that grew large: no operation holds the store for longer than five milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from service.adapters.redis.audit.audit import Actor, audit_entry
from service.adapters.stripe.webhook import parse_api_event
from tests.running_service import WITH_GROUPS
from tests.stripe_fixtures import Made

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp

SOURCES, SEATS, KEYS, AUDIT_RECORDS = 300, 500, 1_000, 1_000_000
ANN = Actor("ann")


@pytest.mark.load
@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_large_records_hold_the_store_for_less_than_five_milliseconds(make_app: MakeApp, launch: Any) -> None:
    store = launch("valkey", slowlog_log_slower_than="5000", slowlog_max_len="1000")
    app: InProcessApp = make_app(store.url, WITH_GROUPS)
    service, now = app.service, app.clock()
    for start in range(0, AUDIT_RECORDS, 100):
        entries = [
            audit_entry(ANN, "grant.create", now=now, reader=f"r-{number % 1_000}", target=str(number))
            for number in range(start, start + 100)
        ]
        service.audit.append(entries)
    store.admin().slowlog_reset()
    for _ in range(SOURCES):
        app.grant("many-sources")
    group = Made.subscription(quantity=SEATS)
    group["items"]["data"][0] |= {"quantity": SEATS, "current_period_end": int(now) + 86_400}
    group["items"]["data"][0]["price"] |= {"id": "price_seat_month", "lookup_key": None}
    service.event_processor.receive_event(parse_api_event(Made.event("customer.subscription.created", group)), now)
    for number in range(SEATS):
        service.subscription_admin.assign_seat("sub_1", f"seat-{number}", ANN, now)
    for number in range(KEYS):
        service.admin_keys.create(f"key-{number}", "viewer", None, ANN, now)
    service.audit.flush_all()

    grant = app.grant("many-sources")["id"]
    reader = app.reader("many-sources")
    assert len(reader["sources"]) == SOURCES + 1
    assert app.ask("a", reader="many-sources")["reason"] == "grant"
    for method, path in (
        ("DELETE", f"/v1/readers/many-sources/grants/{grant}?reason=over"),
        ("GET", "/v1/readers/many-sources/export"),
        ("GET", "/v1/subscriptions/sub_1/seats"),
        ("DELETE", "/v1/subscriptions/sub_1/seats/seat-7?reason=left"),
        ("GET", "/v1/keys"),
        ("DELETE", "/v1/keys/key-7?reason=over"),
        ("GET", "/v1/audit?reader=many-sources"),
        ("GET", "/v1/audit?limit=100"),
    ):
        answer = app.call(method, path, admin=True)
        assert answer.status_code == 200, answer.text
    group["items"]["data"][0] |= {"quantity": 10}
    event = Made.event("customer.subscription.updated", group, id="evt_2", created=int(now))
    service.event_processor.receive_event(parse_api_event(event), now)
    service.event_processor.fan_out_soon("subscription:sub_1", now, "test")
    service.worker.run_once()
    slow = [(entry["duration"], entry["command"][:80]) for entry in store.admin().slowlog_get(1000)]
    assert slow == []
