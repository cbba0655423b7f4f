"""Test checkout and the portal over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import stripe

if TYPE_CHECKING:
    from stripe_lookalike import RunningLookalike
    from tests.in_process_app import InProcessApp, MakeApp

from tests.running_service import WITH_TRIALS


@pytest.fixture
def shop(make_app: MakeApp, valkey_url: str, lookalike: RunningLookalike) -> InProcessApp:
    """Return an app that sells through the look-alike."""
    return make_app(valkey_url, STRIPE_API_KEY="sk_test_x", STRIPE_API_BASE=lookalike.url)


def buying(shop: InProcessApp, return_url: str, **more: Any) -> Any:
    body = {"reader": "r-1", "price": "price_month", "return_url": return_url, **more}
    return shop.call("POST", "/v1/checkout", body)


OFFERED = """
[checkout]
automatic_tax = true
tax_id_collection = true
allow_promotion_codes = true
billing_address_collection = "required"
locale = "fr"
[plans.group]
name = "Group"
features = ["notebook"]
prices = ["price_seat_month"]
seats = true
"""


@pytest.fixture
def offering(make_app: MakeApp, valkey_url: str, lookalike: RunningLookalike) -> InProcessApp:
    """Return an app that sells with every option."""
    return make_app(valkey_url, WITH_TRIALS + OFFERED, STRIPE_API_KEY="sk_test_x", STRIPE_API_BASE=lookalike.url)


def asked_of_stripe(control: Any) -> Any:
    """Return the parameters of the last session."""
    requests = control.ask("GET", "/requests?path=/v1/checkout/sessions&method=POST")["requests"]
    return requests[-1]["params"]


def test_return_url_in_capitals_is_accepted(shop: InProcessApp) -> None:
    assert buying(shop, "HTTPS://WWW.Example.news/Back?Yes#Top").status_code == 200


@pytest.mark.parametrize("path", ["straße", "a b", "{CHECKOUT_SESSION_ID}", "a\\b"])
def test_return_url_with_unencoded_characters_is_rejected_with_a_hint(shop: InProcessApp, path: str) -> None:
    answer = buying(shop, f"https://www.example.news/{path}")
    (error,) = answer.get_json()["errors"]
    assert (answer.status_code, error["field"]) == (422, "return_url")
    assert "percent-encoded" in error["message"]


def test_all_mistakes_of_a_checkout_request_are_reported_at_once(shop: InProcessApp) -> None:
    elsewhere = {"return_url": "https://www.example.org/"}
    for path, body, wrong in (
        ("checkout", {"reader": "a/b", "plan": "nope", **elsewhere}, ["reader", "return_url", "plan"]),
        ("checkout", {"reader": "r", "plan": "supporter", **elsewhere}, ["return_url", "price"]),
        ("checkout", {"reader": "r", "plan": 7, **elsewhere}, ["plan", "return_url"]),
        ("checkout", {"reader": "r", "plan": "vip", "return_url": 7}, ["return_url", "plan"]),
        ("portal", {"reader": 7, **elsewhere}, ["reader", "return_url"]),
    ):
        answer = shop.call("POST", f"/v1/{path}", body)
        named = [error["field"] for error in answer.get_json()["errors"]]
        assert (answer.status_code, named) == (422, wrong)


def test_checkout_without_stripe_key_is_503(valkey_app: InProcessApp) -> None:
    answer = buying(valkey_app, "https://www.example.news/")
    assert (answer.status_code, answer.get_json()["title"]) == (503, "Stripe is unavailable")


@pytest.mark.parametrize("page", ["https://www.example.news/", "https://www.example.news/another-story"])
def test_paid_reader_cannot_buy_again_before_the_webhook(page: str, shop: InProcessApp, control: Any) -> None:
    paid = buying(shop, "https://www.example.news/").get_json()["url"].rsplit("/", 1)[1]
    control.pay(paid)
    assert shop.reader("r-1")["sources"] == []
    assert buying(shop, page).status_code == 409
    assert shop.reader("r-1")["access"]


def test_first_purchase_makes_only_the_needed_stripe_requests(shop: InProcessApp, control: Any) -> None:
    control.forget()
    assert buying(shop, "https://www.example.news/").status_code == 200
    assert [path for method, path in control.asked() if "prices" not in path] == [
        "/v1/customers",
        "/v1/checkout/sessions",
    ]


def test_gift_to_another_reader_does_not_block_a_purchase(
    shop: InProcessApp, control: Any, stripe_client: stripe.StripeClient
) -> None:
    control.pay(buying(shop, "https://www.example.news/").get_json()["url"].rsplit("/", 1)[1])
    (given,) = stripe_client.v1.subscriptions.list().data
    stripe_client.v1.subscriptions.update(given.id, {"metadata": {"gift_recipient": "r-2"}})
    assert buying(shop, "https://www.example.news/").status_code == 200


HOME = "https://www.example.news/"


def test_options_of_the_policy_and_of_the_request_reach_stripe(offering: InProcessApp, strict: Any) -> None:
    asked = {"locale": "de", "currency": "eur", "promotion_code": "promo_welcome20", "cancel_url": HOME + "no"}
    answer = buying(offering, HOME, price=None, plan="group", quantity=7, **asked)
    assert answer.status_code == 200, answer.text
    sent = asked_of_stripe(strict)
    assert sent["line_items"][0]["quantity"] == "7"
    assert sent["discounts"] == [{"promotion_code": "promo_welcome20"}]
    assert "allow_promotion_codes" not in sent
    assert sent["customer_update"] == {"address": "auto", "name": "auto"}
    names = ("locale", "currency", "cancel_url", "billing_address_collection", "automatic_tax", "tax_id_collection")
    assert [sent[name] for name in names] == [
        "de",
        "eur",
        HOME + "no",
        "required",
        {"enabled": "true"},
        {"enabled": "true"},
    ]
    assert buying(offering, HOME).status_code == 200
    sent = asked_of_stripe(strict)
    assert (sent["locale"], sent["allow_promotion_codes"], sent["cancel_url"]) == ("fr", "true", HOME)


WRONG: dict[str, list[Any]] = {
    "locale": ["xx", 7],
    "currency": ["EUR", "euro", True],
    "promotion_code": ["SUMMER", ["promo_1"]],
    "quantity": [1, 0, "2", True],
    "cancel_url": ["https://www.example.org/", 7],
    "coupon": ["x"],
}


def test_wrong_option_is_a_422_that_names_it(offering: InProcessApp) -> None:
    for field, value in ((field, value) for field, values in WRONG.items() for value in values):
        answer = buying(offering, HOME, **{field: value})
        assert (answer.status_code, [error["field"] for error in answer.get_json()["errors"]]) == (422, [field])


def test_group_has_one_to_a_thousand_seats(offering: InProcessApp) -> None:
    group = {"price": None, "plan": "group"}
    for quantity in (0, 1_001, 1.5, "3"):
        assert buying(offering, HOME, **group, quantity=quantity).get_json()["errors"][0]["field"] == "quantity"
    assert buying(offering, HOME, **group, quantity=1_000).status_code == 200


def test_refusal_of_stripe_is_a_422_with_its_parameter(offering: InProcessApp, control: Any) -> None:
    answer = buying(offering, HOME, promotion_code="promo_lastyear")
    (error,) = answer.get_json()["errors"]
    assert (answer.status_code, error["field"]) == (422, "discounts[0][promotion_code]")
    assert "This promotion code is inactive" in error["message"]


def test_trial_is_offered_once_even_before_any_webhook(
    offering: InProcessApp, control: Any, stripe_client: stripe.StripeClient
) -> None:
    paid = buying(offering, HOME).get_json()["url"].rsplit("/", 1)[1]
    assert asked_of_stripe(control)["subscription_data"]["trial_period_days"] == "14"
    control.pay(paid)
    (trial,) = stripe_client.v1.subscriptions.list().data
    assert trial.status == "trialing"
    stripe_client.v1.subscriptions.cancel(trial.id)
    assert buying(offering, HOME).status_code == 200
    assert "trial_period_days" not in asked_of_stripe(control)["subscription_data"]


def test_running_source_of_a_provider_blocks_a_purchase_of_its_plan_alone(offering: InProcessApp, control: Any) -> None:
    path = "/v1/readers/r-1/external/print/p-1"
    assert offering.call("PUT", path, {"plan": "quiet", "until": None}, admin=True).status_code == 200
    assert buying(offering, HOME).status_code == 200
    assert offering.call("PUT", path, {"plan": "supporter", "until": None}, admin=True).status_code == 200
    assert buying(offering, HOME).status_code == 409
    assert buying(offering, HOME, price="price_day").status_code == 200
    assert offering.call("DELETE", path + "?reason=x", admin=True).status_code == 200
    assert buying(offering, HOME).status_code == 200
    assert asked_of_stripe(control)["subscription_data"]["trial_period_days"] == "14"


def test_refusal_of_a_held_plan_says_how_to_change_it(offering: InProcessApp) -> None:
    for plan, order, advice in (
        ("supporter", {}, "They can change it where it is billed"),
        ("group", {"price": None, "plan": "group"}, "They can change its number of seats where it is billed"),
    ):
        path = f"/v1/readers/r-1/external/print/{plan}"
        assert offering.call("PUT", path, {"plan": plan, "until": None}, admin=True).status_code == 200
        answer = buying(offering, HOME, **order)
        assert answer.status_code == 409
        assert advice in answer.get_json()["detail"]


def test_grant_and_pass_hinder_neither_purchase_nor_trial(offering: InProcessApp, control: Any) -> None:
    grant = {"plan": "supporter", "reason": "press", "until": None}
    assert offering.call("POST", "/v1/readers/r-1/grants", grant, admin=True).status_code == 201
    control.pay(buying(offering, HOME, price="price_day").get_json()["url"].rsplit("/", 1)[1])
    assert buying(offering, HOME).status_code == 200
    assert asked_of_stripe(control)["subscription_data"]["trial_period_days"] == "14"
