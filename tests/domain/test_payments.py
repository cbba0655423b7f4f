"""Test refunds and disputes: order and repeats do not change the payment."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.stripe.events import event_content
from service.adapters.stripe.webhook import parse_api_event
from service.domain.payments import (
    DISPUTES,
    REFUND_ENDS,
    Payment,
    PaymentUpdate,
    apply_payment,
    apply_update,
    merge_payments,
)
from service.domain.sources import Pass

BOUGHT = Payment("pi_1", 300)
PASS = Pass("cs_1", "price_day", None, None, paid_at=0)

DISPUTED = {
    "needs_response": True,
    "under_review": True,
    "lost": True,
    "appeal_needs_response": True,
    "appeal_under_review": True,
    "won": False,
    "prevented": False,
    "warning_needs_response": False,
    "warning_under_review": False,
    "warning_closed": False,
}


def refund(name: str, amount: int, status: str = "succeeded") -> PaymentUpdate:
    return PaymentUpdate("refund", name, "pi_1", "ch_1", amount, status)


def dispute(status: str, name: str = "dp_1") -> PaymentUpdate:
    return PaymentUpdate("dispute", name, "pi_1", "ch_1", 0, status)


def charge(amount: int) -> PaymentUpdate:
    return PaymentUpdate("charge", "ch_1", "pi_1", "ch_1", amount, "succeeded")


def after(*updates: PaymentUpdate) -> Payment:
    payment = BOUGHT
    for one in updates:
        payment = apply_update(payment, one)
    return payment


def test_dispute_table_has_every_status_of_the_sdk() -> None:
    source = Path(str(stripe.__file__)).with_name("_dispute.py").read_text("utf-8")
    known = set(re.findall(r"`(\w+)`", source.split("The current status of a dispute.")[1].split('"""')[0]))
    assert known == set(DISPUTES) == set(DISPUTED)


@pytest.mark.parametrize("status", sorted(DISPUTED))
def test_dispute_ends_a_pass_while_open_or_lost(status: str) -> None:
    assert apply_payment(PASS, after(dispute(status))).disputed == DISPUTED[status]
    assert after(dispute(status)).disputed == DISPUTES[status][1]


def test_unknown_dispute_status_changes_nothing() -> None:
    assert not after(dispute("arbitrated")).disputed
    assert after(dispute("lost"), dispute("arbitrated")).disputed


def test_won_dispute_restores_the_pass_also_out_of_order() -> None:
    assert not after(dispute("needs_response"), dispute("under_review"), dispute("won")).disputed
    assert not after(dispute("won"), dispute("needs_response")).disputed


def test_refunds_add_up_and_only_the_full_amount_ends_a_pass() -> None:
    assert not apply_payment(PASS, after(refund("re_1", 100))).refunded
    assert apply_payment(PASS, after(refund("re_1", 100), refund("re_2", 200, "pending"))).refunded
    assert not apply_payment(PASS, Payment(None, 0)).refunded
    assert apply_payment(PASS, None) == PASS, "nothing is known of its payment"


@pytest.mark.parametrize("status", sorted(REFUND_ENDS))
def test_unsuccessful_refund_restores_the_pass(status: str) -> None:
    assert after(refund("re_1", 300), refund("re_1", 300, status)).refunded == 0
    assert after(charge(300), refund("re_1", 300), refund("re_1", 300, status)).refunded == 0
    assert after(refund("re_1", 300, status), charge(300), refund("re_1", 300, "pending")).refunded == 0


def test_charge_sets_the_refunded_amount_and_repeats_do_not_add_up() -> None:
    assert after(charge(100), charge(300), charge(100), charge(300)).refunded == 300
    assert after(charge(100), refund("re_1", 100)).refunded == 100


NEWS = st.one_of(
    st.builds(
        refund,
        st.sampled_from(["re_1", "re_2"]),
        st.sampled_from([100, 200, 300]),
        st.sampled_from(["requires_action", "pending", "succeeded", "failed", "canceled", "new_word"]),
    ),
    st.builds(dispute, st.sampled_from([*DISPUTES, "new_word"]), st.sampled_from(["dp_1", "dp_2"])),
    st.builds(charge, st.sampled_from([0, 100, 300])),
)


@given(st.lists(NEWS, max_size=8).flatmap(lambda news: st.tuples(st.just(news), st.permutations(news * 2))))
def test_payment_does_not_depend_on_order_or_repeats(expected: tuple[list[PaymentUpdate], list[PaymentUpdate]]) -> None:
    once, shuffled = expected
    assert after(*once) == after(*shuffled)


@given(st.lists(NEWS, max_size=6), st.lists(NEWS, max_size=6))
def test_joined_halves_of_a_payment_equal_the_whole(one: list[PaymentUpdate], other: list[PaymentUpdate]) -> None:
    assert (
        merge_payments(after(*one), after(*other)) == after(*one, *other) == merge_payments(after(*other), after(*one))
    )


@pytest.mark.parametrize(
    ("name", "refunded", "disputed"), [("refund_partial_then_full", 300, 0), ("dispute_won", 0, 0)]
)
def test_recorded_payments_end_the_same_in_any_order(
    name: str, refunded: int, disputed: int, stories: list[dict[str, Any]]
) -> None:
    story = next(story for story in stories if story["name"] == name)
    reports = [news for event in story["events"] if (news := event_content(parse_api_event(event)).payment_update)]
    assert reports
    for seed in range(100):
        chance = random.Random(seed)
        shuffled = reports + chance.choices(reports, k=len(reports))
        chance.shuffle(shuffled)
        payment = after(*shuffled)
        assert (payment.refunded, payment.disputed) == (refunded, bool(disputed))


def test_recorded_dispute_counts_while_it_is_open(stories: list[dict[str, Any]]) -> None:
    events = next(story for story in stories if story["name"] == "dispute_won")["events"]
    reports = [news for event in events if (news := event_content(parse_api_event(event)).payment_update)]
    states = [after(*reports[: n + 1]).disputed for n in range(len(reports))]
    assert states == [True, True, True, False, False, False]
