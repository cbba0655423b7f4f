"""Test the order of payloads: shuffled and repeated, they end in the same state."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.stripe import translate
from service.adapters.stripe.events import event_content
from service.adapters.stripe.webhook import Envelope, parse_api_event
from service.domain.event_order import Order, StateVersion, compare_versions, version_of_payload, version_of_read
from service.domain.stripe_facts import EventContent, Fingerprint, ObjectRef, OwnerClaims, StripeFacts
from tests.stripe_fixtures import Made

JULY = 1_783_000_000


def state(
    created: int = JULY,
    kind: str = "customer.subscription.updated",
    *,
    previous: Any = None,
    end: bool = False,
    **fingerprint: Any,
) -> StateVersion:
    return StateVersion(created, kind, fingerprint, previous or {}, end)


CASES: list[tuple[str, StateVersion, StateVersion, Order]] = [
    ("terminal beats what is not, whatever the time", state(JULY - 9, end=True), state(JULY), "newer"),
    ("what is not terminal never gives way to it", state(JULY + 9), state(JULY, end=True), "older"),
    ("the later second wins", state(JULY + 1, status="unpaid"), state(JULY, status="active"), "newer"),
    ("the earlier second loses", state(JULY - 1, status="active"), state(JULY, status="unpaid"), "older"),
    ("also between two terminal ones", state(JULY + 1, end=True, n=1), state(JULY, end=True), "newer"),
    ("the same state again changes nothing", state(status="active"), state(status="active"), "older"),
    (
        "of one second the creation is first",
        state(kind="customer.subscription.created", status="active"),
        state(status="incomplete"),
        "older",
    ),
    (
        "of one second whatever else comes after the creation",
        state(status="incomplete"),
        state(kind="customer.subscription.created", status="active"),
        "newer",
    ),
    (
        "it says that before it there was what we have",
        state(cancel_at=5, status="active", previous={"cancel_at": None}),
        state(cancel_at=None, status="active"),
        "newer",
    ),
    (
        "it says so of a list, which is stored as a tuple",
        state(items=[["p", 1, 9]], status="active", previous={"items": [["p", 1, 5]]}),
        state(items=(("p", 1, 5),), status="active"),
        "newer",
    ),
    (
        "what we have says that before it there was this",
        state(cancel_at=None, status="active"),
        state(cancel_at=5, status="active", previous={"cancel_at": None}),
        "older",
    ),
    (
        "a change and its reversal cannot be distinguished",
        state(cancel_at=None, previous={"cancel_at": 5}),
        state(cancel_at=5, previous={"cancel_at": None}),
        "undecided",
    ),
    (
        "the later period",
        state(items=[["si", "p", 1, 10, 20]], x=1),
        state(items=[["si", "p", 1, 0, 10]], x=2),
        "newer",
    ),
    ("the earlier period", state(current_period_end=10, x=1), state(current_period_end=20, x=2), "older"),
    ("trialing comes after incomplete", state(status="trialing"), state(status="incomplete"), "newer"),
    ("active comes after trialing", state(status="active"), state(status="trialing"), "newer"),
    ("incomplete comes before all", state(status="incomplete"), state(status="past_due"), "older"),
    ("a payment comes in, and not out", state(payment_status="unpaid"), state(payment_status="paid"), "older"),
    ("nothing shows which is newer", state(status="active"), state(status="past_due"), "undecided"),
]


@pytest.mark.parametrize(("rule", "incoming", "applied", "order"), CASES, ids=[case[0] for case in CASES])
def test_newer_event_rule_gives_its_verdict(
    rule: str, incoming: StateVersion, applied: StateVersion, order: Order
) -> None:
    assert compare_versions(incoming, applied) == order


def test_first_state_is_always_taken() -> None:
    assert compare_versions(state(), None) == "newer"


def test_read_state_yields_to_a_later_event_and_not_to_an_earlier_one() -> None:
    read = version_of_read(_read_facts(status="active"), created=JULY)
    assert compare_versions(state(JULY + 1, status="past_due"), read) == "newer"
    assert compare_versions(state(JULY - 1, status="past_due"), read) == "older"
    assert compare_versions(state(JULY, kind="customer.subscription.created", status="incomplete"), read) == "older"
    assert compare_versions(state(JULY, status="past_due", previous={"status": "active"}), read) == "newer"


def _read_facts(**fingerprint: Any) -> StripeFacts:
    return StripeFacts(ObjectRef("subscription", "sub_1"), None, None, OwnerClaims(), 0, fingerprint=fingerprint)


Kept = dict[str, tuple[StripeFacts, StateVersion]]


def deliver(kept: Kept, event: Envelope) -> None:
    """Apply an event as the store does while Stripe is unreachable."""
    said: EventContent = event_content(event)
    if said.facts is None:
        return
    incoming = version_of_payload(said.facts, created=event.created, event_type=event.type, previous=said.previous)
    name = said.facts.ref.name
    if compare_versions(incoming, kept[name][1] if name in kept else None) == "newer":
        kept[name] = said.facts, incoming


def state_after(events: list[dict[str, Any]]) -> dict[str, Fingerprint]:
    kept: Kept = {}
    for event in events:
        deliver(kept, parse_api_event(event))
    return {name: found.fingerprint for name, (found, _) in kept.items()}


@pytest.mark.full
@given(chance=st.randoms(use_true_random=False), cut=st.floats(0, 1), which=st.integers(0, 11))
def test_shuffled_and_repeated_events_end_in_the_same_state(
    stories: list[dict[str, Any]], chance: random.Random, cut: float, which: int
) -> None:
    events = stories[which]["events"]
    events = events[: max(1, round(cut * len(events)))]
    shuffled = events + chance.sample(events, len(events) // 2)
    chance.shuffle(shuffled)
    assert state_after(shuffled) == state_after(events)


def test_ordered_events_end_in_the_recorded_final_objects(stories: list[dict[str, Any]]) -> None:
    for story in stories:
        ended = state_after(story["events"])
        for name, obj in story["final"]["subscriptions"].items():
            facts = translate.subscription_facts(obj)
            assert facts is not None
            assert ended[f"subscription:{name}"] == facts.fingerprint


def test_signup_and_cancellation_in_one_second_end_right_in_any_order() -> None:
    """Deliver a signup within one second in every order; this needs no recorded lifecycle."""
    begun = Made.subscription(status="incomplete")
    paid = Made.subscription()
    ended = Made.subscription(status="canceled", ended_at=JULY)
    events = [
        Made.event("customer.subscription.created", begun, id="evt_1"),
        Made.event("customer.subscription.updated", paid, id="evt_2", previous={"status": "incomplete"}),
        Made.event("customer.subscription.deleted", ended, id="evt_3"),
    ]
    for seed in range(200):
        chance = random.Random(seed)
        alive = chance.choices(events[:2], k=2) + events[:2]
        chance.shuffle(alive)
        assert state_after(alive)["subscription:sub_1"]["status"] == "active"
        everything = [*alive, events[2]]
        chance.shuffle(everything)
        assert state_after(everything)["subscription:sub_1"]["status"] == "canceled"
