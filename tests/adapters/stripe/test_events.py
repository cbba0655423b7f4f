"""Test the table of event types: each type refers to its object."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import stripe
from hypothesis import example, given
from hypothesis import strategies as st

from service.adapters.stripe import events
from service.adapters.stripe.events import HANDLED_TYPES, RELATED, event_content, type_groups
from service.adapters.stripe.webhook import Envelope, parse_api_event
from service.domain.stripe_facts import EventContent, ObjectRef, PaymentRef
from tests.stripe_fixtures import Made

SUBSCRIPTION, SESSION = ObjectRef("subscription", "sub_1"), ObjectRef("session", "cs_test_1")
INTENT, CHARGE = PaymentRef("intent", "pi_1"), PaymentRef("charge", "ch_1")

OBJECTS: dict[str | tuple[str, ...], tuple[dict[str, Any], tuple[ObjectRef | PaymentRef, ...]]] = {
    "customer.subscription.": ({"object": "subscription", "id": "sub_1"}, (SUBSCRIPTION,)),
    "invoice.": (
        {"object": "invoice", "id": "in_1", "parent": {"subscription_details": {"subscription": "sub_1"}}},
        (SUBSCRIPTION,),
    ),
    "checkout.session.": (
        {"object": "checkout.session", "id": "cs_test_1", "subscription": "sub_1"},
        (SESSION, SUBSCRIPTION),
    ),
    ("charge.", "refund."): ({"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}, (INTENT,)),
    "customer.": ({"object": "customer", "id": "cus_1"}, (ObjectRef("customer", "cus_1"),)),
    "entitlements.": (
        {"object": "entitlements.active_entitlement_summary", "customer": "cus_1"},
        (ObjectRef("entitlements", "cus_1"),),
    ),
    ("price.", "product."): ({"object": "price", "id": "price_1"}, ()),
}
"""How an event type begins, the first that fits → an object of it, and what it points at."""


def content_of(event_type: str, obj: dict[str, Any], **changes: Any) -> EventContent:
    """Return what the service reads in an event."""
    return event_content(parse_api_event(Made.event(event_type, obj, **changes)))


@pytest.mark.parametrize("event_type", HANDLED_TYPES)
def test_every_handled_event_type_refers_to_its_object(event_type: str) -> None:
    obj, refs = next(found for begins, found in OBJECTS.items() if event_type.startswith(begins))
    found = content_of(event_type, obj)
    assert found.handled
    assert found.refs == refs
    assert found.prices == event_type.startswith(("price.", "product."))


def test_every_handled_event_type_exists_in_the_sdk() -> None:
    source = Path(str(stripe.__file__)).with_name("_event.py").read_text("utf-8")
    assert set(HANDLED_TYPES) <= set(re.findall(r'"([a-z_.]+)"', source))


def test_event_types_are_requested_twenty_at_a_time() -> None:
    groups = type_groups()
    assert [name for group in groups for name in group] == list(HANDLED_TYPES)
    assert all(len(group) <= 20 for group in groups)


@pytest.mark.parametrize(
    "event_type", ["invoice.created", "invoice.upcoming", "customer.subscription.trial_will_end", "payout.paid", "x.y"]
)
def test_event_type_outside_the_table_is_not_handled(event_type: str) -> None:
    assert not content_of(event_type, {"object": "invoice", "id": "in_1", "subscription": "sub_1"}).handled


@pytest.mark.parametrize(
    "invoice",
    [
        {"subscription": "sub_1"},
        {"subscription": {"id": "sub_1", "object": "subscription"}},
        {"parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}}},
        {"parent": {"subscription_details": {"subscription": {"id": "sub_1"}}}, "subscription": None},
    ],
)
def test_invoice_leads_to_its_subscription_in_every_shape(invoice: dict[str, Any]) -> None:
    assert content_of("invoice.paid", {"object": "invoice", **invoice}).refs == (SUBSCRIPTION,)


@pytest.mark.parametrize("invoice", [{}, {"parent": None}, {"parent": {"subscription_details": None}}, {"parent": []}])
def test_invoice_without_subscription_is_not_handled(invoice: dict[str, Any]) -> None:
    assert not content_of("invoice.paid", {"object": "invoice", "id": "in_1", **invoice}).handled


@pytest.mark.parametrize(
    ("obj", "ref"),
    [
        ({"object": "charge", "id": "ch_1", "payment_intent": None}, CHARGE),
        ({"object": "refund", "id": "re_1", "charge": "ch_1", "payment_intent": None}, CHARGE),
        ({"object": "refund", "id": "re_1", "charge": "ch_1", "payment_intent": {"id": "pi_1"}}, INTENT),
        ({"object": "dispute", "id": "dp_1", "charge": {"id": "ch_1"}}, CHARGE),
    ],
)
def test_money_event_leads_to_its_payment_by_intent_or_charge(obj: dict[str, Any], ref: PaymentRef) -> None:
    found = content_of("charge.dispute.created", obj)
    assert found.refs == (ref,)
    assert found.payment_update is not None
    assert found.payment_update.charge == (None if ref == INTENT and obj.get("charge") is None else "ch_1")


def test_money_event_payload_has_amount_and_status() -> None:
    refund = {"object": "refund", "id": "re_1", "payment_intent": "pi_1", "amount": 100, "status": "failed"}
    update = content_of("refund.failed", refund).payment_update
    assert update is not None
    assert (update.kind, update.id, update.intent, update.amount, update.status) == (
        "refund",
        "re_1",
        "pi_1",
        100,
        "failed",
    )
    charge = {"object": "charge", "id": "ch_1", "payment_intent": "pi_1", "amount": 300, "amount_refunded": 200}
    update = content_of("charge.refunded", charge).payment_update
    assert update is not None
    assert (update.kind, update.charge, update.amount) == ("charge", "ch_1", 200)


@pytest.mark.parametrize(
    ("event_type", "status", "paid"),
    [
        ("checkout.session.completed", "paid", True),
        ("checkout.session.completed", "no_payment_required", True),
        ("checkout.session.completed", "unpaid", False),
        ("checkout.session.async_payment_succeeded", "paid", True),
        ("checkout.session.async_payment_succeeded", "unpaid", True),
        ("checkout.session.async_payment_failed", "unpaid", False),
    ],
)
def test_session_event_sets_the_time_of_payment(event_type: str, status: str, paid: bool) -> None:
    session = Made.session(payment_status=status)
    found = content_of(event_type, session, created=session["created"] + 77)
    assert found.facts is not None
    assert found.paid_at == (session["created"] + 77 if paid else None)
    assert (found.facts.source is not None) == paid
    if paid:
        assert found.facts.source.paid_at == found.paid_at  # type: ignore[union-attr] # a Pass, as of mode payment


def test_subscription_session_is_paid_for_by_its_subscription() -> None:
    session = Made.session(mode="subscription", subscription="sub_1", payment_intent=None)
    found = content_of("checkout.session.completed", session)
    assert found.refs == (SESSION, SUBSCRIPTION)
    assert found.paid_at is None
    assert found.facts is not None
    assert found.facts.source is None
    assert found.facts.subscription == "sub_1"


def test_deleted_customer_event_reports_deleted() -> None:
    gone = content_of("customer.deleted", {"object": "customer", "id": "cus_1"}).facts
    there = content_of("customer.updated", {"object": "customer", "id": "cus_1"}).facts
    assert gone is not None
    assert there is not None
    assert (gone.deleted, there.deleted) == (True, False)


@pytest.mark.parametrize("kind", sorted(RELATED))
def test_thin_event_refers_to_its_related_object(kind: str) -> None:
    family = {"subscription": "customer.subscription.past_due", "customer": "customer.updated"}
    thin = "v1." + family.get(kind, "invoice.paid")
    found = event_content(parse_api_event(Made.thin(thin, {"id": "x_1", "type": kind, "url": "/v1/x"})))
    assert found.refs == (RELATED[kind]("x_1"),)
    assert found.facts is None


@pytest.mark.parametrize(
    ("event_type", "related", "handled"),
    [
        ("v1.customer.subscription.cancel_at_changed", {"id": "sub_1", "type": "subscription"}, True),
        ("v1.price.lookup_key_changed", {"id": "price_1", "type": "price"}, True),
        ("v1.customer.subscription.updated", None, False),
        ("v1.customer.subscription.updated", {"id": "", "type": "subscription"}, False),
        ("v1.customer.subscription.updated", {"id": "x", "type": "unheard_of"}, False),
        ("v1.invoice.created", {"id": "in_1", "type": "invoice"}, False),
        ("customer.subscription.updated", {"id": "sub_1", "type": "subscription"}, False),
        ("v2.core.account.updated", {"id": "acct_1", "type": "v2.core.account"}, False),
    ],
)
def test_thin_event_is_handled_like_its_snapshot_event(
    event_type: str, related: dict[str, str] | None, handled: bool
) -> None:
    assert event_content(parse_api_event(Made.thin(event_type, related))).handled == handled


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["id", "object", "status", "items", "price", "plan", "metadata", "customer", "parent", "subscription", "mode"]
NAMES += ["payment_status", "payment_intent", "charge", "amount", "entitlements", "data", "quantity", "created"]


@example("customer.subscription.deleted", {"status": []}, {})
@given(st.sampled_from(HANDLED_TYPES), st.dictionaries(st.sampled_from(NAMES), JSON), st.dictionaries(st.text(), JSON))
def test_random_event_payload_never_raises(event_type: str, obj: dict[str, Any], previous: dict[str, Any]) -> None:
    for kind in ("subscription", "checkout.session", "customer", "charge", obj.get("object")):
        event = Envelope("evt_1", event_type, 0, False, None, {"id": "x_1", **obj, "object": kind}, previous)
        events.event_content(event)


@pytest.mark.parametrize(
    ("status", "expected"),
    [("active", "canceled"), ("canceled", "canceled"), ("incomplete_expired", "incomplete_expired")],
)
def test_deleted_subscription_event_is_terminal_whatever_its_status(status: str, expected: str) -> None:
    deleted = content_of("customer.subscription.deleted", Made.subscription(status=status))
    assert deleted.facts is not None
    assert deleted.facts.terminal
    assert getattr(deleted.facts.source, "status", None) == expected
