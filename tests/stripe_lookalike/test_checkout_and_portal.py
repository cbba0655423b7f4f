"""Test the look-alike's Checkout and portal pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
import stripe

pytestmark = pytest.mark.full

DAY = 86_400


def _open(client: stripe.StripeClient, mode: str = "subscription", price: str = "price_month", **more: Any) -> Any:
    params: Any = {
        "mode": mode,
        "line_items": [{"price": price, "quantity": 1}],
        "success_url": "https://www.example.news/thanks?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://www.example.news/support",
        "client_reference_id": "r-1",
        "metadata": {"reader_id": "r-1", "price_id": price},
        **more,
    }
    if mode == "subscription":
        params.setdefault("subscription_data", {"metadata": {"reader_id": "r-1"}})
    return client.v1.checkout.sessions.create(params)


def _press(http: requests.Session, url: str, **form: str) -> requests.Response:
    return http.post(url, data=form, allow_redirects=False, timeout=60)


def test_paying_for_a_subscription_completes_the_session_and_redirects(
    client: stripe.StripeClient, http: requests.Session
) -> None:
    session = _open(client)
    page = http.get(session.url, timeout=60)
    assert page.status_code == 200
    assert "$5.00" in page.text
    assert "no money moves" in page.text
    paid = _press(http, session.url, choice="pay", email="reader@example.org")
    assert paid.status_code == 303
    assert paid.headers["Location"] == f"https://www.example.news/thanks?session={session.id}"
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert (done.status, done.payment_status, done.url, done.payment_intent) == ("complete", "paid", None, None)
    assert done.subscription.status == "active"  # type: ignore[union-attr] # expanded
    assert done.subscription.metadata["reader_id"] == "r-1"  # type: ignore[union-attr] # expanded
    assert done.customer_details is not None
    assert done.customer_details.email == "reader@example.org"


def test_session_can_be_paid_only_once(client: stripe.StripeClient, http: requests.Session) -> None:
    session = _open(client)
    _press(http, session.url, choice="pay")
    again = _press(http, session.url, choice="pay")
    assert again.status_code == 400
    assert "cannot be paid twice" in again.text
    assert len(client.v1.subscriptions.list().data) == 1


@pytest.mark.parametrize(("mode", "price"), [("subscription", "price_month"), ("payment", "price_day")])
def test_declined_session_stays_open_and_accepts_another_card(
    client: stripe.StripeClient, http: requests.Session, mode: str, price: str
) -> None:
    session = _open(client, mode, price)
    refused = _press(http, session.url, choice="decline")
    assert refused.status_code == 402
    assert 'role="alert"' in refused.text
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert not client.v1.subscriptions.list({"status": "all"}).data
    assert _press(http, session.url, choice="pay").status_code == 303
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_day_pass_session_has_a_payment_intent_and_no_customer(
    client: stripe.StripeClient, http: requests.Session
) -> None:
    session = _open(client, "payment", "price_day")
    _press(http, session.url, choice="pay")
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge", "line_items"]})
    assert done.customer is None
    assert done.payment_intent.latest_charge.amount == 300  # type: ignore[union-attr] # expanded
    assert done.line_items is not None
    assert [line.price.id for line in done.line_items.data if line.price] == ["price_day"]


@pytest.mark.parametrize(("succeed", "status"), [(True, "paid"), (False, "unpaid")])
def test_bank_debit_session_completes_unpaid_and_is_settled_later(
    client: stripe.StripeClient, http: requests.Session, control: Any, succeed: bool, status: str
) -> None:
    session = _open(client, "payment", "price_day")
    _press(http, session.url, choice="debit")
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "unpaid"
    control.post(f"/checkout/{session.id}/settle", {"succeed": succeed})
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == status
    outcome = "succeeded" if succeed else "failed"
    assert client.v1.events.list({"type": f"checkout.session.async_payment_{outcome}"}).data


def test_unsettled_bank_debit_succeeds_after_three_days(
    client: stripe.StripeClient, http: requests.Session, control: Any
) -> None:
    session = _open(client, "payment", "price_day")
    _press(http, session.url, choice="debit")
    control.advance(3 * DAY)
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_trial_session_needs_no_payment(client: stripe.StripeClient, http: requests.Session) -> None:
    session = _open(client, subscription_data={"trial_period_days": 14})
    assert "Start the trial" in http.get(session.url, timeout=60).text
    _press(http, session.url, choice="pay")
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert done.payment_status == "no_payment_required"
    assert done.subscription.status == "trialing"  # type: ignore[union-attr] # expanded


def test_session_expires_after_a_day(client: stripe.StripeClient, http: requests.Session, control: Any) -> None:
    session = _open(client)
    control.advance(DAY)
    assert "has expired" in http.get(session.url, timeout=60).text
    assert client.v1.checkout.sessions.retrieve(session.id).status == "expired"
    assert client.v1.events.list({"type": "checkout.session.expired"}).data


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"mode": "payment"}, "line_items[0][price]"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "line_items[0][price]"),
        ({"line_items": [{"price": "price_month", "quantity": 0}]}, "line_items[0][quantity]"),
        ({"success_url": "javascript:alert(1)"}, "success_url"),
        ({"customer": "cus_none"}, "customer"),
        ({"colour": "red"}, "colour"),
        ({"payment_intent_data": {"metadata": {"a": "b"}}}, "payment_intent_data"),
    ],
)
def test_invalid_session_is_rejected_with_its_parameter(
    client: stripe.StripeClient, more: dict[str, Any], param: str
) -> None:
    more = {"subscription_data": None, **more} if more.get("mode") == "payment" else more
    params: Any = {
        "mode": "subscription",
        "line_items": [{"price": "price_month", "quantity": 1}],
        "success_url": "https://www.example.news/",
        **more,
    }
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.checkout.sessions.create(params)
    assert refused.value.param == param


@pytest.fixture
def portal(
    client: stripe.StripeClient, http: requests.Session, new_customer: Callable[..., stripe.Customer]
) -> Callable[..., tuple[str, Callable[..., requests.Response]]]:
    """Open portals for new subscribers: the subscription's ID, and a function to press a button."""

    def enter(mode: str = "flexible") -> tuple[str, Callable[..., requests.Response]]:
        customer = new_customer().id
        params: Any = {"customer": customer, "items": [{"price": "price_month"}], "billing_mode": {"type": mode}}
        subscription = client.v1.subscriptions.create(params).id
        session = client.v1.billing_portal.sessions.create(
            {"customer": customer, "return_url": "https://www.example.news/"}
        )

        def press(action: str, **form: str) -> requests.Response:
            return http.post(session.url, data={"action": action, "subscription": subscription, **form}, timeout=60)

        return subscription, press

    return enter


@pytest.mark.parametrize(("mode", "flag"), [("flexible", False), ("classic", True)])
def test_portal_cancellation_ends_with_the_period(
    portal: Any, client: stripe.StripeClient, control: Any, mode: str, flag: bool
) -> None:
    subscription, press = portal(mode)
    assert "Ends on" in press("cancel").text
    ending = client.v1.subscriptions.retrieve(subscription)
    end = ending["items"].data[0].current_period_end
    assert (ending.cancel_at, ending.cancel_at_period_end, ending.status) == (end, flag, "active")
    control.post("/clock", {"to": end - 1, "frozen": True})
    assert client.v1.subscriptions.retrieve(subscription).status == "active"
    control.post("/clock", {"to": end})
    over = client.v1.subscriptions.retrieve(subscription)
    assert (over.status, over.ended_at) == ("canceled", end)
    assert client.v1.events.list({"limit": 1}).data[0].type == "customer.subscription.deleted"


def test_portal_cancellation_can_be_undone(portal: Any, client: stripe.StripeClient, control: Any) -> None:
    subscription, press = portal()
    press("cancel")
    assert "Renews on" in press("undo").text
    control.advance(40 * DAY)
    kept = client.v1.subscriptions.retrieve(subscription)
    assert (kept.status, kept.cancel_at, kept.canceled_at) == ("active", None, None)


def test_portal_immediate_cancellation_ends_now(portal: Any, client: stripe.StripeClient) -> None:
    subscription, press = portal()
    assert "canceled" in press("cancel_now").text
    assert client.v1.subscriptions.retrieve(subscription).status == "canceled"
    assert press("undo").status_code == 402


def test_declining_card_fails_the_renewal_and_a_valid_card_pays_it(
    portal: Any, client: stripe.StripeClient, control: Any
) -> None:
    subscription, press = portal()
    assert "0341" in press("card_bad").text
    control.advance(32 * DAY)
    late = client.v1.subscriptions.retrieve(subscription)
    assert late.status == "past_due"
    invoice = str(late.latest_invoice)
    assert press("pay", invoice=invoice).status_code == 402
    press("card_good")
    press("pay", invoice=invoice)
    assert client.v1.subscriptions.retrieve(subscription).status == "active"


def test_portal_switches_plan_and_interval(portal: Any, client: stripe.StripeClient) -> None:
    subscription, press = portal()
    press("switch", price="price_all_month")
    assert client.v1.subscriptions.retrieve(subscription)["items"].data[0].price.id == "price_all_month"
    press("switch", price="price_year")
    item = client.v1.subscriptions.retrieve(subscription)["items"].data[0]
    assert item.price.id == "price_year"
    assert item.current_period_end - item.current_period_start >= 365 * DAY


def test_portal_cannot_change_the_subscription_of_another_customer(portal: Any, client: stripe.StripeClient) -> None:
    theirs, _ = portal()
    _, press = portal()
    assert press("cancel_now", subscription=theirs).status_code == 402
    assert client.v1.subscriptions.retrieve(theirs).status == "active"
