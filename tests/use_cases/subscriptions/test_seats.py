"""Test seats: never more than paid for, the newest are removed first, and renewals reach all."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest

from service.adapters.redis.audit.audit import Actor
from service.domain.errors import NoSeats, SeatsFull, UnknownSubscription

DAY = 86_400
NOW = 2_000_000_000
ADMIN = Actor("ada", "203.0.113.1")


def group(make: Any, quantity: int, **fields: Any) -> Any:
    return make.subscription(price="price_seat_month", quantity=quantity, **fields)


def readers(seats: Any) -> list[str]:
    return [seat.reader for seat in seats]


def test_assigned_seat_opens_and_removed_seat_locks(stage: Any, make: Any, admin: Any, notebook: Any) -> None:
    make.deliver("customer.subscription.created", group(make, 2))
    given = admin.assign_seat("sub_1", "r-5", ADMIN, NOW + 1)
    assert (given.quantity, readers(given.seats), given.seats[0].since) == (2, ["r-5"], NOW + 1)
    assert stage.held("r-5", NOW + 2) == {"notebook": NOW + 12 * DAY}
    (seat,) = stage.readers.load_active("r-5")
    assert (seat.role, seat.id, seat.since) == ("seat", "sub_1", NOW + 1)
    taken = admin.release_seat("sub_1", "r-5", ADMIN, NOW + 3)
    assert taken.seats == ()
    assert stage.held("r-5", NOW + 4) == {}
    entries = sorted(notebook.entries(), key=lambda entry: entry["at"])
    assert [(entry["action"], entry["reader"], entry["target"]) for entry in entries] == [
        ("seat.give", "r-5", "sub_1"),
        ("seat.take", "r-5", "sub_1"),
    ]


def test_repeated_seat_assignment_or_removal_changes_nothing(stage: Any, make: Any, admin: Any, notebook: Any) -> None:
    make.deliver("customer.subscription.created", group(make, 2))
    for at in range(3):
        assert admin.assign_seat("sub_1", "r-5", ADMIN, NOW + at).seats[0].since == NOW
    for at in range(3):
        admin.release_seat("sub_1", "r-5", ADMIN, NOW + 5 + at)
    assert len(notebook.entries()) == 2


def test_group_owner_holds_no_seat_unless_assigned_one(stage: Any, make: Any, admin: Any) -> None:
    make.deliver("customer.subscription.created", group(make, 2))
    assert stage.held("r-1", NOW) == {}
    admin.assign_seat("sub_1", "r-1", ADMIN, NOW)
    assert set(stage.held("r-1", NOW)) == {"notebook"}


def test_impossible_seat_assignment_is_rejected_with_its_reason(stage: Any, make: Any, admin: Any) -> None:
    with pytest.raises(UnknownSubscription):
        admin.assign_seat("sub_9", "r-5", ADMIN, NOW)
    make.deliver("customer.subscription.created", make.subscription())
    with pytest.raises(NoSeats):
        admin.assign_seat("sub_1", "r-5", ADMIN, NOW)
    make.deliver("customer.subscription.created", group(make, 1, id="sub_2"))
    admin.assign_seat("sub_2", "r-5", ADMIN, NOW)
    with pytest.raises(SeatsFull):
        admin.assign_seat("sub_2", "r-6", ADMIN, NOW)


def test_unreported_group_is_read_from_stripe(stage: Any, make: Any, admin: Any) -> None:
    stage.stripe.put(group(make, 3))
    assert admin.load_seats("sub_1", NOW).quantity == 3


def test_seat_quantity_is_the_sum_over_items_of_seat_plans(stage: Any, make: Any, admin: Any) -> None:
    mixed = group(make, 2)
    other = make.subscription("sub_x", price="price_month", quantity=7)["items"]["data"]
    more = group(make, 3)["items"]["data"]
    mixed["items"]["data"] += [*other, {**more[0], "id": "si_3"}]
    make.deliver("customer.subscription.created", mixed)
    assert admin.load_seats("sub_1", NOW).quantity == 5


def test_concurrent_seat_assignments_never_exceed_the_paid_quantity(
    make: Any, admin: Any, notebook: Any, all_at_once: Any
) -> None:
    make.deliver("customer.subscription.created", group(make, 5))

    def ask(number: int) -> int:
        given = 0
        for at in range(5):
            with suppress(SeatsFull):
                admin.assign_seat("sub_1", f"r-{number}-{at}", ADMIN, NOW)
                given += 1
        return given

    assert sum(all_at_once(4, ask)) == 5
    assert len(admin.load_seats("sub_1", NOW).seats) == 5
    assert len(notebook.entries()) == 5


def test_reduced_quantity_removes_the_newest_seats(stage: Any, make: Any, admin: Any) -> None:
    make.deliver("customer.subscription.created", group(make, 4))
    for at, reader in enumerate(["r-a", "r-b", "r-c", "r-d"]):
        admin.assign_seat("sub_1", reader, ADMIN, NOW + (at > 2))
    make.deliver("customer.subscription.updated", group(make, 2), NOW + 9)
    left = admin.load_seats("sub_1", NOW + 10)
    assert (left.quantity, readers(left.seats), readers(left.removed)) == (2, ["r-a", "r-b"], ["r-d", "r-c"])
    assert [bool(stage.held(reader, NOW + 10)) for reader in ("r-a", "r-b", "r-c", "r-d")] == [True, True, False, False]
    make.deliver("customer.subscription.updated", group(make, 3), NOW + 11)
    again = admin.assign_seat("sub_1", "r-d", ADMIN, NOW + 12)
    assert (readers(again.seats), readers(again.removed)) == (["r-a", "r-b", "r-d"], ["r-c"])


def test_seat_ends_with_its_group(stage: Any, make: Any, admin: Any) -> None:
    make.deliver("customer.subscription.created", group(make, 2))
    admin.assign_seat("sub_1", "r-5", ADMIN, NOW)
    make.deliver("customer.subscription.deleted", group(make, 2, status="canceled", ended_at=NOW + 5), NOW + 5)
    assert stage.held("r-5", NOW + 6) == {}


def test_renewal_reaches_a_thousand_seats_in_time(stage: Any, make: Any, admin: Any) -> None:
    make.deliver("customer.subscription.created", group(make, 1_001))
    for number in range(1_000):
        rev = stage.processor.objects.load("subscription:sub_1").rev
        assert (
            stage.processor.seats.assign("subscription:sub_1", rev, 1_001, f"r-{number}", now=NOW, audit=b"{}")
            == "given"
        )
    stage.processor.fan_out_soon("subscription:sub_1", NOW, "test")
    begun = time.monotonic()
    event = make.deliver("customer.subscription.updated", group(make, 1_001, end=NOW + 40 * DAY), NOW + 5)
    assert time.monotonic() - begun < 60
    assert {stage.held(f"r-{number}", NOW + 6)["notebook"] for number in range(1_000)} == {NOW + 42 * DAY}
    assert len(stage.processor.ledger.find(event["id"]).changes) <= 150
    begun = time.monotonic()
    admin.assign_seat("sub_1", "r-new", ADMIN, NOW + 7)
    assert time.monotonic() - begun < 10
    assert stage.held("r-new", NOW + 8) == {"notebook": NOW + 42 * DAY}


def test_renewal_that_runs_out_of_time_continues_where_it_stopped(
    stage: Any, make: Any, admin: Any, run_jobs: Any
) -> None:
    make.deliver("customer.subscription.created", group(make, 200))
    for number in range(200):
        admin.assign_seat("sub_1", f"r-{number}", ADMIN, NOW)
    ticks = iter(range(10_000))
    hasty = stage.make(timer=lambda: float(next(ticks)))
    event = stage.stripe.happen(make.event("customer.subscription.updated", group(make, 200, end=NOW + 40 * DAY)))
    stage.deliver(event, NOW + 5, hasty)
    renewed = [number for number in range(200) if stage.held(f"r-{number}", NOW + 6)["notebook"] == NOW + 42 * DAY]
    assert 0 < len(renewed) < 200
    assert stage.processor.ledger.find(event["id"]).state == "pending"
    run_jobs(NOW + 70, everything=False)
    assert {stage.held(f"r-{number}", NOW + 6)["notebook"] for number in range(200)} == {NOW + 42 * DAY}
    assert stage.processor.ledger.find(event["id"]).state == "applied"
