"""Test the gateway with the real SDK against the look-alike: complete results with few requests."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from service.adapters.stripe import translate
from service.adapters.stripe.gateway import Gateway
from service.domain.errors import NoSuchObject
from service.domain.sources import Pass, StripeEntitlements, Subscription
from service.domain.stripe_facts import ObjectRef, PaymentRef
from tests.stripe_fixtures import BORN, Made


def the_pass(gateway: Gateway, session: str, **how: Any) -> Pass:
    source = gateway.read_object(ObjectRef("session", session), **how).source
    assert isinstance(source, Pass)
    return source


def test_subscription_is_read_in_one_request(gateway: Gateway, strict: Any) -> None:
    strict.put(Made.subscription())
    facts = gateway.read_object(ObjectRef("subscription", "sub_1"))
    assert isinstance(facts.source, Subscription)
    assert (facts.source.status, facts.customer, facts.claims.reader_id) == ("active", "cus_1", "r-1")
    assert strict.asked() == [("GET", "/v1/subscriptions/sub_1")]


def test_items_beyond_the_embedded_list_are_read_to_the_last_page(gateway: Gateway, strict: Any) -> None:
    obj = Made.subscription()
    row = obj["items"]["data"][0]
    obj["items"] = {
        "object": "list",
        "has_more": True,
        "data": [{**row, "id": f"si_{n}", "price": {**row["price"], "id": f"price_{n}"}} for n in range(130)],
    }
    strict.put(obj)
    facts = gateway.read_object(ObjectRef("subscription", "sub_1"))
    assert not facts.partial
    assert isinstance(facts.source, Subscription)
    assert {item.price for item in facts.source.items} == {f"price_{n}" for n in range(130)}
    assert strict.asked().count(("GET", "/v1/subscription_items")) == 2


def test_object_unknown_to_stripe_raises_no_such_object(gateway: Gateway, strict: Any) -> None:
    for ref in (
        ObjectRef("subscription", "sub_x"),
        ObjectRef("session", "cs_x"),
        ObjectRef("customer", "cus_x"),
        ObjectRef("entitlements", "cus_x"),
    ):
        with pytest.raises(NoSuchObject):
            gateway.read_object(ref)


def test_deleted_customer_is_read_as_deleted(gateway: Gateway, strict: Any, stripe_client: stripe.StripeClient) -> None:
    customer = stripe_client.v1.customers.create({"metadata": {"reader_id": "r-1"}})
    assert not gateway.read_object(ObjectRef("customer", customer.id)).deleted
    assert gateway.read_object(ObjectRef("customer", customer.id)).claims.reader_id == "r-1"
    stripe_client.v1.customers.delete(customer.id)
    assert gateway.read_object(ObjectRef("customer", customer.id)).deleted


def test_pass_starts_at_paid_at_or_else_at_its_charge(
    gateway: Gateway, strict: Any, stripe_client: stripe.StripeClient, day_pass: Callable[..., str]
) -> None:
    session = day_pass(price_id="price_day")
    assert the_pass(gateway, session, paid_at=BORN) == Pass(session, "price_day", None, "prod_day_pass", paid_at=BORN)
    without = the_pass(gateway, session)
    charge = stripe_client.v1.charges.list({}).data[0]
    assert without.paid_at == charge.created


def test_pass_without_our_metadata_is_read_from_line_items(
    gateway: Gateway, strict: Any, day_pass: Callable[..., str]
) -> None:
    session = day_pass()
    strict.forget()
    found = the_pass(gateway, session, paid_at=BORN)
    assert (found.price, found.product) == ("price_day", "prod_day_pass")
    assert [path for _, path in strict.asked()] == [f"/v1/checkout/sessions/{session}", "/v1/refunds", "/v1/disputes"]


def test_unpaid_session_costs_one_request_and_is_no_pass(
    gateway: Gateway, strict: Any, day_pass: Callable[..., str]
) -> None:
    session = day_pass(how="debit", price_id="price_day")
    strict.forget()
    assert gateway.read_object(ObjectRef("session", session)).source is None
    assert len(strict.asked()) == 1
    strict.ask("POST", f"/checkout/{session}/settle", {"succeed": True})
    assert isinstance(gateway.read_object(ObjectRef("session", session)).source, Pass)


def test_refunds_add_up_and_a_failed_refund_restores_the_pass(
    gateway: Gateway, strict: Any, stripe_client: stripe.StripeClient, day_pass: Callable[..., str]
) -> None:
    session = day_pass(price_id="price_day")
    intent = gateway.read_object(ObjectRef("session", session)).payment.intent  # type: ignore[union-attr] # of mode payment
    assert intent is not None
    stripe_client.v1.refunds.create({"payment_intent": intent, "amount": 100})
    assert not the_pass(gateway, session).refunded
    strict.ask("POST", "/policy", {"refund_status": "pending"})
    rest = stripe_client.v1.refunds.create({"payment_intent": intent})
    assert the_pass(gateway, session).refunded
    strict.ask("POST", f"/refunds/{rest.id}", {"status": "failed"})
    assert not the_pass(gateway, session).refunded


@pytest.mark.full
@pytest.mark.parametrize(
    ("begun", "ended", "disputed"),
    [
        ("needs_response", None, True),
        ("needs_response", "under_review", True),
        ("needs_response", "won", False),
        ("needs_response", "lost", True),
        ("warning_needs_response", None, False),
        ("warning_needs_response", "warning_closed", False),
        ("prevented", None, False),
    ],
)
def test_dispute_counts_while_it_is_open_or_lost(
    begun: str, ended: str | None, disputed: bool, gateway: Gateway, strict: Any, day_pass: Callable[..., str]
) -> None:
    session = day_pass(price_id="price_day")
    intent = gateway.read_object(ObjectRef("session", session)).payment.intent  # type: ignore[union-attr] # of mode payment
    dispute = strict.ask("POST", "/disputes", {"payment_intent": intent, "status": begun})
    if ended:
        strict.ask("POST", f"/disputes/{dispute['id']}", {"status": ended})
    assert the_pass(gateway, session).disputed == disputed


def test_every_payment_reference_leads_to_its_session(
    gateway: Gateway, strict: Any, stripe_client: stripe.StripeClient, day_pass: Callable[..., str]
) -> None:
    session = day_pass(price_id="price_day")
    charge = stripe_client.v1.charges.list({}).data[0]
    refund = stripe_client.v1.refunds.create({"charge": charge.id, "amount": 1})
    dispute = strict.ask("POST", "/disputes", {"charge": charge.id})
    intent = str(charge.payment_intent)
    for ref in (
        PaymentRef("intent", intent),
        PaymentRef("charge", charge.id),
        PaymentRef("refund", refund.id),
        PaymentRef("dispute", dispute["id"]),
    ):
        assert gateway.resolve_payment(ref) == (ObjectRef("session", session),)
    with pytest.raises(NoSuchObject):
        gateway.resolve_payment(PaymentRef("charge", "ch_x"))


def test_payment_of_a_subscription_leads_to_it_only_by_its_invoice(
    gateway: Gateway, strict: Any, stripe_client: stripe.StripeClient
) -> None:
    customer = stripe_client.v1.customers.create(
        {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    )
    begun = stripe_client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": "price_month"}]})
    charge = stripe_client.v1.charges.list({}).data[0]
    assert gateway.resolve_payment(PaymentRef("charge", charge.id)) == ()
    assert gateway.resolve_payment(PaymentRef("invoice", str(begun.latest_invoice))) == (
        ObjectRef("subscription", begun.id),
    )


def test_entitlements_are_read_to_the_last_page(
    gateway: Gateway, strict: Any, stripe_client: stripe.StripeClient
) -> None:
    customer = stripe_client.v1.customers.create(
        {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    )
    for n in range(13):
        feature = stripe_client.v1.entitlements.features.create({"name": f"F{n}", "lookup_key": f"feature_{n}"})
        stripe_client.v1.products.features.create("prod_supporter", {"entitlement_feature": feature.id})
    stripe_client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": "price_month"}]})
    facts = gateway.read_object(ObjectRef("entitlements", customer.id))
    assert not facts.partial
    assert isinstance(facts.source, StripeEntitlements)
    assert set(facts.source.lookup_keys) == {f"feature_{n}" for n in range(13)}


def test_recorded_lifecycles_are_read_as_their_final_objects(
    gateway: Gateway, control: Any, stories: list[dict[str, Any]]
) -> None:
    for story in stories:
        control.load(story)
    for story in stories:
        for name, obj in story["final"]["subscriptions"].items():
            assert gateway.read_object(ObjectRef("subscription", name)) == translate.subscription_facts(obj)
        for name, obj in story["final"]["checkout_sessions"].items():
            facts = gateway.read_object(ObjectRef("session", name), paid_at=BORN)
            if obj["mode"] == "payment":
                assert isinstance(facts.source, Pass)
                assert facts.source.refunded == (story["name"] == "refund_partial_then_full")
                assert not facts.source.disputed


def test_forked_child_opens_its_own_connections(gateway: Gateway, control: Any) -> None:
    control.put(Made.subscription())
    gateway.read_object(ObjectRef("subscription", "sub_1"))
    child = os.fork()
    if child == 0:
        try:
            for _ in range(20):
                gateway.read_object(ObjectRef("subscription", "sub_1"))
            os._exit(0)
        except BaseException:
            os._exit(1)
    for _ in range(20):
        gateway.read_object(ObjectRef("subscription", "sub_1"))
    assert os.waitpid(child, 0)[1] == 0
