"""Test lists of Stripe objects: each object once, in order, to the last page."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from service.adapters.stripe.gateway import Gateway
from service.adapters.stripe.transport import RateLimit
from service.domain.errors import StripeUnavailable
from service.domain.sources import Pass
from service.domain.stripe_facts import ObjectRef
from tests.stripe_fixtures import BORN, Made

pytestmark = pytest.mark.full


def test_list_that_repeats_its_page_stops_with_an_error(canned: Any) -> None:
    canned.says(200, {"object": "list", "data": [Made.subscription()], "has_more": True, "url": "/v1/subscriptions"})
    with pytest.raises(StripeUnavailable, match="odd_answer"):
        list(Gateway("sk_test_x", canned.url, RateLimit()).list_subscriptions())


def events_at(control: Any, *moments: int) -> list[str]:
    """Create events in the look-alike at these times and return their IDs."""
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


def test_events_are_listed_oldest_first_from_a_given_time(gateway: Gateway, strict: Any) -> None:
    events_at(strict, BORN + 2, BORN, BORN + 1, BORN + 3)
    assert [event.created - BORN for event in gateway.list_events_since(None)] == [0, 1, 2, 3]
    assert [event.created - BORN for event in gateway.list_events_since(BORN + 2)] == [2, 3]
    assert list(gateway.list_events_since(BORN + 4)) == []
    assert gateway.find_newest_event() == BORN + 3


def test_many_events_are_listed_once_each_in_order(gateway: Gateway, strict: Any) -> None:
    """Include many events in one second, a gap of weeks, and events older than the 30 days that Stripe promises."""
    moments = [BORN - 40 * 86_400 + n for n in range(5)] + [BORN + n // 9 for n in range(600)] + [BORN + 1_000] * 250
    names = events_at(strict, *moments)
    found = list(gateway.list_events_since(None))
    assert sorted(event.id for event in found) == sorted(names)
    assert [event.created for event in found] == sorted(moments)
    assert len(list(gateway.list_events_since(BORN + 1_000))) == 250


def test_unhandled_event_types_are_not_requested(gateway: Gateway, strict: Any) -> None:
    strict.ask("POST", "/event", {"type": "payout.paid", "object": {"object": "payout"}, "send": False})
    assert list(gateway.list_events_since(None)) == []
    assert gateway.find_newest_event() is None


def test_malformed_event_is_skipped(canned: Any) -> None:
    good = Made.event("invoice.paid", {"object": "invoice"})
    rows = [good, {"id": "evt_2", "object": "event", "created": 1}]
    canned.says(200, {"object": "list", "data": rows, "has_more": False, "url": "/v1/events"})
    found = Gateway("sk_test_x", canned.url, RateLimit()).list_events_since(None)
    assert {event.id for event in found} == {"evt_1"}


def test_full_sync_lists_subscriptions_of_every_status(gateway: Gateway, strict: Any) -> None:
    for n, status in enumerate(("active", "canceled", "incomplete_expired", "paused")):
        strict.put(Made.subscription(id=f"sub_{n}", status=status))
    found = {facts.ref.id: facts.source.status for facts in gateway.list_subscriptions()}  # type: ignore[union-attr] # subscriptions all
    assert found == {"sub_0": "active", "sub_1": "canceled", "sub_2": "incomplete_expired", "sub_3": "paused"}


def test_full_sync_lists_sessions_with_refunds_and_disputes(
    gateway: Gateway, strict: Any, stripe_client: stripe.StripeClient, day_pass: Callable[..., str]
) -> None:
    kept, refunded, disputed = (day_pass(price_id="price_day") for _ in range(3))
    day_pass(how="debit", price_id="price_day")
    intents = {name: gateway.read_object(ObjectRef("session", name)).payment.intent for name in (refunded, disputed)}  # type: ignore[union-attr] # of mode payment
    stripe_client.v1.refunds.create({"payment_intent": str(intents[refunded])})
    strict.ask("POST", "/disputes", {"payment_intent": intents[disputed]})
    strict.forget()
    found = {facts.ref.id: facts.source for facts in gateway.list_sessions(0)}
    assert len(found) == 4
    passes = {name: (source.refunded, source.disputed) for name, source in found.items() if isinstance(source, Pass)}
    assert passes == {kept: (False, False), refunded: (True, False), disputed: (False, True)}
    assert len(strict.asked()) == 3


def test_prices_are_found_by_id_and_by_lookup_key(
    gateway: Gateway, strict: Any, stripe_client: stripe.StripeClient
) -> None:
    made = stripe_client.v1.prices.create(
        {
            "product": "prod_supporter",
            "currency": "eur",
            "unit_amount": 1200,
            "recurring": {"interval": "month", "interval_count": 3},
            "lookup_key": "quarterly",
        }
    )
    found = gateway.find_prices(["quarterly", "price_day", "price_unheard_of"])
    assert list(found) == ["quarterly", "price_day"]
    quarter, day = found["quarterly"], found["price_day"]
    assert (quarter.id, quarter.amount, quarter.currency) == (made.id, 1200, "eur")
    assert (quarter.interval, quarter.recurring) == ("3 months", True)
    assert (day.interval, day.recurring, day.active) == (None, False, True)
    assert {tag.id for tag in gateway.list_active_prices("prod_supporter")} == {"price_month", "price_year", made.id}
    assert gateway.list_active_prices("prod_unheard_of") == []
    assert made.id in {tag.id for tag in gateway.list_active_prices()}


def test_price_without_whole_amount_has_none(canned: Any) -> None:
    price = {"id": "price_1", "object": "price", "unit_amount": None, "unit_amount_decimal": "0.5", "currency": "usd"}
    canned.says(200, {"object": "list", "data": [price], "has_more": False, "url": "/v1/prices"})
    assert Gateway("sk_test_x", canned.url, RateLimit()).list_active_prices()[0].amount is None


def test_account_has_its_id_and_the_clock_difference(gateway: Gateway, strict: Any) -> None:
    assert gateway.read_account().id
    assert abs(gateway.read_account().clock_ahead or 99) < 3
    ahead = gateway.read_account(clock=lambda: time.time() + 500).clock_ahead
    assert ahead == pytest.approx(500, abs=3)


def test_webhook_endpoints_are_listed_as_registered(gateway: Gateway, strict: Any) -> None:
    strict.ask("POST", "/webhook_endpoints", {"url": "http://127.0.0.1:9/v1/stripe/webhook", "secret": "whsec_1"})
    (endpoint,) = gateway.list_webhook_endpoints()
    assert (endpoint.url, endpoint.enabled, endpoint.types) == ("http://127.0.0.1:9/v1/stripe/webhook", True, ("*",))
