"""The real SDK asks a look-alike over HTTP; what comes back is ours, whole, and costs few requests."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
import stripe

from service.billing import translate
from service.billing.errors import NoSuchObject, StripeUnavailable
from service.billing.gateway import Gateway
from service.demo.stripe import RunningLookalike
from service.paywall.source import Pass, StripeEntitlements, Subscription
from service.paywall.told import PaymentRef, Ref

BORN = 1_793_491_200


@pytest.fixture
def stripe_itself(lookalike: RunningLookalike) -> stripe.StripeClient:
    """To make objects with."""
    return stripe.StripeClient("sk_test_x", base_addresses={"api": lookalike.url})


def day_pass(stripe_itself: stripe.StripeClient, control: Any, how: str = "card", **metadata: str) -> str:
    """A day pass bought through Checkout; the session's id."""
    session = stripe_itself.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"price": "price_day", "quantity": 1}],
            "success_url": "https://www.example.news/",
            "metadata": metadata,
        }
    )
    control.pay(session.id, how)
    return session.id


def the_pass(gateway: Gateway, session: str, **how: Any) -> Pass:
    source = gateway.read(Ref("session", session), **how).source
    assert isinstance(source, Pass)
    return source


def test_a_subscription_is_read_in_one_request(gateway: Gateway, strict: Any, made: Any) -> None:
    strict.put(made.subscription())
    told = gateway.read(Ref("subscription", "sub_1"))
    assert isinstance(told.source, Subscription)
    assert (told.source.status, told.customer, told.claims.reader_id) == ("active", "cus_1", "r-1")
    assert strict.asked() == [("GET", "/v1/subscriptions/sub_1")]


def test_items_beyond_the_embedded_list_are_read_to_the_last_page(gateway: Gateway, strict: Any, made: Any) -> None:
    obj = made.subscription()
    row = obj["items"]["data"][0]
    obj["items"] = {
        "object": "list",
        "has_more": True,
        "data": [{**row, "id": f"si_{n}", "price": {**row["price"], "id": f"price_{n}"}} for n in range(130)],
    }
    strict.put(obj)
    told = gateway.read(Ref("subscription", "sub_1"))
    assert not told.partial
    assert isinstance(told.source, Subscription)
    assert {item.price for item in told.source.items} == {f"price_{n}" for n in range(130)}
    assert strict.asked().count(("GET", "/v1/subscription_items")) == 2


def test_what_stripe_does_not_have_is_no_such_object(gateway: Gateway, strict: Any) -> None:
    for ref in (
        Ref("subscription", "sub_x"),
        Ref("session", "cs_x"),
        Ref("customer", "cus_x"),
        Ref("entitlements", "cus_x"),
    ):
        with pytest.raises(NoSuchObject):
            gateway.read(ref)


def test_a_customer_that_was_deleted_is_told_of_as_deleted(
    gateway: Gateway, strict: Any, stripe_itself: stripe.StripeClient
) -> None:
    customer = stripe_itself.v1.customers.create({"metadata": {"reader_id": "r-1"}})
    assert not gateway.read(Ref("customer", customer.id)).deleted
    assert gateway.read(Ref("customer", customer.id)).claims.reader_id == "r-1"
    stripe_itself.v1.customers.delete(customer.id)
    assert gateway.read(Ref("customer", customer.id)).deleted


def test_a_pass_starts_when_the_caller_was_told_so(
    gateway: Gateway, strict: Any, stripe_itself: stripe.StripeClient
) -> None:
    session = day_pass(stripe_itself, strict, price_id="price_day")
    assert the_pass(gateway, session, paid_at=BORN) == Pass(session, "price_day", None, None, paid_at=BORN)
    without = the_pass(gateway, session)
    charge = stripe_itself.v1.charges.list({}).data[0]
    assert without.paid_at == charge.created


def test_without_our_metadata_the_line_items_say_what_was_bought(
    gateway: Gateway, strict: Any, stripe_itself: stripe.StripeClient
) -> None:
    session = day_pass(stripe_itself, strict)
    found = the_pass(gateway, session, paid_at=BORN)
    assert (found.price, found.product) == ("price_day", "prod_day_pass")


def test_a_session_that_is_not_paid_costs_one_request_and_is_no_pass(
    gateway: Gateway, strict: Any, stripe_itself: stripe.StripeClient
) -> None:
    session = day_pass(stripe_itself, strict, how="debit", price_id="price_day")
    strict.forget()
    assert gateway.read(Ref("session", session)).source is None
    assert len(strict.asked()) == 1
    strict.ask("POST", f"/checkout/{session}/settle", {"succeed": True})
    assert isinstance(gateway.read(Ref("session", session)).source, Pass)


def test_refunds_add_up_and_one_that_fails_gives_the_pass_back(
    gateway: Gateway, strict: Any, stripe_itself: stripe.StripeClient
) -> None:
    session = day_pass(stripe_itself, strict, price_id="price_day")
    intent = gateway.read(Ref("session", session)).payment.intent  # type: ignore[union-attr] # of mode payment
    assert intent is not None
    stripe_itself.v1.refunds.create({"payment_intent": intent, "amount": 100})
    assert not the_pass(gateway, session).refunded
    strict.ask("POST", "/policy", {"refund_status": "pending"})
    rest = stripe_itself.v1.refunds.create({"payment_intent": intent})
    assert the_pass(gateway, session).refunded
    strict.ask("POST", f"/refunds/{rest.id}", {"status": "failed"})
    assert not the_pass(gateway, session).refunded


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
def test_a_dispute_counts_while_it_is_open_or_lost(
    begun: str, ended: str | None, disputed: bool, gateway: Gateway, strict: Any, stripe_itself: stripe.StripeClient
) -> None:
    session = day_pass(stripe_itself, strict, price_id="price_day")
    intent = gateway.read(Ref("session", session)).payment.intent  # type: ignore[union-attr] # of mode payment
    dispute = strict.ask("POST", "/disputes", {"payment_intent": intent, "status": begun})
    if ended:
        strict.ask("POST", f"/disputes/{dispute['id']}", {"status": ended})
    assert the_pass(gateway, session).disputed == disputed


def test_whatever_names_a_payment_leads_to_its_session(
    gateway: Gateway, strict: Any, stripe_itself: stripe.StripeClient
) -> None:
    session = day_pass(stripe_itself, strict, price_id="price_day")
    charge = stripe_itself.v1.charges.list({}).data[0]
    refund = stripe_itself.v1.refunds.create({"charge": charge.id, "amount": 1})
    dispute = strict.ask("POST", "/disputes", {"charge": charge.id})
    intent = str(charge.payment_intent)
    for ref in (
        PaymentRef("intent", intent),
        PaymentRef("charge", charge.id),
        PaymentRef("refund", refund.id),
        PaymentRef("dispute", dispute["id"]),
    ):
        assert gateway.resolve(ref) == (Ref("session", session),)
    with pytest.raises(NoSuchObject):
        gateway.resolve(PaymentRef("charge", "ch_x"))


def test_a_subscriptions_payment_leads_nowhere_and_its_invoice_to_it(
    gateway: Gateway, strict: Any, stripe_itself: stripe.StripeClient
) -> None:
    customer = stripe_itself.v1.customers.create(
        {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    )
    begun = stripe_itself.v1.subscriptions.create({"customer": customer.id, "items": [{"price": "price_month"}]})
    charge = stripe_itself.v1.charges.list({}).data[0]
    assert gateway.resolve(PaymentRef("charge", charge.id)) == ()
    assert gateway.resolve(PaymentRef("invoice", str(begun.latest_invoice))) == (Ref("subscription", begun.id),)


def test_entitlements_are_read_to_the_last_one(
    gateway: Gateway, strict: Any, stripe_itself: stripe.StripeClient
) -> None:
    customer = stripe_itself.v1.customers.create(
        {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    )
    for n in range(13):
        feature = stripe_itself.v1.entitlements.features.create({"name": f"F{n}", "lookup_key": f"feature_{n}"})
        stripe_itself.v1.products.features.create("prod_supporter", {"entitlement_feature": feature.id})
    stripe_itself.v1.subscriptions.create({"customer": customer.id, "items": [{"price": "price_month"}]})
    told = gateway.read(Ref("entitlements", customer.id))
    assert not told.partial
    assert isinstance(told.source, StripeEntitlements)
    assert set(told.source.lookup_keys) == {f"feature_{n}" for n in range(13)}


def test_a_list_that_turns_in_a_circle_is_not_followed(canned: Any, made: Any) -> None:
    canned.says(200, {"object": "list", "data": [made.subscription()], "has_more": True, "url": "/v1/subscriptions"})
    with pytest.raises(StripeUnavailable, match="odd_answer"):
        list(Gateway("sk_test_x", canned.url).all_subscriptions())


def events_at(control: Any, *moments: int) -> list[str]:
    """Events in the look-alike's books, at these seconds; their ids."""
    for n, moment in enumerate(moments):
        control.ask(
            "POST",
            "/event",
            {
                "type": "customer.updated" if n % 2 else "invoice.paid",
                "object": {"object": "invoice", "subscription": f"sub_{n}"},
                "id": f"evt_{n}",
                "created": moment,
                "send": False,
            },
        )
    return [f"evt_{n}" for n in range(len(moments))]


def test_events_come_the_oldest_first_from_a_moment_on(gateway: Gateway, strict: Any) -> None:
    events_at(strict, BORN + 2, BORN, BORN + 1, BORN + 3)
    assert [event.created - BORN for event in gateway.events_since(None)] == [0, 1, 2, 3]
    assert [event.created - BORN for event in gateway.events_since(BORN + 2)] == [2, 3]
    assert list(gateway.events_since(BORN + 4)) == []
    assert gateway.newest_event() == BORN + 3


def test_many_events_come_each_once_and_in_order(gateway: Gateway, strict: Any) -> None:
    """Crowded seconds, a gap of weeks, and what Stripe keeps longer than it promises."""
    moments = [BORN - 40 * 86_400 + n for n in range(5)] + [BORN + n // 9 for n in range(600)] + [BORN + 1_000] * 250
    names = events_at(strict, *moments)
    found = list(gateway.events_since(None))
    assert sorted(event.id for event in found) == sorted(names)
    assert [event.created for event in found] == sorted(moments)
    assert len(list(gateway.events_since(BORN + 1_000))) == 250


def test_what_is_not_handled_is_not_asked_for(gateway: Gateway, strict: Any) -> None:
    strict.ask("POST", "/event", {"type": "payout.paid", "object": {"object": "payout"}, "send": False})
    assert list(gateway.events_since(None)) == []
    assert gateway.newest_event() is None


def test_an_event_of_no_shape_is_passed_over(gateway: Gateway, canned: Any, made: Any) -> None:
    good = made.event("invoice.paid", {"object": "invoice"})
    rows = [good, {"id": "evt_2", "object": "event", "created": 1}]
    canned.says(200, {"object": "list", "data": rows, "has_more": False, "url": "/v1/events"})
    found = Gateway("sk_test_x", canned.url).events_since(None)
    assert {event.id for event in found} == {"evt_1"}


def test_the_sweep_lists_subscriptions_of_every_status(gateway: Gateway, strict: Any, made: Any) -> None:
    for n, status in enumerate(("active", "canceled", "incomplete_expired", "paused")):
        strict.put(made.subscription(id=f"sub_{n}", status=status))
    found = {told.ref.id: told.source.status for told in gateway.all_subscriptions()}  # type: ignore[union-attr] # subscriptions all
    assert found == {"sub_0": "active", "sub_1": "canceled", "sub_2": "incomplete_expired", "sub_3": "paused"}


def test_the_sweep_lists_sessions_with_what_became_of_the_payments(
    gateway: Gateway, strict: Any, stripe_itself: stripe.StripeClient
) -> None:
    kept, refunded, disputed = (day_pass(stripe_itself, strict, price_id="price_day") for _ in range(3))
    day_pass(stripe_itself, strict, how="debit", price_id="price_day")
    intents = {name: gateway.read(Ref("session", name)).payment.intent for name in (refunded, disputed)}  # type: ignore[union-attr] # of mode payment
    stripe_itself.v1.refunds.create({"payment_intent": str(intents[refunded])})
    strict.ask("POST", "/disputes", {"payment_intent": intents[disputed]})
    strict.forget()
    found = {told.ref.id: told.source for told in gateway.sessions(0)}
    assert len(found) == 4
    passes = {name: (source.refunded, source.disputed) for name, source in found.items() if isinstance(source, Pass)}
    assert passes == {kept: (False, False), refunded: (True, False), disputed: (False, True)}
    assert len(strict.asked()) == 3


def test_prices_are_found_by_id_and_by_lookup_key(
    gateway: Gateway, strict: Any, stripe_itself: stripe.StripeClient
) -> None:
    made = stripe_itself.v1.prices.create(
        {
            "product": "prod_supporter",
            "currency": "eur",
            "unit_amount": 1200,
            "recurring": {"interval": "month", "interval_count": 3},
            "lookup_key": "quarterly",
        }
    )
    found = gateway.prices(["quarterly", "price_day", "price_unheard_of"])
    assert list(found) == ["quarterly", "price_day"]
    quarter, day = found["quarterly"], found["price_day"]
    assert (quarter.id, quarter.amount, quarter.currency) == (made.id, 1200, "eur")
    assert (quarter.interval, quarter.interval_count, quarter.recurring) == ("month", 3, True)
    assert (day.interval, day.recurring, day.active) == (None, False, True)
    assert {tag.id for tag in gateway.prices_of("prod_supporter")} == {"price_month", "price_year", made.id}
    assert gateway.prices_of("prod_unheard_of") == []
    assert made.id in {tag.id for tag in gateway.active_prices()}


def test_a_price_without_an_amount_has_none(canned: Any) -> None:
    price = {"id": "price_1", "object": "price", "unit_amount": None, "unit_amount_decimal": "0.5", "currency": "usd"}
    canned.says(200, {"object": "list", "data": [price], "has_more": False, "url": "/v1/prices"})
    assert Gateway("sk_test_x", canned.url).active_prices()[0].amount is None


def test_the_account_says_whose_key_it_is_and_how_far_the_clock_is_off(gateway: Gateway, strict: Any) -> None:
    assert gateway.account().id
    assert abs(gateway.account().clock_ahead or 99) < 3
    ahead = gateway.account(clock=lambda: time.time() + 500).clock_ahead
    assert ahead == pytest.approx(500, abs=3)


def test_webhook_endpoints_are_told_as_registered(gateway: Gateway, strict: Any) -> None:
    strict.ask("POST", "/webhook_endpoints", {"url": "http://127.0.0.1:9/v1/stripe/webhook", "secret": "whsec_1"})
    (endpoint,) = gateway.webhook_endpoints()
    assert (endpoint.url, endpoint.enabled, endpoint.types) == ("http://127.0.0.1:9/v1/stripe/webhook", True, ("*",))


def test_every_recorded_story_is_read_as_its_final_objects(
    gateway: Gateway, control: Any, stories: list[dict[str, Any]]
) -> None:
    for story in stories:
        control.load(story)
    for story in stories:
        for name, obj in story["final"]["subscriptions"].items():
            assert gateway.read(Ref("subscription", name)) == translate.subscription(obj)
        for name, obj in story["final"]["checkout_sessions"].items():
            told = gateway.read(Ref("session", name), paid_at=BORN)
            if obj["mode"] == "payment":
                assert isinstance(told.source, Pass)
                assert told.source.refunded == (story["name"] == "refund_partial_then_full")
                assert not told.source.disputed


def test_after_a_fork_the_child_opens_its_own_connections(gateway: Gateway, control: Any, made: Any) -> None:
    control.put(made.subscription())
    gateway.read(Ref("subscription", "sub_1"))
    child = os.fork()
    if child == 0:
        try:
            for _ in range(20):
                gateway.read(Ref("subscription", "sub_1"))
            os._exit(0)
        except BaseException:
            os._exit(1)
    for _ in range(20):
        gateway.read(Ref("subscription", "sub_1"))
    assert os.waitpid(child, 0)[1] == 0


def test_the_sweep_lists_customers_with_whose_they_say_they_are(gateway: Gateway, strict: Any) -> None:
    made = gateway.new_customer({"metadata": {"reader_id": "r-1"}}, "once")
    assert [(told.ref.id, told.claims.reader_id) for told in gateway.customers()] == [(made, "r-1")]
