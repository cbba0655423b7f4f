"""Test the look-alike's subscriptions, entitlements, refunds and disputes over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

pytestmark = pytest.mark.full

DAY = 86_400
Customers = Callable[..., stripe.Customer]


def _subscribe(
    client: stripe.StripeClient, customer: str, price: str = "price_month", **more: Any
) -> stripe.Subscription:
    params: Any = {"customer": customer, "items": [{"price": price}], **more}
    return client.v1.subscriptions.create(params)


# --- subscriptions


@pytest.mark.parametrize(("policy", "status"), [("cancel", "canceled"), ("unpaid", "unpaid"), ("past_due", "past_due")])
def test_status_after_the_last_retry_follows_the_account_setting(
    client: stripe.StripeClient, control: Any, new_customer: Customers, policy: str, status: str
) -> None:
    control.post("/policy", {"when_retries_fail": policy})
    customer = new_customer()
    subscription = _subscribe(client, customer.id)
    bad = client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
    client.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": bad.id}})
    control.advance(50 * DAY)
    assert client.v1.subscriptions.retrieve(subscription.id).status == status


def test_incomplete_subscription_expires_after_23_hours(
    client: stripe.StripeClient, control: Any, new_customer: Customers
) -> None:
    subscription = _subscribe(client, new_customer("pm_card_chargeCustomerFail").id)
    assert subscription.status == "incomplete"
    control.advance(23 * 3600)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "incomplete_expired"


def test_error_if_incomplete_creates_no_subscription(client: stripe.StripeClient, new_customer: Customers) -> None:
    with pytest.raises(stripe.CardError):
        _subscribe(client, new_customer("pm_card_chargeCustomerFail").id, payment_behavior="error_if_incomplete")
    assert not client.v1.subscriptions.list({"status": "all"}).data


@pytest.mark.parametrize(
    ("wish", "status"), [("create_invoice", "active"), ("pause", "paused"), ("cancel", "canceled")]
)
def test_trial_ending_without_card_follows_its_end_behavior(
    client: stripe.StripeClient, control: Any, wish: str, status: str
) -> None:
    customer = client.v1.customers.create({"email": "a@example.org"})
    settings = {"end_behavior": {"missing_payment_method": wish}}
    subscription = _subscribe(client, customer.id, trial_period_days=2, trial_settings=settings)
    assert client.v1.events.list({"type": "customer.subscription.trial_will_end"}).data, (
        "short trials are reported at once"
    )
    control.advance(2 * DAY + 60)
    assert client.v1.subscriptions.retrieve(subscription.id).status == status


def test_paused_subscription_ends_its_period_and_resumes_with_a_new_one(
    client: stripe.StripeClient, control: Any, new_customer: Customers
) -> None:
    subscription = _subscribe(client, new_customer().id)
    control.post("/clock", {"advance": 5 * DAY, "frozen": True})
    paused = client.v1.subscriptions.pause(subscription.id)
    assert (paused.status, paused["items"].data[0].current_period_end) == ("paused", control.now())
    assert paused.status_details.paused.subscription.type == "pause_requested"  # type: ignore[union-attr] # it is paused
    control.advance(40 * DAY)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "paused"
    resumed = client.v1.subscriptions.resume(subscription.id)
    assert (resumed.status, resumed["items"].data[0].current_period_start) == ("active", control.now())


@pytest.mark.parametrize(
    ("behavior", "status"), [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")]
)
def test_pause_collection_keeps_the_status_and_shelves_invoices(
    client: stripe.StripeClient, control: Any, new_customer: Customers, behavior: Any, status: str
) -> None:
    subscription = _subscribe(client, new_customer().id)
    resumes = control.now() + 35 * DAY
    client.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": behavior, "resumes_at": resumes}})
    control.advance(34 * DAY)
    shelved = client.v1.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
    assert (shelved.status, shelved.latest_invoice.status) == ("active", status)  # type: ignore[union-attr] # expanded
    control.advance(2 * DAY)
    assert client.v1.subscriptions.retrieve(subscription.id).pause_collection is None


def test_trial_can_be_ended_now(client: stripe.StripeClient, new_customer: Customers) -> None:
    subscription = _subscribe(client, new_customer().id, trial_period_days=14)
    ended = client.v1.subscriptions.update(subscription.id, {"trial_end": "now"})
    assert (ended.status, ended.latest_invoice == subscription.latest_invoice) == ("active", False)


def test_changed_quantity_is_billed_at_the_next_renewal(
    client: stripe.StripeClient, control: Any, new_customer: Customers
) -> None:
    subscription = _subscribe(client, new_customer().id, "price_seat_month")
    item = subscription["items"].data[0].id
    client.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item, "quantity": 5}], "proration_behavior": "none"}
    )
    control.advance(32 * DAY)
    invoice = client.v1.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert (invoice.amount_paid, invoice.billing_reason) == (2000, "subscription_cycle")


def test_period_end_returns_to_the_31st_after_a_short_month(
    client: stripe.StripeClient, control: Any, new_customer: Customers
) -> None:
    control.post("/clock", {"to": 1_801_396_800, "frozen": True})  # 2027-01-31T12:00:00Z
    subscription = _subscribe(client, new_customer().id)
    assert subscription["items"].data[0].current_period_end == 1_803_816_000  # 2027-02-28T12:00:00Z
    control.advance(29 * DAY)
    renewed = client.v1.subscriptions.retrieve(subscription.id)
    assert renewed["items"].data[0].current_period_end == 1_806_494_400  # 2027-03-31T12:00:00Z


def test_deleting_a_customer_cancels_subscriptions_and_keeps_them_readable(
    client: stripe.StripeClient, new_customer: Customers
) -> None:
    customer = new_customer()
    subscription = _subscribe(client, customer.id)
    client.v1.customers.delete(customer.id)
    gone = client.v1.customers.retrieve(customer.id)
    assert gone.to_dict() == {"id": customer.id, "object": "customer", "deleted": True}
    assert client.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    reports = [event.type for event in client.v1.events.list({"limit": 2}).data]
    assert reports == ["customer.deleted", "customer.subscription.deleted"]


def test_canceled_subscription_accepts_only_metadata(client: stripe.StripeClient, new_customer: Customers) -> None:
    subscription = _subscribe(client, new_customer().id)
    client.v1.subscriptions.cancel(subscription.id)
    client.v1.subscriptions.update(subscription.id, {"metadata": {"a": "b"}})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})


# --- entitlements


def test_entitlements_follow_subscriptions_and_summary_holds_ten(
    client: stripe.StripeClient, control: Any, new_customer: Customers
) -> None:
    for n in range(12):
        feature = client.v1.entitlements.features.create({"lookup_key": f"feature_{n}", "name": str(n)})
        client.v1.products.features.create("prod_supporter", {"entitlement_feature": feature.id})
    customer = new_customer().id
    subscription = _subscribe(client, customer)
    held = client.v1.entitlements.active_entitlements.list({"customer": customer, "limit": 5}).auto_paging_iter()
    assert {row.lookup_key for row in held} == {f"feature_{n}" for n in range(12)}
    kind = "entitlements.active_entitlement_summary.updated"
    found = client.v1.events.list({"type": kind}).data[0].to_dict()["data"]["object"]
    assert "id" not in found
    assert (len(found["entitlements"]["data"]), found["entitlements"]["has_more"]) == (10, True)
    assert found["entitlements"]["url"] == f"/v1/customer/{customer}/entitlements"
    client.v1.subscriptions.cancel(subscription.id)
    assert not client.v1.entitlements.active_entitlements.list({"customer": customer}).data
    assert len(client.v1.events.list({"type": kind}).data) == 2


# --- refunds and disputes


def _buy_a_pass(client: stripe.StripeClient, control: Any) -> str:
    session = client.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"price": "price_day", "quantity": 1}],
            "success_url": "https://www.example.news/",
        }
    )
    control.post(f"/checkout/{session.id}/pay")
    return str(client.v1.checkout.sessions.retrieve(session.id).payment_intent)


def test_failed_refund_restores_the_amount(client: stripe.StripeClient, control: Any) -> None:
    intent = _buy_a_pass(client, control)
    refund = client.v1.refunds.create({"payment_intent": intent})
    charge = client.v1.charges.retrieve(str(refund.charge))
    assert (charge.refunded, charge.amount_refunded) == (True, 300)
    control.post(f"/refunds/{refund.id}", {"status": "failed"})
    charge = client.v1.charges.retrieve(str(refund.charge))
    assert (charge.refunded, charge.amount_refunded) == (False, 0)
    assert client.v1.events.list({"limit": 1}).data[0].type == "refund.failed"


def test_refund_above_the_paid_amount_is_rejected(client: stripe.StripeClient, control: Any) -> None:
    intent = _buy_a_pass(client, control)
    client.v1.refunds.create({"payment_intent": intent, "amount": 200})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create({"payment_intent": intent, "amount": 101})
    client.v1.refunds.create({"payment_intent": intent})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": intent})
    assert refused.value.code == "charge_already_refunded"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("won", ["updated", "funds_reinstated", "closed"]),
        ("lost", ["updated", "closed"]),
        ("prevented", ["updated", "closed"]),
    ],
)
def test_closed_dispute_sends_the_events_of_stripe(
    client: stripe.StripeClient, control: Any, status: str, expected: list[str]
) -> None:
    dispute = control.post("/disputes", {"payment_intent": _buy_a_pass(client, control)})
    control.post(f"/disputes/{dispute['id']}", {"status": status})
    assert client.v1.disputes.retrieve(dispute["id"]).status == status
    kinds = [event.type for event in client.v1.events.list({"type": "charge.dispute.*"}).data][::-1]
    assert kinds == [f"charge.dispute.{word}" for word in ["created", "funds_withdrawn", *expected]]


def test_inquiry_withdraws_no_money(client: stripe.StripeClient, control: Any) -> None:
    control.post("/disputes", {"payment_intent": _buy_a_pass(client, control), "status": "warning_needs_response"})
    assert not client.v1.charges.list().data[0].disputed
    assert not client.v1.events.list({"type": "charge.dispute.funds_withdrawn"}).data
