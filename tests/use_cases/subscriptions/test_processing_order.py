"""Test processing order: the newest read of an object counts, with late, repeated or crossed events."""

from __future__ import annotations

import threading
from typing import Any

DAY = 86_400
NOW = 2_000_000_000


def test_concurrent_deliveries_of_one_event_count_once(stage: Any, make: Any, all_at_once: Any) -> None:
    event = stage.stripe.happen(make.event("customer.subscription.created", make.subscription()))
    processors = [stage.make(), stage.make()]
    all_at_once(2, lambda number: stage.deliver(event, NOW, processors[number]))
    entry = stage.processor.ledger.find(event["id"])
    assert (entry.state, entry.duplicates) == ("applied", 1)
    assert set(stage.held("r-1", NOW)) == {"notebook", "no_ads"}
    assert len(stage.readers.load_history("r-1")) == 1


def test_slow_worker_with_an_old_read_changes_nothing(stage: Any, make: Any) -> None:
    slow, fast = stage.make(), stage.make()
    sub = make.subscription()
    first = stage.stripe.happen(make.event("customer.subscription.created", sub, NOW))
    canceled = make.subscription(status="canceled", ended_at=NOW + 30)

    def overtaken(name: str) -> None:
        """Cancel the subscription during the read, and deliver the event to another process."""
        stage.stripe.on_read = lambda name: None
        stage.deliver(
            stage.stripe.happen(make.event("customer.subscription.deleted", canceled, NOW + 30)), NOW + 30, fast
        )

    stage.stripe.on_read = overtaken
    stage.deliver(first, NOW, slow)
    assert stage.held("r-1", NOW + 31) == {}
    assert stage.processor.objects.load("subscription:sub_1").facts.source.status == "canceled"


def test_update_after_a_deletion_leaves_it_ended(stage: Any, make: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    make.deliver("customer.subscription.deleted", make.subscription(status="canceled", ended_at=NOW + 5), NOW + 5)
    stage.stripe.away = True
    late = make.event("customer.subscription.updated", make.subscription(), NOW + 90)
    stage.deliver(late, NOW + 90)
    assert stage.held("r-1", NOW + 91) == {}
    assert stage.processor.ledger.find(late["id"]).state == "stale"


def test_read_older_than_the_deletion_does_not_undo_it(stage: Any, make: Any, run_jobs: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    ended = make.event("customer.subscription.deleted", make.subscription(status="canceled", ended_at=NOW + 5), NOW + 5)
    stage.deliver(ended, NOW + 5)  # Stripe itself still answers as before.
    assert stage.held("r-1", NOW + 6) == {}
    assert stage.processor.ledger.find(ended["id"]).state == "applied"
    run_jobs(NOW + 200)
    assert stage.held("r-1", NOW + 200) == {}
    assert stage.processor.pending_work.count()["unread"] == 1
    stage.stripe.put(ended["data"]["object"])
    run_jobs(NOW + 9_000)
    assert stage.processor.pending_work.count()["unread"] == 0
    (source,) = stage.readers.load_all("r-1")
    assert (source.status, source.confirmed) == ("canceled", True)


def test_read_older_than_the_payment_does_not_delay_the_pass(stage: Any, make: Any) -> None:
    paid = make.session()
    stage.stripe.put({**paid, "payment_status": "unpaid"})
    stage.deliver(make.event("checkout.session.completed", paid, NOW), NOW)
    assert set(stage.held("r-1", NOW + 1)) == {"notebook"}


def test_cancelling_one_of_two_subscriptions_ends_it_alone(stage: Any, make: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription("sub_1"))
    make.deliver("customer.subscription.created", make.subscription("sub_2", end=NOW + 3 * DAY))
    make.deliver("customer.subscription.deleted", make.subscription("sub_1", status="canceled", ended_at=NOW), NOW)
    assert stage.held("r-1", NOW + 1) == dict.fromkeys(["notebook", "no_ads"], NOW + 5 * DAY)


def test_older_successful_read_keeps_the_mark_of_a_newer_failed_one(stage: Any, make: Any) -> None:
    objects, name = stage.processor.objects, "subscription:sub_1"
    stage.stripe.put(make.subscription())
    old, _ = objects.begin_read(name, NOW)
    newer, _ = objects.begin_read(name, NOW, force=True)
    objects.apply(name, newer, None, NOW, read=False)
    facts = stage.stripe._read_facts(stage.processor.objects.load(name).ref, None)
    assert objects.apply(name, old, facts, NOW, read=True)[0] == "applied"
    assert stage.processor.pending_work.list_to_refresh(NOW) == [name]
    last, _ = objects.begin_read(name, NOW, force=True)
    assert objects.apply(name, last, facts, NOW, read=True)[0] == "same"
    assert stage.processor.pending_work.list_to_refresh(NOW) == []


def test_payload_replaces_only_the_revision_it_was_compared_with(stage: Any, make: Any) -> None:
    objects, name = stage.processor.objects, "subscription:sub_1"
    make.deliver("customer.subscription.created", make.subscription())
    seen = objects.load(name)
    objects.request_fan_out(name, NOW)
    number, _ = objects.begin_read(name, NOW)
    assert objects.apply(name, number, seen.facts, NOW, read=False, rev=seen.rev)[0] == "retry"


def test_burst_of_events_of_one_object_costs_at_most_two_reads(stage: Any, make: Any) -> None:
    sub = make.subscription()
    burst = [stage.stripe.happen(make.event("customer.subscription.updated", sub, NOW)) for _ in range(11)]
    started, go_on = threading.Event(), threading.Event()

    def wait_for_the_rest(name: str) -> None:
        started.set()
        assert go_on.wait(60)

    stage.stripe.on_read = wait_for_the_rest
    holder = threading.Thread(target=stage.deliver, args=(burst[0], NOW))
    holder.start()
    assert started.wait(60)
    for event in burst[1:]:
        assert stage.deliver(event, NOW, stage.make()).state == "pending"
    go_on.set()
    holder.join(60)
    assert stage.stripe.reads.count("subscription:sub_1") == 2
    assert {stage.processor.ledger.find(event["id"]).state for event in burst} == {"applied"}


def test_object_unknown_to_stripe_stays_until_its_known_end(stage: Any, make: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    del stage.stripe.objects["subscription", "sub_1"]
    stage.deliver(make.event("invoice.paid", {"id": "in_1", "object": "invoice", "subscription": "sub_1"}), NOW)
    assert stage.held("r-1", NOW + 1) == dict.fromkeys(["notebook", "no_ads"], NOW + 12 * DAY)
    assert stage.processor.pending_work.count()["unread"] == 0


def test_event_of_an_unknown_object_is_applied_from_its_payload(stage: Any, make: Any) -> None:
    event = make.event("customer.subscription.created", make.subscription())
    stage.deliver(event, NOW)
    entry = stage.processor.ledger.find(event["id"])
    assert (entry.state, entry.why) == ("applied", "from the payload: Stripe no longer knows the object")
    assert stage.processor.pending_work.count()["unread"] == 0


def test_counter_behind_its_copies_is_raised_and_read_again(stage: Any, make: Any) -> None:
    for at in range(9):
        make.deliver("customer.subscription.updated", make.subscription(end=NOW + (10 + at) * DAY), NOW + at)
    key = stage.processor.objects.keys.stripe_object("subscription:sub_1")
    stage.link.call(key, b"DEL", key)  # The server with the object lost its last writes; the reader's did not.
    make.deliver("customer.subscription.updated", make.subscription(end=NOW + 40 * DAY), NOW + 20)
    assert stage.held("r-1", NOW + 21) == dict.fromkeys(["notebook", "no_ads"], NOW + 42 * DAY)


def test_subscription_payload_is_read_in_both_shapes(stage: Any, make: Any) -> None:
    stage.stripe.away = True
    old = make.subscription(current_period_start=NOW - DAY, current_period_end=NOW + 4 * DAY)
    for item in old["items"]["data"]:
        del item["current_period_start"], item["current_period_end"]
    stage.deliver(make.event("customer.subscription.created", old), NOW)
    assert stage.held("r-1", NOW) == dict.fromkeys(["notebook", "no_ads"], NOW + 6 * DAY)
