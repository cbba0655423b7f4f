"""Test checkout and the portal over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import stripe

if TYPE_CHECKING:
    from stripe_lookalike import RunningLookalike
    from tests.in_process_app import InProcessApp, MakeApp


@pytest.fixture
def shop(make_app: MakeApp, valkey_url: str, lookalike: RunningLookalike) -> InProcessApp:
    """Return an app that sells through the look-alike."""
    return make_app(valkey_url, STRIPE_API_KEY="sk_test_x", STRIPE_API_BASE=lookalike.url)


def buying(shop: InProcessApp, return_url: str) -> Any:
    body = {"reader": "r-1", "price": "price_month", "return_url": return_url}
    return shop.call("POST", "/v1/checkout", body)


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


def test_running_source_of_a_provider_blocks_a_purchase_of_its_plan(shop: InProcessApp) -> None:
    path = "/v1/readers/r-1/external/print/77"
    assert shop.call("PUT", path, {"plan": "quiet", "until": None}, admin=True).status_code == 200
    assert buying(shop, "https://www.example.news/").status_code == 200
    assert shop.call("PUT", path, {"plan": "supporter", "until": None}, admin=True).status_code == 200
    assert buying(shop, "https://www.example.news/").status_code == 409
    assert shop.call("DELETE", path, admin=True).status_code == 200
    assert buying(shop, "https://www.example.news/").status_code == 200


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
