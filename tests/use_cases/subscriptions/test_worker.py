"""Test the worker: catch-up, full sync, rechecks and leader election."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.service_state.coordination import LEADS_FOR, LeaderElection
from service.use_cases.operations.worker import SYNC_AGAIN_AFTER, Worker
from service.use_cases.subscriptions.scheduled_jobs import READ_AGAIN_AFTER
from tests.store_servers import ON_VALKEY

pytestmark = ON_VALKEY

DAY = 86_400
HOUR = 3_600
NOW = 2_000_000_000
BOTH = {"notebook", "no_ads"}


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


class Rounds:
    """A background job that counts the worker's rounds."""

    ended = 0

    def run_due(self, goes_on: Any) -> None:
        self.ended += 1

    def settle(self, now: float) -> int:
        return 0

    def run_all(self) -> None: ...

    def record_catch_up(self, found: Any) -> None: ...

    def record_full_sync(self, found: Any) -> None: ...


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(stage: Any, admin: Any, clock: Clock) -> Worker:
    return worker_of(stage, admin, clock)


def worker_of(stage: Any, admin: Any, clock: Clock, **options: Any) -> Worker:
    processor, store = options.pop("processor", stage.processor), options.pop("store", stage.store)
    return Worker(
        processor,
        admin,
        LeaderElection(store, LEADS_FOR),
        options.pop("maintenance", None) or Rounds(),
        clock=clock,
        **options,
    )


@contextmanager
def running(worker: Worker) -> Iterator[None]:
    """Run the worker in a thread, until it is stopped and has ended."""
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(60)
    assert not thread.is_alive()


def happens(stage: Any, make: Any, kind: str, obj: Any, at: int = NOW) -> Any:
    """Change Stripe's state without delivering the event."""
    return stage.stripe.happen(make.event(kind, obj, at))


def test_event_never_delivered_is_caught_up(stage: Any, make: Any, worker: Worker) -> None:
    event = happens(stage, make, "customer.subscription.created", make.subscription())
    found = worker.run_once()
    assert (found.caught_up.listed, found.caught_up.missed) == (1, 1)  # type: ignore[union-attr]
    assert set(stage.held("r-1", NOW)) == BOTH
    entry = stage.processor.ledger.find(event["id"])
    assert (entry.state, entry.duplicates) == ("applied", 0)


def test_catch_up_cursor_does_not_follow_newer_webhooks(stage: Any, make: Any, worker: Worker) -> None:
    worker.run_once()
    lost = happens(stage, make, "customer.subscription.created", make.subscription(), NOW + 100)
    make.deliver("customer.updated", make.customer("cus_9"), NOW + 5 * DAY)
    worker.run_once()
    assert stage.processor.ledger.find(lost["id"]).state == "applied"


def test_catch_up_starts_ten_minutes_before_its_newest_event(stage: Any, make: Any, worker: Worker) -> None:
    happens(stage, make, "customer.updated", make.customer(), NOW)
    worker.run_once()
    for at, listed in ((NOW - 601, 1), (NOW - 600, 2), (NOW + 5, 3)):
        happens(stage, make, "customer.updated", make.customer(), at)
        assert worker.catch_up(dry_run=True).listed == listed  # type: ignore[union-attr]


def test_interrupted_catch_up_starts_again_where_it_started(stage: Any, make: Any, worker: Worker) -> None:
    happens(stage, make, "customer.updated", make.customer(), NOW)
    worker.run_once()
    lost = happens(stage, make, "customer.subscription.created", make.subscription(), NOW + 3 * DAY)
    stage.stripe.away = True
    assert worker.run_once().trouble == "unreachable"
    stage.stripe.away = False
    worker.run_once()
    assert stage.processor.ledger.find(lost["id"]).state == "applied"


def test_unreachable_stripe_is_asked_once_not_per_waiting_object(stage: Any, make: Any, worker: Worker) -> None:
    stage.stripe.away = True
    events = [make.deliver("customer.subscription.created", make.subscription(f"sub_{n}")) for n in range(3)]
    events.append(make.deliver("invoice.paid", {"id": "in_1", "object": "invoice", "subscription": "sub_4"}))
    before = len(stage.stripe.reads)
    done = worker.run_once()
    assert (done.trouble, done.left, stage.stripe.reads[before:]) == ("unreachable", 4, ["events"])
    assert stage.processor.ledger.find(events[-1]["id"]).attempts == 2
    stage.stripe.away = False
    assert worker.run_once().left == 0


def test_dry_catch_up_counts_and_changes_nothing(stage: Any, make: Any, worker: Worker) -> None:
    event = happens(stage, make, "customer.subscription.created", make.subscription())
    assert worker.catch_up(dry_run=True).missed == 1  # type: ignore[union-attr]
    assert stage.processor.ledger.find(event["id"]) is None
    assert stage.held("r-1", NOW) == {}


def test_processed_events_cost_no_read(stage: Any, make: Any, worker: Worker) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    before = len(stage.stripe.reads)
    worker.catch_up()
    assert stage.stripe.reads[before:] == ["events"]


def test_price_event_triggers_a_price_refresh_once(stage: Any, make: Any, admin: Any, clock: Clock) -> None:
    changed: list[int] = []
    worker = worker_of(stage, admin, clock, prices_changed=lambda: changed.append(1))
    happens(stage, make, "price.updated", {"id": "price_1", "object": "price"})
    worker.run_once()
    worker.run_once()
    assert changed == [1]


def test_worker_without_a_stripe_key_does_what_it_can(stage: Any, make: Any, admin: Any, clock: Clock) -> None:
    processor = stage.make(gateway=None)
    stage.deliver(make.event("customer.subscription.created", make.subscription()), NOW, processor)
    worker = worker_of(stage, admin, clock, processor=processor)
    assert worker.run_once().caught_up is None
    assert worker.full_sync() is None
    assert worker.catch_up() is None


def test_full_sync_finds_and_fixes_unreported_changes(stage: Any, make: Any, worker: Worker) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    stage.stripe.put(make.subscription(end=NOW + 40 * DAY))
    stage.stripe.put(make.subscription("sub_2", reader="r-2"))
    stage.stripe.put(make.session("cs_1", reader="r-3", created=NOW - HOUR))
    dry = worker.full_sync(dry_run=True)
    found = {(drift.name, drift.what, drift.corrected) for drift in dry.drift}  # type: ignore[union-attr]
    uncorrected = {
        ("subscription:sub_1", "differs", False),
        ("subscription:sub_2", "unknown", False),
        ("session:cs_1", "unknown", False),
    }
    assert found == uncorrected
    assert stage.held("r-2", NOW) == {}
    swept = worker.full_sync()
    assert {(d.name, d.what) for d in swept.drift if d.corrected} == {(name, what) for name, what, _ in uncorrected}  # type: ignore[union-attr]
    assert stage.held("r-1", NOW)["notebook"] == NOW + 42 * DAY
    assert set(stage.held("r-2", NOW)) == BOTH
    assert stage.held("r-3", NOW) == {"notebook": NOW + 23 * HOUR}
    assert worker.full_sync().drift == []  # type: ignore[union-attr]


def test_dry_full_sync_also_reports_unlisted_objects(stage: Any, make: Any, worker: Worker) -> None:
    make.deliver("customer.created", make.customer(reader="r-1"))
    make.deliver("customer.subscription.created", make.subscription(reader=None))
    stage.stripe.put(make.customer(reader="r-2"))
    for dry, holder in ((True, "r-1"), (False, "r-2")):
        swept = worker.full_sync(dry_run=dry)
        assert [(drift.name, drift.corrected) for drift in swept.drift] == [("customer:cus_1", not dry)]  # type: ignore[union-attr]
        assert set(stage.held(holder, NOW)) == BOTH
    assert worker.full_sync(dry_run=True).drift == []  # type: ignore[union-attr]


def test_object_that_cannot_be_read_is_not_reported_as_fixed(stage: Any, make: Any, worker: Worker) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    stage.stripe.put(make.subscription(end=NOW + 40 * DAY))
    stage.stripe.unreadable.add("subscription:sub_1")
    swept = worker.full_sync()
    assert [(drift.what, drift.corrected) for drift in swept.drift] == [("differs", False)]  # type: ignore[union-attr]
    assert worker.run_once().left == 1
    stage.stripe.unreadable.clear()
    assert worker.run_once().left == 0
    assert stage.held("r-1", NOW)["notebook"] == NOW + 42 * DAY


def test_full_sync_runs_once_a_day(stage: Any, make: Any, worker: Worker, clock: Clock) -> None:
    for number, (hours, swept) in enumerate(((0, True), (23, False), (24, True))):
        clock.now = NOW + hours * HOUR
        stage.stripe.put(make.subscription(f"sub_{number}", reader=f"r-{number}", end=NOW + 40 * DAY))
        assert (worker.run_once().full_sync is not None) == swept
        assert (set(stage.held(f"r-{number}", clock.now)) == BOTH) == swept


def test_full_sync_reads_objects_that_stripe_does_not_list(stage: Any, make: Any, worker: Worker) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    obj = stage.stripe.objects.pop(("subscription", "sub_1"))
    swept = worker.full_sync()
    assert [(drift.name, drift.what) for drift in swept.drift] == [("subscription:sub_1", "not listed")]  # type: ignore[union-attr]
    assert set(stage.held("r-1", NOW)) == BOTH  # A 404 keeps it until its known end.
    assert stage.held("r-1", NOW + 13 * DAY) == {}
    stage.stripe.put(obj)


def test_full_sync_detects_a_lost_reader_copy(stage: Any, make: Any, worker: Worker) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    key = stage.keys.reader(reader_hash("r-1"))
    stage.link.call(key, b"DEL", key)
    swept = worker.full_sync()
    assert [(drift.what, drift.corrected) for drift in swept.drift] == [("copy lost", True)]  # type: ignore[union-attr]
    assert set(stage.held("r-1", NOW)) == BOTH


def test_renewal_whose_event_was_lost_is_found_before_access_ends(
    stage: Any, make: Any, worker: Worker, clock: Clock, run_jobs: Any
) -> None:
    make.deliver("customer.subscription.created", make.subscription(end=NOW + 10 * DAY))
    stage.stripe.put(make.subscription(end=NOW + 40 * DAY))
    before = len(stage.stripe.reads)
    run_jobs(NOW + 9 * DAY)
    assert stage.stripe.reads[before:] == []
    run_jobs(NOW + 10 * DAY + 301)
    assert stage.stripe.reads[before:] == ["subscription:sub_1"]
    assert stage.held("r-1", NOW + 11 * DAY)["notebook"] == NOW + 42 * DAY


def test_recheck_during_a_stripe_outage_is_repeated(stage: Any, make: Any, run_jobs: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription(end=NOW + 10 * DAY))
    stage.stripe.put(make.subscription(end=NOW + 40 * DAY))
    stage.stripe.away = True
    run_jobs(NOW + 10 * DAY + 301, everything=False)
    stage.stripe.away = False
    run_jobs(NOW + 10 * DAY + 301 + 400, everything=False)
    assert stage.held("r-1", NOW + 11 * DAY)["notebook"] == NOW + 42 * DAY


def test_source_ended_long_ago_leaves_the_hot_record(stage: Any, make: Any, run_jobs: Any) -> None:
    make.deliver("checkout.session.completed", make.session())
    assert len(stage.readers.load_active("r-1")) == 1
    run_jobs(NOW + 32 * DAY)
    assert stage.readers.load_active("r-1") == []
    assert len(stage.readers.load_all("r-1")) == 1


def test_unfinished_fan_out_is_completed_by_the_worker(stage: Any, make: Any, run_jobs: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    stage.processor.objects.request_fan_out("subscription:sub_1", NOW)
    run_jobs(NOW + 3, everything=False)
    assert stage.processor.pending_work.count()["unspread"] == 1
    run_jobs(NOW + 10, everything=False)
    assert stage.processor.pending_work.count()["unspread"] == 0


def test_process_without_worker_finishes_its_own_events(stage: Any, make: Any) -> None:
    """`serve --no-worker` finishes its own events."""
    event = stage.stripe.happen(make.event("customer.subscription.created", make.subscription()))

    def fails(name: str) -> None:
        raise ValueError

    stage.stripe.on_read = fails
    assert stage.deliver(event, NOW).state == "pending"
    stage.stripe.on_read = lambda name: None
    assert stage.processor.finish_postponed(NOW + 1) == 0
    assert stage.processor.ledger.find(event["id"]).state == "applied"


def test_only_one_worker_leads_until_it_releases_the_lease(stage: Any) -> None:
    one, other = LeaderElection(stage.store, LEADS_FOR), LeaderElection(stage.store, LEADS_FOR)
    assert (one.acquire(), other.acquire(), one.acquire()) == (True, False, True)
    one.release()
    assert (other.acquire(), one.acquire()) == (True, False)


def test_lease_of_a_dead_leader_expires(stage: Any, until: Any) -> None:
    dead, other = LeaderElection(stage.store, 0.2), LeaderElection(stage.store, LEADS_FOR)
    begun = time.monotonic()
    assert dead.acquire()
    until(other.acquire)
    assert time.monotonic() - begun > 0.1


def test_lease_from_before_the_server_clock_went_back_counts_as_expired(stage: Any) -> None:
    key = stage.keys.shared("leader")
    stage.link.call(key, "SET", key, "dead", "PX", 3_600_000 + int(LEADS_FOR * 1000))
    one, other = LeaderElection(stage.store, LEADS_FOR), LeaderElection(stage.store, LEADS_FOR)
    assert (one.acquire(), other.acquire()) == (True, False)


def test_object_lease_from_before_the_clock_went_back_counts_as_expired(stage: Any, make: Any) -> None:
    objects = stage.processor.objects
    assert objects.begin_read("subscription:sub_1", NOW) == (1, True)
    assert objects.begin_read("subscription:sub_1", NOW - 2)[1] is False
    assert objects.begin_read("subscription:sub_1", NOW - HOUR)[1] is True
    event = stage.stripe.happen(make.event("customer.subscription.created", make.subscription()))
    assert stage.deliver(event, NOW - 2 * HOUR).state == "done"


def test_running_worker_finishes_all_that_waits_once_the_clock_goes_back(
    stage: Any, make: Any, admin: Any, clock: Clock, until: Any
) -> None:
    stage.stripe.away = True
    make.deliver("customer.subscription.created", make.subscription(), NOW)
    rounds = Rounds()
    worker = worker_of(stage, admin, clock, maintenance=rounds, timer=lambda: 0.0)
    with running(worker):
        until(lambda: rounds.ended)
        stage.stripe.away = False
        clock.now = NOW - HOUR
        until(lambda: stage.processor.pending_work.count()["unread"] == 0)


def test_new_leader_finishes_what_waits_from_before_the_clock_went_back(
    stage: Any, make: Any, admin: Any, clock: Clock, until: Any
) -> None:
    stage.stripe.put(make.customer())  # Neither a catch-up nor a full sync would find it.
    stage.processor.objects.request_reads(["customer:cus_1"], NOW)
    clock.now = NOW - HOUR
    worker = worker_of(stage, admin, clock)
    with running(worker):
        until(lambda: stage.processor.pending_work.count()["unread"] == 0)


def test_running_worker_finishes_what_a_process_with_a_clock_ahead_left(
    stage: Any, make: Any, admin: Any, clock: Clock, until: Any
) -> None:
    rounds, timer = Rounds(), Clock()
    worker = worker_of(stage, admin, clock, maintenance=rounds, timer=timer)
    with running(worker):
        until(lambda: rounds.ended)
        stage.stripe.put(make.customer())
        stage.processor.objects.request_reads(["customer:cus_1"], NOW + HOUR)
        for each in (timer, clock):
            each.now += READ_AGAIN_AFTER
        until(lambda: stage.processor.pending_work.count()["unread"] == 0)


def test_worker_stopped_for_70_seconds_undoes_nothing_when_it_continues(
    stage: Any, make: Any, admin: Any, clock: Clock, until: Any, stepped: Any
) -> None:
    """Stop a worker between a read from Stripe and its effect, as SIGSTOP does, while another one takes over."""
    stopped, continued, rounds = threading.Event(), threading.Event(), (Rounds(), Rounds())

    def stop(operation: str) -> None:
        if operation == "apply_object":
            stopped.set()
        if stopped.is_set():
            continued.wait(60)

    happens(stage, make, "customer.subscription.created", make.subscription())
    link = stepped(before=stop)
    own = {"processor": stage.make(link), "store": Store(link, stage.keys)}
    slow = worker_of(stage, admin, clock, maintenance=rounds[0], timer=clock, **own)
    quick = worker_of(stage, admin, clock, maintenance=rounds[1], timer=clock)
    threads = [threading.Thread(target=worker.run) for worker in (slow, quick)]
    threads[0].start()
    assert stopped.wait(60)
    obj = make.subscription(status="canceled", ended_at=NOW + 10)
    event = happens(stage, make, "customer.subscription.deleted", obj, NOW + 10)
    clock.now += 70
    leader = stage.keys.shared("leader")
    stage.link.call(leader, b"DEL", leader)  # as the store does when the lease of a stopped leader expires
    threads[1].start()
    until(lambda: stage.processor.ledger.find(event["id"]) and rounds[1].ended)
    assert stage.held("r-1", clock.now) == {}
    continued.set()
    until(lambda: rounds[0].ended)
    assert stage.held("r-1", clock.now) == {}
    assert stage.processor.ledger.find(event["id"]).state == "applied"
    left = stage.processor.pending_work.count()
    assert [left[queue] for queue in ("unread", "unspread", "pending", "dead")] == [0, 0, 0, 0]
    for worker, thread in zip((slow, quick), threads, strict=True):
        worker.stop()
        thread.join(60)


def test_full_sync_is_due_if_the_last_one_lies_in_the_future(
    stage: Any, make: Any, worker: Worker, clock: Clock
) -> None:
    clock.now = NOW + 40 * DAY
    assert worker.run_once().full_sync is not None
    clock.now = float(NOW)
    assert worker.run_once().full_sync is not None


def test_running_worker_works_until_stopped(stage: Any, make: Any, admin: Any, clock: Clock, until: Any) -> None:
    happens(stage, make, "customer.subscription.created", make.subscription())
    stage.stripe.put(make.subscription("sub_2", reader="r-2"))
    worker = worker_of(stage, admin, clock)
    with running(worker):
        until(lambda: set(stage.held("r-1", NOW)) == BOTH)
        until(lambda: set(stage.held("r-2", NOW)) == BOTH)  # The first full sync finds what no event reports.
    assert LeaderElection(stage.store, LEADS_FOR).acquire()


@pytest.mark.full  # Bids are a second apart.
def test_failed_leader_election_is_tried_again(stage: Any, admin: Any, clock: Clock, until: Any) -> None:
    leads_key = stage.keys.shared("leader")
    stage.link.call(leads_key, "LPUSH", leads_key, "no lead")
    rounds, reports = Rounds(), []
    worker = worker_of(stage, admin, clock, maintenance=rounds, report=lambda what, why: reports.append((what, why)))
    with running(worker):
        until(lambda: reports)
        assert (set(reports), rounds.ended) == ({("worker_failed", "StoreError")}, 0)
        stage.link.call(leads_key, "DEL", leads_key)
        until(lambda: rounds.ended)


@pytest.mark.full  # Rounds are a second apart.
def test_interrupted_full_sync_waits_before_it_runs_again(
    stage: Any, make: Any, admin: Any, clock: Clock, until: Any
) -> None:
    stage.stripe.put(make.subscription())
    stage.stripe.away = True
    timer, rounds, reports = Clock(), Rounds(), []
    worker = worker_of(
        stage, admin, clock, timer=timer, maintenance=rounds, report=lambda what, why: reports.append(what)
    )
    with running(worker):
        until(lambda: rounds.ended >= 3)
        assert reports.count("sweep_failed") == 1
        stage.stripe.away = False
        timer.now += SYNC_AGAIN_AFTER
        until(lambda: set(stage.held("r-1", NOW)) == BOTH)


def test_event_a_process_cannot_finish_is_retried_less_and_less_often(stage: Any, make: Any) -> None:
    event = stage.stripe.happen(make.event("customer.subscription.created", make.subscription()))

    def fails(name: str) -> None:
        raise ValueError

    stage.stripe.on_read = fails
    timer = Clock()
    processor = stage.make(timer=timer)
    stage.deliver(event, NOW, processor)
    for second in range(1, 60):
        timer.now += 1
        assert processor.finish_postponed(NOW + second) == 1
    assert stage.processor.ledger.find(event["id"]).attempts == 6
