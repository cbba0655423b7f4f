"""Test an unavailable Stripe: payloads count unconfirmed and are confirmed when Stripe answers."""

from __future__ import annotations

from typing import Any

import pytest

from service.adapters.redis.audit.audit import Actor
from tests.store_servers import ON_VALKEY

pytestmark = ON_VALKEY

DAY = 86_400
NOW = 2_000_000_000
BOTH = ["notebook", "no_ads"]


def source(stage: Any, reader: str = "r-1") -> Any:
    (found,) = stage.readers.load_all(reader)
    return found


def test_payload_counts_unconfirmed_and_is_confirmed_later(stage: Any, make: Any, run_jobs: Any) -> None:
    stage.stripe.away = True
    event = make.deliver("customer.subscription.created", make.subscription())
    assert stage.held("r-1", NOW) == dict.fromkeys(BOTH, NOW + 12 * DAY)
    assert source(stage).confirmed is False
    assert stage.processor.ledger.find(event["id"]).state == "applied"
    stage.stripe.away = False
    run_jobs(NOW + 90)
    assert source(stage).confirmed is True
    assert stage.processor.pending_work.count()["unread"] == 0


def test_without_a_stripe_key_only_payloads_count(stage: Any, make: Any, run_jobs: Any) -> None:
    processor = stage.make(gateway=None)
    stage.deliver(make.event("customer.subscription.created", make.subscription()), NOW, processor)
    assert stage.held("r-1", NOW) == dict.fromkeys(BOTH, NOW + 12 * DAY)
    assert source(stage).confirmed is False


def test_without_a_stripe_key_no_event_waits_for_a_read(stage: Any, make: Any) -> None:
    """The objects stay marked, so that they are read once a key is set."""
    processor = stage.make(gateway=None)
    created = make.event("customer.subscription.created", make.subscription())
    invoice = make.event("invoice.paid", {"id": "in_1", "object": "invoice", "subscription": "sub_1"})
    charge = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1", "amount": 300, "amount_refunded": 300}
    refunded = make.event("charge.refunded", charge)
    for event in (created, invoice, refunded):
        stage.deliver(event, NOW, processor)
    why = stage.processor.ledger.find(created["id"]).why
    assert why == "from the payload: no Stripe key is set to read the object with"
    assert processor.replay_event(created["id"], "subscription:sub_1", NOW + 5)
    entries = [stage.processor.ledger.find(event["id"]) for event in (created, invoice, refunded)]
    assert [(entry.state, entry.why) for entry in entries] == [
        ("applied", "from what is stored: no Stripe key is set to read the object with"),
        ("ignored", "it reports nothing itself, and no Stripe key is set to read the object with"),
        ("applied", "kept until its Checkout session is known: no Stripe key is set to look for it"),
    ]
    assert stage.processor.pending_work.count()["unread"] == 2


def test_event_without_own_data_waits_until_stripe_answers(stage: Any, make: Any, run_jobs: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    stage.stripe.away = True
    stage.stripe.put(make.subscription(end=NOW + 40 * DAY))
    invoice = make.event("invoice.paid", {"id": "in_1", "object": "invoice", "subscription": "sub_1"})
    stage.deliver(invoice, NOW)
    assert stage.processor.ledger.find(invoice["id"]).state == "pending"
    assert stage.held("r-1", NOW) == dict.fromkeys(BOTH, NOW + 12 * DAY)
    assert source(stage).confirmed is True
    run_jobs(NOW + 60, everything=False)
    assert stage.processor.ledger.find(invoice["id"]).state == "pending"
    stage.stripe.away = False
    run_jobs(NOW + 200, everything=False)
    assert stage.processor.ledger.find(invoice["id"]).state == "applied"
    assert stage.held("r-1", NOW) == dict.fromkeys(BOTH, NOW + 42 * DAY)


def test_long_stripe_outage_makes_no_event_dead(stage: Any, make: Any, run_jobs: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    stage.stripe.away = True
    invoice = make.event("invoice.paid", {"id": "in_1", "object": "invoice", "subscription": "sub_1"})
    stage.deliver(invoice, NOW)
    for hour in range(1, 30):
        run_jobs(NOW + hour * 3600, everything=False)
    assert stage.processor.ledger.find(invoice["id"]).state == "pending"
    stage.stripe.away = False
    run_jobs(NOW + 31 * 3600, everything=False)
    assert stage.processor.ledger.find(invoice["id"]).state == "applied"


def given_up(stage: Any, make: Any, run_jobs: Any) -> Any:
    """Make an event without own data dead: ten forced attempts while Stripe is unavailable."""
    make.deliver("customer.subscription.created", make.subscription())
    stage.stripe.away = True
    stage.stripe.put(make.subscription(end=NOW + 40 * DAY))
    invoice = make.event("invoice.paid", {"id": "in_1", "object": "invoice", "subscription": "sub_1"})
    stage.deliver(invoice, NOW)
    for tried in range(1, 10):
        assert (entry := stage.processor.ledger.find(invoice["id"])).state == "pending"
        assert entry.attempts == tried
        run_jobs(NOW + tried)
    assert stage.processor.ledger.find(invoice["id"]).state == "dead"
    assert [entry.id for entry in stage.processor.ledger.load_page(9, dead=True)[0]] == [invoice["id"]]
    return invoice


def test_event_dead_after_ten_attempts_can_be_replayed(stage: Any, make: Any, run_jobs: Any, admin: Any) -> None:
    invoice = given_up(stage, make, run_jobs)
    stage.stripe.away = False
    admin.replay_event(invoice["id"], Actor("ada", "203.0.113.1"), NOW + 100)
    assert stage.processor.ledger.find(invoice["id"]).state == "applied"
    assert stage.processor.pending_work.count()["dead"] == 0
    assert stage.held("r-1", NOW) == dict.fromkeys(BOTH, NOW + 42 * DAY)


def test_event_dead_because_of_an_outage_is_finished_when_stripe_answers(stage: Any, make: Any, run_jobs: Any) -> None:
    invoice = given_up(stage, make, run_jobs)
    run_jobs(NOW + 100)
    assert stage.processor.ledger.find(invoice["id"]).state == "dead"
    stage.stripe.away = False
    run_jobs(NOW + 200, everything=False)
    assert stage.processor.ledger.find(invoice["id"]).state == "applied"
    assert stage.processor.pending_work.count()["dead"] == 0
    assert stage.held("r-1", NOW) == dict.fromkeys(BOTH, NOW + 42 * DAY)


@pytest.mark.parametrize("first", ["older", "newer"])
def test_newer_payload_is_kept_in_any_order(stage: Any, make: Any, first: str) -> None:
    stage.stripe.away = True
    older = make.event("customer.subscription.created", make.subscription(status="incomplete"), NOW)
    newer = make.event("customer.subscription.updated", make.subscription(), NOW + 3)
    for event in [older, newer] if first == "older" else [newer, older]:
        stage.deliver(event, NOW + 5)
    assert set(stage.held("r-1", NOW + 5)) == set(BOTH)
    states = {stage.processor.ledger.find(event["id"]).state for event in (older, newer)}
    assert states == ({"applied"} if first == "older" else {"applied", "stale"})


def test_payload_received_during_a_read_is_not_lost(stage: Any, make: Any, run_jobs: Any) -> None:
    """A read that started before a later payload does not count, and Stripe is read again."""
    stage.stripe.put(make.subscription())
    first = make.event("customer.subscription.created", make.subscription())

    def cancelled_meanwhile(name: str) -> None:
        stage.stripe.on_read = lambda name: None
        stage.stripe.away = True
        now = make.event("customer.subscription.updated", make.subscription(status="unpaid"), NOW + 20)
        stage.stripe.put(now["data"]["object"])
        stage.deliver(now, NOW + 20, stage.make())
        stage.stripe.away = False

    stage.stripe.on_read = cancelled_meanwhile
    stage.deliver(first, NOW)
    run_jobs(NOW + 100)
    assert stage.held("r-1", NOW + 101) == {}
    assert source(stage).confirmed is True


def test_truncated_item_list_adds_items_and_removes_none(stage: Any, make: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    stage.stripe.away = True
    part = make.subscription(price="price_all_month")
    part["items"]["has_more"] = True
    stage.deliver(make.event("customer.subscription.updated", part, NOW + 5), NOW + 5)
    assert set(stage.held("r-1", NOW + 6)) == {"notebook", "no_ads", "newsmaker_events"}
