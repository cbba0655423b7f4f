"""Test what a reader's own account page is sent: plans with their visible ends, and nothing about anybody else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from service.domain.catalogue import HOUR

if TYPE_CHECKING:
    import stripe

    from stripe_lookalike import RunningLookalike
    from tests.in_process_app import InProcessApp, MakeApp

STRANGER = {"reader": "r-9", "access": False, "features": [], "plans": [], "portal": False}


@pytest.fixture
def shop(make_app: MakeApp, valkey_url: str, lookalike: RunningLookalike) -> InProcessApp:
    """Return an app that sells through the look-alike."""
    return make_app(valkey_url, STRIPE_API_KEY="sk_test_x", STRIPE_API_BASE=lookalike.url)


def summary(app: InProcessApp, reader: str) -> dict[str, Any]:
    answer = app.call("GET", f"/v1/readers/{reader}/summary")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def subscribe(shop: InProcessApp, control: Any, reader: str) -> None:
    order = {"reader": reader, "price": "price_month", "return_url": "https://www.example.news/"}
    session = shop.call("POST", "/v1/checkout", order).get_json()["url"].rsplit("/", 1)[1]
    control.pay(session)
    assert shop.call("POST", "/v1/checkout/returned", {"session": session}).get_json()["settled"]


def test_summary_of_a_stranger_is_empty(valkey_app: InProcessApp) -> None:
    assert summary(valkey_app, "r-9") == STRANGER


def test_renewing_subscription_ends_at_its_period_without_leeway(shop: InProcessApp, control: Any) -> None:
    subscribe(shop, control, "r-1")
    (source,) = shop.reader("r-1")["sources"]
    found = summary(shop, "r-1")
    (plan,) = found.pop("plans")
    assert found == {"reader": "r-1", "access": True, "features": source["features"], "portal": True}
    paid_until = datetime.fromisoformat(source["until"]).timestamp() - 48 * HOUR
    assert plan == {
        "plan": "supporter",
        "name": "Supporter",
        "until": f"{datetime.fromtimestamp(paid_until, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "renews": True,
    }


def test_deleted_customer_has_no_portal(shop: InProcessApp, control: Any, stripe_client: stripe.StripeClient) -> None:
    subscribe(shop, control, "r-1")
    (customer,) = shop.reader("r-1")["customers"]
    stripe_client.v1.customers.delete(customer)
    assert shop.service.purchases.refresh(f"customer:{customer}", shop.clock(), "webhook")
    assert not summary(shop, "r-1")["portal"]
    asked = shop.call("POST", "/v1/portal", {"reader": "r-1", "return_url": "https://www.example.news/"})
    assert asked.status_code == 404


def test_grant_ends_when_it_says_and_hides_reason_and_actor(valkey_app: InProcessApp) -> None:
    valkey_app.grant("r-1", reason="friend of the editor", until="2090-01-01T00:00:00Z")
    valkey_app.grant("r-1", features=["no_ads"], until=None)
    found = summary(valkey_app, "r-1")
    assert found["plans"] == [{"plan": "vip", "name": "VIP", "until": "2090-01-01T00:00:00Z", "renews": False}]
    assert set(found) == set(STRANGER)
    assert "friend" not in str(found)


def test_latest_end_of_a_plan_with_two_sources_is_shown(valkey_app: InProcessApp) -> None:
    for until in ("2090-01-01T00:00:00Z", None, "2091-01-01T00:00:00Z"):
        valkey_app.grant("r-1", until=until)
    assert [plan["until"] for plan in summary(valkey_app, "r-1")["plans"]] == [None]


def test_summary_of_a_merged_reader_is_that_of_the_one_who_stays(valkey_app: InProcessApp) -> None:
    valkey_app.grant("r-2", until=None)
    valkey_app.call("POST", "/v1/readers/r-1/merge", {"from": "r-2"}, admin=True)
    merged, kept = summary(valkey_app, "r-2"), summary(valkey_app, "r-1")
    assert merged == {**kept, "reader": "r-2"}
    assert merged["access"]
