"""Test passes: one for each session, from the first paid event; refunds and disputes in any order."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tests.store_servers import ON_VALKEY

pytestmark = ON_VALKEY

HOUR = 3_600
NOW = 2_000_000_000


def held(stage: Any, at: int = NOW + 10) -> Any:
    return stage.held("r-1", at)


def stored_pass(stage: Any) -> Any:
    (source,) = stage.readers.load_all("r-1")
    return source


def test_pass_starts_when_first_reported_paid(stage: Any, make: Any) -> None:
    waiting = make.session(payment_status="unpaid")
    make.deliver("checkout.session.completed", waiting, NOW)
    assert held(stage) == {}
    make.deliver("checkout.session.async_payment_succeeded", make.session(), NOW + HOUR)
    assert held(stage, NOW + HOUR) == {"notebook": NOW + 25 * HOUR}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_earliest_paid_event_counts_in_any_order(stage: Any, make: Any, order: tuple[int, ...]) -> None:
    events = [
        make.event("checkout.session.completed", make.session(), NOW + 9),
        make.event("checkout.session.completed", make.session(), NOW + 3),
        make.event("checkout.session.async_payment_succeeded", make.session(), NOW + 5),
    ]
    stage.stripe.put(make.session())
    for at in order:
        stage.deliver(events[at], NOW + 10)
    assert held(stage) == {"notebook": NOW + 3 + 24 * HOUR}
    assert len(stage.readers.load_all("r-1")) == 1


def test_paid_session_never_becomes_unpaid(stage: Any, make: Any) -> None:
    make.deliver("checkout.session.completed", make.session(), NOW)
    stage.stripe.put(make.session(payment_status="unpaid"))
    stage.deliver(make.event("checkout.session.completed", make.session(payment_status="unpaid"), NOW + 5), NOW + 5)
    assert held(stage) == {"notebook": NOW + 24 * HOUR}


def test_two_passes_of_one_reader_run_separately(stage: Any, make: Any) -> None:
    make.deliver("checkout.session.completed", make.session("cs_1"), NOW)
    make.deliver("checkout.session.completed", make.session("cs_2"), NOW + HOUR)
    assert held(stage, NOW + HOUR) == {"notebook": NOW + 25 * HOUR}


def test_line_items_stay_known_after_a_webhook_without_them(stage: Any, make: Any) -> None:
    plain = make.session(metadata={"reader_id": "r-1"})
    stage.stripe.lines["cs_1"] = [{"price": {"id": "price_mug"}}, {"price": {"id": "price_day"}}]
    make.deliver("checkout.session.completed", plain, NOW)
    assert held(stage) == {"notebook": NOW + 24 * HOUR}
    stage.stripe.away = True
    stage.deliver(make.event("checkout.session.async_payment_succeeded", plain, NOW + 5), NOW + 5)
    assert held(stage) == {"notebook": NOW + 24 * HOUR}
    assert stored_pass(stage).confirmed is False


def test_setup_session_gives_nothing(stage: Any, make: Any) -> None:
    make.deliver("checkout.session.completed", make.session(mode="setup", payment_intent=None), NOW)
    assert stage.readers.load_all("r-1") == []


def test_only_a_full_refund_ends_a_pass_and_a_failed_one_restores_it(stage: Any, make: Any) -> None:
    make.deliver("checkout.session.completed", make.session(), NOW)
    make.deliver("refund.created", make.refund(100), NOW + 1)
    assert held(stage)
    make.deliver("refund.created", make.refund(200, name="re_2"), NOW + 2)
    assert held(stage) == {}
    assert stored_pass(stage).refunded
    make.deliver("refund.failed", make.refund(200, name="re_2", status="failed"), NOW + 3)
    assert held(stage)


def test_refund_of_an_older_pass_leaves_the_newer_one(stage: Any, make: Any) -> None:
    make.deliver("checkout.session.completed", make.session("cs_1"), NOW - 10 * HOUR)
    make.deliver("checkout.session.completed", make.session("cs_2"), NOW)
    make.deliver("refund.created", make.refund(300, of="cs_1"), NOW + 1)
    assert held(stage) == {"notebook": NOW + 24 * HOUR}


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("statuses", [["won", "needs_response"], ["needs_response", "under_review", "won"]])
def test_dispute_won_before_it_was_reported_open_leaves_the_pass(
    stage: Any, make: Any, statuses: list[str], away: bool
) -> None:
    make.deliver("checkout.session.completed", make.session(), NOW)
    stage.stripe.put(make.dispute("won"))
    stage.stripe.away = away
    for status in statuses:
        stage.deliver(make.event("charge.dispute.updated", make.dispute(status), NOW + 5), NOW + 5)
    assert held(stage)


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize(
    ("status", "opens"),
    [
        ("needs_response", False),
        ("under_review", False),
        ("lost", False),
        ("won", True),
        ("prevented", True),
        ("warning_needs_response", True),
        ("warning_closed", True),
    ],
)
def test_pass_is_locked_while_a_dispute_is_open_or_lost(
    stage: Any, make: Any, status: str, opens: bool, away: bool
) -> None:
    make.deliver("checkout.session.completed", make.session(), NOW)
    stage.stripe.away = away
    make.deliver("charge.dispute.created", make.dispute(status), NOW + 1)
    assert bool(held(stage)) is opens
    assert stored_pass(stage).confirmed is (not away or opens)


@pytest.mark.parametrize("away", [False, True])
def test_refund_before_its_session_counts(stage: Any, make: Any, run_jobs: Any, away: bool) -> None:
    stage.stripe.away = away
    stage.deliver(make.event("refund.created", stage.stripe.put(make.refund(300)), NOW), NOW)
    make.deliver("checkout.session.completed", make.session(), NOW + 1)
    assert held(stage) == {}
    assert stored_pass(stage).refunded
    stage.stripe.away = False
    run_jobs(NOW + 100)
    assert held(stage) == {}
    assert stage.processor.pending_work.count()["unread"] == 0


def test_refund_finds_a_session_stripe_never_reported(stage: Any, make: Any) -> None:
    stage.stripe.put(make.session())
    make.deliver("refund.created", make.refund(100), NOW)
    assert held(stage) == {"notebook": NOW - 60 + 24 * HOUR}


def test_refund_of_a_subscription_payment_is_ignored(stage: Any, make: Any) -> None:
    event = make.deliver("charge.refunded", {"id": "ch_9", "object": "charge", "payment_intent": "pi_9"}, NOW)
    entry = stage.processor.ledger.find(event["id"])
    assert (entry.state, entry.why) == ("ignored", "it concerns no object that is stored here")


def test_gift_pass_belongs_to_the_recipient(stage: Any, make: Any) -> None:
    gift = make.session(metadata={"price_id": "price_day", "reader_id": "r-1", "gift_recipient": "r-2"})
    make.deliver("checkout.session.completed", gift, NOW)
    assert held(stage) == {}
    assert stage.held("r-2", NOW) == {"notebook": NOW + 24 * HOUR}
