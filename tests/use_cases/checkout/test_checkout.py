"""Test checkout: requests to Stripe, double clicks, and allowed return URLs."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stripe

from service.adapters.stripe.gateway import Gateway
from service.adapters.stripe.transport import RateLimit
from service.domain.catalogue import Catalogue, CheckoutPolicy, Plan
from service.domain.errors import InvalidFields, NoSuchObject, StripeUnavailable
from service.domain.prices import PriceTag
from service.domain.sources import Pass, Subscription
from service.domain.stripe_facts import ObjectRef
from service.use_cases.checkout.checkout import choose_price, find_sold_plan
from service.use_cases.checkout.checkout_session import (
    Order,
    Sale,
    checkout_params,
    is_on_origin,
    open_checkout_page,
    with_session_id,
)
from service.use_cases.checkout.price_cache import PriceCache
from stripe_lookalike import RunningLookalike
from stripe_lookalike.errors import ApiError
from stripe_lookalike.openapi_check import ParameterCheck

PLAIN = CheckoutPolicy()
BACK = "https://www.example.news/story?from=box#notebook"
MONTH = PriceTag("price_month", None, 500, "usd", "month", "prod_supporter", True)
DAY = PriceTag("price_day", None, 300, "usd", None, "prod_day_pass", True)
SEAT = PriceTag("price_seat_month", None, 400, "usd", "month", "prod_newsroom", True)


def sale_of(catalogue: Catalogue, tag: PriceTag, policy: CheckoutPolicy = PLAIN, **order: Any) -> Sale:
    plan = catalogue.plan_for(tag.id, tag.lookup_key, tag.product)
    assert plan is not None
    found = Order(**{"reader": "r-1", "return_url": BACK, **order})
    return Sale(found, tag, plan, policy, catalogue.reader_metadata[0])


def test_first_metadata_key_of_the_policy_names_the_reader_on_every_object(
    lookalike: RunningLookalike, strict: Any, catalogue: Catalogue
) -> None:
    keys = ("user_id", "reader_id")
    gateway = Gateway("sk_test_x", lookalike.url, RateLimit(per_second=1_000, burst=1_000), reader_metadata=keys)
    sale = replace(sale_of(catalogue, MONTH), reader_key=keys[0])
    session = session_of(open_checkout_page(gateway, sale, None, lambda payer: None))
    strict.pay(session)
    facts = gateway.read_object(ObjectRef("session", session))
    assert facts.subscription is not None
    assert facts.customer is not None
    refs = (ObjectRef("subscription", facts.subscription), ObjectRef("customer", facts.customer))
    assert [one.claims.reader_id for one in (facts, *map(gateway.read_object, refs))] == ["r-1"] * 3
    plain = Gateway("sk_test_x", lookalike.url, RateLimit(per_second=1_000, burst=1_000))
    assert [plain.read_object(ref).claims.reader_id for ref in refs] == [None] * 2


def buy(gateway: Gateway, catalogue: Catalogue, tag: PriceTag, *, customer: str | None = None, **how: Any) -> str:
    return open_checkout_page(gateway, sale_of(catalogue, tag, **how), customer, lambda payer: None)


def session_of(url: str) -> str:
    return url.rsplit("/", 1)[1]


def test_subscription_purchase_writes_the_reader_on_every_object(
    gateway: Gateway, strict: Any, catalogue: Catalogue
) -> None:
    session = session_of(buy(gateway, catalogue, MONTH))
    strict.pay(session)
    facts = gateway.read_object(ObjectRef("session", session))
    assert (facts.claims.reader_id, facts.claims.client_reference_id) == ("r-1", "r-1")
    subscription = gateway.read_object(ObjectRef("subscription", str(facts.subscription)))
    assert isinstance(subscription.source, Subscription)
    assert subscription.claims.reader_id == "r-1"
    customer = gateway.read_object(ObjectRef("customer", str(subscription.customer)))
    assert customer.claims.reader_id == "r-1"


def test_pass_purchase_has_its_price_in_the_metadata(gateway: Gateway, strict: Any, catalogue: Catalogue) -> None:
    session = session_of(buy(gateway, catalogue, DAY))
    strict.pay(session)
    facts = gateway.read_object(ObjectRef("session", session))
    assert isinstance(facts.source, Pass)
    assert facts.source.price == "price_day"
    assert gateway.read_object(ObjectRef("customer", str(facts.customer))).claims.reader_id == "r-1"


def test_group_purchase_allows_choosing_seats(gateway: Gateway, strict: Any, catalogue: Catalogue) -> None:
    strict.pay(session_of(buy(gateway, catalogue, SEAT)))
    lines = [checkout_params(sale_of(catalogue, tag), "cus_1")["line_items"][0] for tag in (SEAT, MONTH)]
    assert lines[0]["adjustable_quantity"] == {"enabled": True, "minimum": 1, "maximum": 1_000}
    assert lines[1] == {"price": "price_month", "quantity": 1}


def test_purchase_uses_the_customer_of_the_reader(gateway: Gateway, strict: Any, catalogue: Catalogue) -> None:
    customer, _ = gateway.create_customer({"metadata": {"reader_id": "r-1"}}, "once")
    session = session_of(buy(gateway, catalogue, MONTH, customer=customer))
    strict.pay(session)
    assert gateway.read_object(ObjectRef("session", session)).customer == customer


def test_purchase_replaces_a_customer_unknown_to_stripe(gateway: Gateway, strict: Any, catalogue: Catalogue) -> None:
    session = session_of(buy(gateway, catalogue, MONTH, customer="cus_gone"))
    strict.pay(session)
    assert gateway.read_object(ObjectRef("session", session)).customer not in (None, "cus_gone")


def test_new_reader_whose_customer_was_deleted_gets_another(
    gateway: Gateway, strict: Any, catalogue: Catalogue, stripe_client: stripe.StripeClient
) -> None:
    for _ in range(2):
        strict.pay(session_of(buy(gateway, catalogue, DAY)))
        (made,) = stripe_client.v1.customers.list().data
        stripe_client.v1.customers.delete(made.id)
    assert buy(gateway, catalogue, DAY).startswith("http")


def test_concurrent_identical_purchases_get_the_same_page(gateway: Gateway, strict: Any, catalogue: Catalogue) -> None:
    urls: list[str] = []
    clicks = [threading.Thread(target=lambda: urls.append(buy(gateway, catalogue, MONTH))) for _ in range(4)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    assert len(urls) == 4
    assert len(set(urls)) == 1
    assert buy(gateway, catalogue, MONTH) == urls[0]


@pytest.mark.parametrize(
    "other", [{"reader": "r-2"}, {"return_url": "https://www.example.news/elsewhere"}, {"customer": ...}]
)
def test_different_purchases_get_different_pages(
    other: dict[str, Any], gateway: Gateway, strict: Any, catalogue: Catalogue
) -> None:
    if "customer" in other:
        other = {"customer": gateway.create_customer({}, "another")[0]}
    assert buy(gateway, catalogue, MONTH) != buy(gateway, catalogue, MONTH, **other)
    assert buy(gateway, catalogue, MONTH) != buy(gateway, catalogue, DAY)


def test_paid_or_expired_page_is_replaced_by_a_new_one(gateway: Gateway, strict: Any, catalogue: Catalogue) -> None:
    first = buy(gateway, catalogue, DAY)
    strict.pay(session_of(first))
    second = buy(gateway, catalogue, DAY)
    strict.put({"id": session_of(second), "object": "checkout.session", "status": "expired", "url": None})
    third = buy(gateway, catalogue, DAY)
    assert len({first, second, third}) == 3
    assert buy(gateway, catalogue, DAY) == third


@pytest.mark.full
def test_idempotency_key_in_use_is_retried_then_unavailable(canned: Any, catalogue: Catalogue) -> None:
    canned.says(409, {"error": {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": "busy"}})
    with pytest.raises(StripeUnavailable, match="in_use"):
        buy(Gateway("sk_test_x", canned.url, RateLimit()), catalogue, MONTH, customer="cus_1")
    assert len(canned.requests) > 1


def test_idempotency_key_is_specific_to_the_request(canned: Any, catalogue: Catalogue) -> None:
    canned.says(200, {"id": "cs_1", "object": "checkout.session", "status": "open", "url": "https://pay.example/1"})
    gateway = Gateway("sk_test_x", canned.url, RateLimit())
    for how in ({}, {}, {"reader": "r-2"}):
        assert buy(gateway, catalogue, MONTH, customer="cus_1", **how) == "https://pay.example/1"
    keys = [seen["Idempotency-Key"] for seen in canned.seen]
    assert keys[0] == keys[1] != keys[2]
    assert not any("r-1" in key for key in keys)


def test_portal_opens_only_for_an_existing_customer(gateway: Gateway, strict: Any) -> None:
    customer, _ = gateway.create_customer({"metadata": {"reader_id": "r-1"}}, "once")
    assert gateway.create_portal_session(customer, BACK).startswith("http")
    with pytest.raises(NoSuchObject):
        gateway.create_portal_session("cus_unheard_of", BACK)


@pytest.mark.parametrize(
    ("back", "success"),
    [
        ("https://a.example", "https://a.example?session_id={CHECKOUT_SESSION_ID}"),
        ("https://a.example/x", "https://a.example/x?session_id={CHECKOUT_SESSION_ID}"),
        ("https://a.example/x?", "https://a.example/x?session_id={CHECKOUT_SESSION_ID}"),
        ("https://a.example/x?a=1&b=%20", "https://a.example/x?a=1&b=%20&session_id={CHECKOUT_SESSION_ID}"),
        ("https://a.example/x#end", "https://a.example/x?session_id={CHECKOUT_SESSION_ID}#end"),
        ("https://a.example/x?session_id=cs_old&a=1", "https://a.example/x?a=1&session_id={CHECKOUT_SESSION_ID}"),
    ],
)
def test_session_id_is_appended_to_the_query_of_the_return_url(back: str, success: str) -> None:
    assert with_session_id(back) == success


ORIGINS = ["https://www.example.news", "http://localhost:3000", "http://[::1]:8000"]


@pytest.mark.parametrize(
    "url",
    [
        "https://www.example.news",
        "https://www.example.news/a?b=c#d",
        "https://WWW.Example.news:443/",
        "HTTPS://www.example.news/",
        "http://localhost:3000/x",
        "http://[::1]:8000/x",
    ],
)
def test_return_url_on_an_allowed_origin_is_accepted(url: str) -> None:
    assert is_on_origin(url, ORIGINS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/story",
        "//www.example.news/",
        "http://www.example.news/",
        "https://example.news/",
        "https://www.example.news.evil.example/",
        "https://www.example.news@evil.example/",
        "https://evil.example/https://www.example.news/",
        "https://evil.example\\@www.example.news/",
        "https:\\\\www.example.news/",
        "https:///www.example.news/",
        "https://www.example.news:444/",
        "https://www.example.news:99999/",
        "https://www.example.news:x/",
        "https://www.example.news /",
        "https://www.example.news/\n",
        "\thttps://www.example.news/",
        "https://www.exämple.news/",
        "javascript://www.example.news/%0aalert(1)",
        "https://[::1/",
        "https://user@www.example.news/",
        "https://www.example.news/{CHECKOUT_SESSION_ID}",
        "https://www.example.news./",
    ],
)
def test_return_url_on_another_origin_is_rejected(url: str) -> None:
    assert not is_on_origin(url, ORIGINS)


def asked_for(
    prices: PriceCache, catalogue: Catalogue, *, plan: str | None, price: str | None
) -> tuple[PriceTag, Plan]:
    """Return the price and plan that the checkout route would sell."""
    tag = prices.find(choose_price(catalogue, plan=plan, price=price, prices=prices))
    if tag is None:
        raise InvalidFields([("price", "unknown")])
    return tag, find_sold_plan(catalogue, tag)


@pytest.fixture
def prices(gateway: Gateway, catalogue: Catalogue) -> PriceCache:
    return PriceCache(gateway, catalogue)


def test_price_or_plan_with_one_price_is_enough_to_buy(prices: PriceCache, catalogue: Catalogue, strict: Any) -> None:
    for asked, price, plan in (
        ({"plan": "day_pass", "price": None}, "price_day", "day_pass"),
        ({"plan": None, "price": "price_year"}, "price_year", "supporter"),
        ({"plan": "newsroom", "price": None}, "price_seat_month", "newsroom"),
    ):
        tag, sold = asked_for(prices, catalogue, **asked)
        assert (tag.id, sold.id) == (price, plan)


@pytest.mark.parametrize(
    ("plan", "price", "wrong"),
    [
        (None, None, ("plan", "give plan or price")),
        ("day_pass", "price_day", ("plan", "leave it out: price names the plan")),
        ("unheard_of", None, ("plan", "there is no such plan; there are supporter")),
        ("vip", None, ("plan", "this plan is not for sale")),
        ("supporter", None, ("price", "give it instead of plan, which has several: price_month, price_year")),
        (None, "price_unheard_of", ("price", "unknown")),
        (None, "price_all_month", ("price", "no plan has this price")),
    ],
)
def test_purchase_that_is_not_for_sale_names_the_field_and_why(
    plan: str | None, price: str | None, wrong: tuple[str, str], prices: PriceCache, catalogue: Catalogue, strict: Any
) -> None:
    with pytest.raises(InvalidFields) as refused:
        asked_for(prices, catalogue, plan=plan, price=price)
    ((field, message),) = refused.value.errors
    assert (field, message[: len(wrong[1])]) == wrong


def test_archived_price_or_price_that_opens_nothing_is_not_sold(
    gateway: Gateway, catalogue: Catalogue, strict: Any
) -> None:
    strict.put({"id": "price_year", "object": "price", "active": False})
    endless = replace(catalogue.plans["day_pass"], pass_hours=None)
    with pytest.raises(InvalidFields, match="no longer sold"):
        asked_for(PriceCache(gateway, catalogue), catalogue, plan=None, price="price_year")
    changed = replace(catalogue, plans={**catalogue.plans, "day_pass": endless})
    with pytest.raises(InvalidFields, match="pass_hours"):
        asked_for(PriceCache(gateway, changed), changed, plan="day_pass", price=None)


def test_plan_of_a_product_is_sold_by_its_only_price(gateway: Gateway, catalogue: Catalogue, strict: Any) -> None:
    by_product = Plan("group", "Group", ("notebook",), products=("prod_newsroom",))
    changed = replace(catalogue, plans={"group": by_product})
    prices = PriceCache(gateway, changed)
    prices.refresh()
    tag, sold = asked_for(prices, changed, plan="group", price=None)
    assert (tag.id, sold.id) == ("price_seat_month", "group")
    assert asked_for(prices, changed, plan=None, price="price_seat_month")[1] == by_product


def test_without_a_stripe_key_nothing_can_be_bought(catalogue: Catalogue) -> None:
    with pytest.raises(StripeUnavailable, match="no_key"):
        asked_for(PriceCache(None, catalogue), catalogue, plan="day_pass", price=None)


OPENAPI = json.loads((Path(__file__).parents[2] / "vendor" / "stripe-checkout-session.json").read_text("utf-8"))
FULL = CheckoutPolicy(True, True, True, "required", "auto")
ASKED = {"locale": "de", "currency": "eur", "promotion_code": "promo_1", "cancel_url": "https://www.example.news/no"}


def encoded(value: Any) -> Any:
    """Return parameters as the look-alike decodes them from a form: every value is a text."""
    if isinstance(value, dict):
        return {name: encoded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [encoded(inner) for inner in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("tag", [MONTH, DAY, SEAT])
@pytest.mark.parametrize("policy", [PLAIN, FULL, replace(FULL, billing_address_collection="auto", locale="pt-BR")])
@pytest.mark.parametrize("order", [{}, ASKED, {**ASKED, "quantity": 12, "promotion_code": None}])
def test_sent_parameters_are_those_of_stripes_openapi_description(
    order: dict[str, Any], policy: CheckoutPolicy, tag: PriceTag, catalogue: Catalogue
) -> None:
    params = checkout_params(sale_of(catalogue, tag, policy, **order), "cus_1", 14)
    check = ParameterCheck(OPENAPI)
    check.check("POST", "/v1/checkout/sessions", encoded(params))
    with pytest.raises(ApiError):
        check.check("POST", "/v1/checkout/sessions", {**encoded(params), "trial_days": "14"})
    assert ("trial_period_days" in params.get("subscription_data", {})) == tag.recurring


def test_options_are_sent_under_stripes_names(catalogue: Catalogue) -> None:
    plain = checkout_params(sale_of(catalogue, MONTH), "cus_1")
    full = checkout_params(sale_of(catalogue, MONTH, FULL, locale="de", currency="eur"), "cus_1", 14)
    assert {name: value for name, value in full.items() if value != plain.get(name)} == {
        "automatic_tax": {"enabled": True},
        "tax_id_collection": {"enabled": True},
        "customer_update": {"address": "auto", "name": "auto"},
        "billing_address_collection": "required",
        "allow_promotion_codes": True,
        "locale": "de",
        "currency": "eur",
        "subscription_data": {"metadata": {"reader_id": "r-1"}, "trial_period_days": 14},
    }
    tax = checkout_params(sale_of(catalogue, MONTH, CheckoutPolicy(automatic_tax=True)), "cus_1")
    assert tax["customer_update"] == {"address": "auto"}


def test_promotion_code_replaces_the_field_for_one(catalogue: Catalogue) -> None:
    params = checkout_params(sale_of(catalogue, MONTH, FULL, promotion_code="promo_1"), "cus_1")
    assert params["discounts"] == [{"promotion_code": "promo_1"}]
    assert "allow_promotion_codes" not in params


def test_all_options_together_are_accepted(gateway: Gateway, strict: Any, catalogue: Catalogue) -> None:
    for tag, quantity in ((MONTH, None), (DAY, None), (SEAT, 12)):
        order: dict[str, Any] = {
            "locale": "de",
            "currency": "eur",
            "promotion_code": "promo_welcome20",
            "quantity": quantity,
        }
        strict.pay(session_of(buy(gateway, catalogue, tag, policy=FULL, **order)))


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"promotion_code": "promo_gone"}, "discounts[0][promotion_code]"),
        ({"promotion_code": "promo_lastyear"}, "discounts[0][promotion_code]"),
        ({"currency": "jpy"}, "line_items[0][price]"),
    ],
)
def test_refusal_of_stripe_names_its_parameter(
    order: dict[str, Any], field: str, gateway: Gateway, strict: Any, catalogue: Catalogue
) -> None:
    with pytest.raises(InvalidFields, match="Stripe refuses this") as refused:
        buy(gateway, catalogue, MONTH, **order)
    assert [name for name, _ in refused.value.errors] == [field]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", "You must have a valid head office address to enable automatic tax calculation."),
        ("resource_missing", "No such promotion code: 'promo_1'"),
    ],
)
def test_refusal_without_a_parameter_has_stripes_sentence(
    code: str, message: str, canned: Any, catalogue: Catalogue
) -> None:
    canned.says(400, {"error": {"type": "invalid_request_error", "code": code, "message": message}})
    with pytest.raises(InvalidFields, match=message) as refused:
        buy(Gateway("sk_test_x", canned.url, RateLimit()), catalogue, MONTH, customer="cus_1")
    assert [name for name, _ in refused.value.errors] == [""]
