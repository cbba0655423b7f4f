"""Test the price cache: refreshed in the background, kept when Stripe fails, refreshed on changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from service.adapters.stripe.gateway import Gateway
from service.domain.catalogue import Catalogue, Plan
from service.domain.errors import StripeUnavailable
from service.use_cases.checkout.price_cache import PriceCache
from tests.store_servers import wait_until


@pytest.fixture
def prices(gateway: Gateway, catalogue: Catalogue) -> Iterator[PriceCache]:
    made = PriceCache(gateway, catalogue)
    yield made
    made.stop()


def test_prices_are_unknown_until_stripe_answered(prices: PriceCache, catalogue: Catalogue, strict: Any) -> None:
    supporter = catalogue.plans["supporter"]
    assert prices.tags() == {}
    assert prices.list_prices(supporter) == ()
    assert strict.asked() == []
    prices.start()
    prices.start()
    wait_until(lambda: prices.tags())
    assert [(tag.id, tag.amount, tag.currency, tag.interval) for tag in prices.list_prices(supporter)] == [
        ("price_month", 500, "usd", "month"),
        ("price_year", 5000, "usd", "year"),
    ]
    assert prices.list_prices(catalogue.plans["vip"]) == ()


def test_price_event_refreshes_prices(prices: PriceCache, catalogue: Catalogue, strict: Any) -> None:
    prices.start()
    wait_until(lambda: prices.tags())
    strict.put({"id": "price_month", "object": "price", "unit_amount": 700})
    prices.request_refresh()
    wait_until(lambda: prices.tags()["price_month"].amount == 700)


def test_archived_price_is_not_offered(prices: PriceCache, catalogue: Catalogue, strict: Any) -> None:
    strict.put({"id": "price_month", "object": "price", "active": False})
    prices.refresh()
    assert [tag.id for tag in prices.list_prices(catalogue.plans["supporter"])] == ["price_year"]


def test_plan_of_a_product_omits_prices_of_other_plans(gateway: Gateway, catalogue: Catalogue, strict: Any) -> None:
    monthly = Plan("monthly", "Monthly", ("notebook",), prices=("price_month",))
    rest = Plan("rest", "Rest", ("notebook",), products=("prod_supporter",))
    prices = PriceCache(gateway, replace(catalogue, plans={"monthly": monthly, "rest": rest}))
    prices.refresh()
    assert [tag.id for tag in prices.list_prices(monthly)] == ["price_month"]
    assert [tag.id for tag in prices.list_prices(rest)] == ["price_year"]


def test_known_prices_stay_while_stripe_fails(prices: PriceCache, strict: Any) -> None:
    prices.refresh()
    known = prices.tags()
    strict.ask("POST", "/faults", {"status": 500})
    with pytest.raises(StripeUnavailable):
        prices.refresh()
    assert prices.tags() == known


def test_background_refresh_survives_a_stripe_failure_and_stops(prices: PriceCache, strict: Any) -> None:
    strict.ask("POST", "/faults", {"status": 500})
    prices.start()
    wait_until(lambda: strict.asked())
    prices.stop()
    assert prices.tags() == {}


def test_unknown_price_is_read_at_once(prices: PriceCache, strict: Any) -> None:
    found = prices.find("price_day")
    assert found is not None
    assert found.amount == 300
    assert prices.find("price_unheard_of") is None
    prices.refresh()
    strict.forget()
    assert prices.find("price_month") is not None
    assert strict.asked() == []


def test_without_a_stripe_key_there_are_no_prices(catalogue: Catalogue) -> None:
    prices = PriceCache(None, catalogue)
    prices.start()
    prices.refresh()
    assert prices.tags() == {}
    prices.stop()
