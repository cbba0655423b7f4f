"""Test the event ledger: every event with its state and its changes."""

from __future__ import annotations

from typing import Any

import pytest

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.client.keys import partition_of
from service.adapters.redis.stripe_objects.ledger import BadCursor
from service.domain.errors import UnknownEvent

DAY = 86_400
NOW = 2_000_000_000
ADMIN = Actor("ada", "203.0.113.1")
THIN = {"object": "v2.core.event", "created": "2033-05-18T03:33:20.000Z"}


def state(stage: Any, event: Any) -> Any:
    return stage.processor.ledger.find(event["id"]).state


def test_event_record_lists_its_change(stage: Any, make: Any) -> None:
    event = make.deliver("customer.subscription.created", make.subscription())
    entry = stage.processor.ledger.find(event["id"])
    assert (entry.type, entry.object, entry.created) == ("customer.subscription.created", "sub_1", NOW)
    assert (entry.state, entry.why, entry.attempts, entry.duplicates) == ("applied", None, 1, 0)
    (change,) = entry.changes
    until = NOW + 12 * DAY
    assert (change.reader, change.before) == ("r-1", [])
    held = [["notebook", until, "subscription:sub_1"], ["no_ads", until, "subscription:sub_1"]]
    assert change.after == held
    over = make.deliver(
        "customer.subscription.deleted", make.subscription(status="canceled", ended_at=NOW + 1), NOW + 1
    )
    (change,) = stage.processor.ledger.find(over["id"]).changes
    assert (change.before, change.after) == (held, [])


def test_event_without_effect_lists_no_change(stage: Any, make: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    again = make.deliver("customer.subscription.updated", make.subscription(), NOW + 1)
    entry = stage.processor.ledger.find(again["id"])
    assert (entry.state, entry.changes) == ("applied", ())


def test_change_of_owner_lists_both_readers(stage: Any, make: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    event = make.deliver("customer.subscription.updated", make.subscription(reader="r-2"), NOW + 1)
    changes = {
        change.reader: (bool(change.before), bool(change.after))
        for change in stage.processor.ledger.find(event["id"]).changes
    }
    assert changes == {"r-1": (True, False), "r-2": (False, True)}


def test_refund_event_lists_the_pass_it_ended(stage: Any, make: Any) -> None:
    make.deliver("checkout.session.completed", make.session(), NOW)
    event = make.deliver("refund.created", make.refund(300), NOW + 1)
    (change,) = stage.processor.ledger.find(event["id"]).changes
    assert (change.reader, bool(change.before), change.after) == ("r-1", True, [])


def test_session_event_lists_the_subscription_it_started(stage: Any, make: Any) -> None:
    stage.stripe.put(make.subscription())
    begun = make.session(mode="subscription", subscription="sub_1", payment_intent=None)
    event = make.deliver("checkout.session.completed", begun)
    (change,) = stage.processor.ledger.find(event["id"]).changes
    assert (change.reader, change.before) == ("r-1", [])
    assert [row[0] for row in change.after] == ["notebook", "no_ads"]


def test_event_changing_several_sources_lists_the_whole_change(stage: Any, make: Any) -> None:
    for name in ("sub_1", "sub_2"):
        make.deliver("customer.subscription.created", make.subscription(name, reader=None))
    event = make.deliver("customer.updated", make.customer(reader="r-1"), NOW + 1)
    (change,) = stage.processor.ledger.find(event["id"]).changes
    assert change.before == []
    assert [row[0] for row in change.after] == ["notebook", "no_ads"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"type": "customer.discount.created"}, "this type is not handled"),
        ({"livemode": True}, "of the other mode"),
        ({"account": "acct_1"}, "of a connected account"),
        ({"data": {"object": {"object": "subscription"}}}, "it concerns no object that is stored here"),
        ({"type": "invoice.paid"}, "it concerns no object that is stored here"),
        ({**THIN, "type": "v1.charge.refunded"}, "it concerns no object that is stored here"),
        ({**THIN, "type": "v1.payout.paid"}, "this type is not handled"),
    ],
)
def test_unhandled_or_foreign_event_is_ignored_with_its_reason(stage: Any, make: Any, fields: Any, why: str) -> None:
    event = make.event("customer.subscription.created", make.subscription()) | fields
    assert stage.deliver(event, NOW).state == "ignored"
    entry = stage.processor.ledger.find(event["id"])
    assert (entry.state, entry.why) == ("ignored", why)
    assert stage.readers.load_all("r-1") == []


def test_ignored_event_counts_when_it_is_ours_at_the_next_delivery(stage: Any, make: Any) -> None:
    event = make.event("customer.subscription.created", make.subscription())
    stage.stripe.happen(event)
    stage.deliver(event | {"livemode": True}, NOW)
    assert stage.deliver(event, NOW + 5).state == "done"
    assert stage.processor.ledger.find(event["id"]).state == "applied"
    assert stage.deliver(event | {"livemode": True}, NOW + 6).state == "applied"


def test_repeated_event_is_counted_and_processed_once(stage: Any, make: Any) -> None:
    event = make.deliver("customer.subscription.created", make.subscription())
    for _ in range(3):
        assert stage.deliver(event, NOW + 5).known
    entry = stage.processor.ledger.find(event["id"])
    assert (entry.duplicates, entry.attempts) == (3, 1)
    assert stage.stripe.reads == ["subscription:sub_1"]


def test_events_are_listed_newest_first_in_pages(stage: Any, make: Any) -> None:
    for number in range(25):
        stage.deliver(make.event("customer.updated", make.customer(f"cus_{number}")), NOW + number // 5)
    found, cursor = [], None
    while True:
        page, cursor = stage.processor.ledger.load_page(4, cursor)
        found += page
        if cursor is None:
            break
    assert len({entry.id for entry in found}) == len(found) == 25
    assert [entry.received_at for entry in found] == sorted((entry.received_at for entry in found), reverse=True)
    assert stage.processor.ledger.newest_at() == NOW + 4


@pytest.mark.parametrize("cursor", ["", "x", "é", "MTIz", "AAAA", "MTIz\n"])
def test_invalid_cursor_is_rejected(stage: Any, cursor: str) -> None:
    with pytest.raises(BadCursor):
        stage.processor.ledger.load_page(4, cursor)


def broken(stage: Any, make: Any) -> Any:
    """Make an event whose object cannot be read because of an internal error."""
    event = stage.stripe.happen(make.event("customer.subscription.created", make.subscription()))

    def fails(name: str) -> None:
        raise ValueError("a mistake")

    stage.stripe.on_read = fails
    return event


def test_event_is_dead_after_ten_attempts_and_can_be_replayed(
    stage: Any, make: Any, run_jobs: Any, admin: Any, notebook: Any
) -> None:
    event = broken(stage, make)
    stage.deliver(event, NOW)
    for tried in range(1, 10):
        entry = stage.processor.ledger.find(event["id"])
        assert (entry.state, entry.attempts, entry.why) == ("pending", tried, "failed: ValueError")
        run_jobs(NOW + tried * 4000)
    assert state(stage, event) == "dead"
    assert [entry.id for entry in stage.processor.ledger.load_page(9, dead=True)[0]] == [event["id"]]
    assert stage.processor.pending_work.count()["dead"] == 1
    stage.stripe.on_read = lambda name: None
    admin.replay_event(event["id"], ADMIN, NOW + 50_000)
    assert state(stage, event) == "applied"
    assert stage.held("r-1", NOW)
    assert stage.processor.pending_work.count()["dead"] == 0
    (entry,) = notebook.entries()
    assert (entry["action"], entry["reader"], entry["target"]) == ("event.replay", None, event["id"])


def test_dead_event_sent_again_by_stripe_is_processed(stage: Any, make: Any, run_jobs: Any) -> None:
    event = broken(stage, make)
    stage.deliver(event, NOW)
    for tried in range(1, 10):
        run_jobs(NOW + tried * 4000)
    stage.stripe.on_read = lambda name: None
    stage.deliver(event, NOW + 50_000)
    assert state(stage, event) == "applied"


def test_object_of_a_dead_event_is_still_read_by_the_worker(stage: Any, make: Any, run_jobs: Any) -> None:
    event = broken(stage, make)
    stage.deliver(event, NOW)
    for tried in range(1, 10):
        run_jobs(NOW + tried * 4000)
    stage.stripe.on_read = lambda name: None
    run_jobs(NOW + 60_000)
    assert stage.held("r-1", NOW)


def test_unfinished_event_is_retried_after_growing_pauses(stage: Any, make: Any, run_jobs: Any) -> None:
    event = broken(stage, make)
    stage.deliver(event, NOW)
    for pause, attempts in ((59, 1), (61, 2), (120, 2), (190, 3)):
        run_jobs(NOW + pause, everything=False)
        assert stage.processor.ledger.find(event["id"]).attempts == attempts


def test_replayed_event_is_read_again_in_any_state(stage: Any, make: Any, admin: Any) -> None:
    event = make.deliver("customer.subscription.created", make.subscription())
    stage.stripe.put(make.subscription(end=NOW + 40 * DAY))
    admin.replay_event(event["id"], ADMIN, NOW + 5)
    assert stage.held("r-1", NOW)["notebook"] == NOW + 42 * DAY
    with pytest.raises(UnknownEvent):
        admin.replay_event("evt_unknown", ADMIN, NOW)


def test_old_events_and_those_above_the_limit_are_deleted(stage: Any, make: Any) -> None:
    events = [make.event("customer.updated", make.customer(f"cus_{number}")) for number in range(30)]
    for number, event in enumerate(events):
        stage.deliver(event, NOW + number)
    ledger = stage.processor.ledger
    assert ledger.trim(NOW + 40, most=20) == 10
    assert [ledger.find(event["id"]) is None for event in events] == [True] * 10 + [False] * 20
    assert ledger.trim(NOW + 35 * DAY + 15, most=20) == 5
    assert len(ledger.load_page(100)[0]) == 15


def test_processed_event_keeps_nothing_of_its_payload(stage: Any, make: Any) -> None:
    event = make.event("customer.subscription.created", make.subscription(reader="r-secret"))
    stage.stripe.happen(event)
    stage.deliver(event, NOW)
    entry = stage.processor.ledger.find(event["id"])
    key = stage.processor.inbox.keys.stripe_event(partition_of(entry.name), event["id"])
    assert b"says" not in stage.link.call(key, b"HKEYS", key)
