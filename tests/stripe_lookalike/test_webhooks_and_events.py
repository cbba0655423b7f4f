"""Test webhooks and the event list: signatures, retries, duplicates, order, losses and API versions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stripe

from stripe_lookalike import RunningLookalike, Webhook, serve_lookalike
from tests.store_servers import wait_until

pytestmark = pytest.mark.full

SECRET = "whsec_test"
DAY = 86_400
Wait = Callable[..., Any]


def _make(client: stripe.StripeClient, count: int) -> list[str]:
    return [client.v1.customers.create({"name": str(n)}).id for n in range(count)]


def _subjects(receiver: Any) -> list[str]:
    return [event["data"]["object"]["id"] for event in receiver.events]


def test_sdk_accepts_the_signature_and_the_event(client: stripe.StripeClient, receiver: Any) -> None:
    (customer,) = _make(client, 1)
    wait_until(lambda: receiver.taken)
    body, header = receiver.taken[0]
    event = client.construct_event(body, header, SECRET)
    assert (event.type, event.data.object["id"], event.pending_webhooks) == ("customer.created", customer, 1)
    with pytest.raises(stripe.SignatureVerificationError):
        client.construct_event(body, header, "whsec_other")


def test_session_event_omits_internal_fields(client: stripe.StripeClient, control: Any, receiver: Any) -> None:
    line: Any = {"price": "price_month", "quantity": 1}
    session = client.v1.checkout.sessions.create(
        {"mode": "subscription", "line_items": [line], "success_url": "https://www.example.news/"}
    )
    control.post(f"/checkout/{session.id}/pay")
    wait_until(lambda: any(event["type"] == "checkout.session.completed" for event in receiver.events))
    (done,) = [event for event in receiver.events if event["type"] == "checkout.session.completed"]
    assert done["data"]["object"]["payment_status"] == "paid"
    assert not [name for name in done["data"]["object"] if name.startswith("_")]


def test_failed_delivery_is_retried_with_a_fresh_signature(
    client: stripe.StripeClient, control: Any, receiver: Any
) -> None:
    control.post("/delivery", {"retries": [0.02, 0.02, 0.02]})
    receiver.refuse = 2
    _make(client, 1)
    pending = client.v1.events.list({"delivery_success": False}).data
    wait_until(lambda: receiver.taken)
    wait_until(lambda: client.v1.events.list({"delivery_success": True}).data)
    assert len(receiver.taken) == 1
    assert all(event.pending_webhooks == 1 for event in pending)
    assert not client.v1.events.list({"delivery_success": False}).data
    assert control.get("/delivery")["outcomes"] == {"failed": 2, "delivered": 1}


def test_event_no_endpoint_accepted_stays_undelivered(client: stripe.StripeClient, control: Any, receiver: Any) -> None:
    control.post("/delivery", {"retries": []})
    receiver.refuse = 1
    _make(client, 1)
    wait_until(lambda: control.get("/delivery")["outcomes"].get("given_up"))
    assert client.v1.events.list({"delivery_success": False}).data[0].pending_webhooks == 1


def test_delivery_mode_off_loses_events_and_hold_delays_them(
    client: stripe.StripeClient, control: Any, receiver: Any
) -> None:
    control.post("/delivery", {"mode": "off"})
    lost = _make(client, 3)
    control.post("/delivery", {"mode": "hold"})
    held = _make(client, 3)
    assert control.get("/delivery")["pending"] == 3
    control.post("/delivery", {"mode": "normal"})
    wait_until(lambda: len(receiver.taken) == 3)
    wait_until(lambda: control.get("/delivery")["pending"] == 0)
    assert set(_subjects(receiver)) == set(held)
    undelivered = client.v1.events.list({"delivery_success": False}).data
    assert {event.data.object["id"] for event in undelivered} == set(lost)


def test_delivery_duplicates_drops_and_shuffles_on_request(
    client: stripe.StripeClient, control: Any, receiver: Any
) -> None:
    control.post("/delivery", {"duplicates": 1.0, "shuffle": True, "spread": 0.3, "seed": 7})
    made = _make(client, 10)
    wait_until(lambda: len(receiver.taken) == 20)
    assert Counter(_subjects(receiver)) == dict.fromkeys(made, 2)
    assert _subjects(receiver) != [name for name in made for _ in range(2)]
    control.post("/delivery", {"duplicates": 0.0, "drop": 1.0})
    _make(client, 2)
    assert control.get("/delivery")["outcomes"]["lost"] == 2


def test_endpoint_receives_only_its_enabled_events(client: stripe.StripeClient, control: Any, receiver: Any) -> None:
    only = receiver.url
    client.v1.webhook_endpoints.create({"url": only, "enabled_events": ["customer.deleted"]})
    (customer,) = _make(client, 1)
    client.v1.customers.delete(customer)
    wait_until(lambda: control.get("/delivery")["pending"] == 0)
    assert Counter(event["type"] for event in receiver.events) == {"customer.created": 1, "customer.deleted": 2}


def test_event_can_be_resent_and_any_signed_payload_sent(
    client: stripe.StripeClient, control: Any, receiver: Any
) -> None:
    _make(client, 1)
    wait_until(lambda: receiver.taken)
    control.post(f"/events/{receiver.events[0]['id']}/resend", {"times": 2})
    wait_until(lambda: len(receiver.taken) == 3)
    control.post("/event", {"raw": '{"object": "v2.core.event"}'})
    wait_until(lambda: len(receiver.taken) == 4)
    assert receiver.taken[-1][0] == b'{"object": "v2.core.event"}'
    made = control.post("/event", {"type": "x.y", "object": {"id": "x_1", "object": "x"}, "listed": False})
    wait_until(lambda: len(receiver.taken) == 5)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.events.retrieve(made["id"])


@pytest.fixture
def old_world(receiver: Any) -> Iterator[RunningLookalike]:
    with serve_lookalike(webhooks=[Webhook(receiver.url, SECRET, "2020-03-02")]) as running:
        yield running


def test_endpoint_with_an_old_api_version_receives_old_shapes(
    old_world: RunningLookalike, receiver: Any, stripe_reference: Any
) -> None:
    client = stripe.StripeClient("sk_test_x", base_addresses={"api": old_world.url})
    card = "pm_card_visa"
    customer = client.v1.customers.create(
        {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
    ).id
    subscription = client.v1.subscriptions.create({"customer": customer, "items": [{"price": "price_month"}]})
    old_world.lookalike.world.clock.set(old_world.lookalike.world.clock.now() + 32 * DAY)
    needed = Counter({"customer.subscription.created": 1, "customer.subscription.updated": 1, "invoice.paid": 2})
    wait_until(lambda: Counter(event["type"] for event in receiver.events) >= needed)
    events = {event["type"]: event for event in receiver.events}
    assert events["customer.subscription.updated"]["api_version"] == "2020-03-02"
    assert events["customer.subscription.updated"]["data"]["previous_attributes"]["current_period_end"]
    for kind, name in (("customer.subscription.created", "subscription"), ("invoice.paid", "invoice")):
        template = json.loads((stripe_reference / "templates" / f"{name}_pre_basil.json").read_text("utf-8"))[
            "template"
        ]
        sent = events[kind]["data"]["object"]
        assert template.keys() - sent.keys() <= {
            "tax_percent",
            "quote",
            "application_fee_amount",
            "transfer_data",
            "paid_out_of_band",
        }
        assert not {"billing_mode", "parent", "status_details"} & sent.keys()
    sent = events["customer.subscription.created"]["data"]["object"]
    item = subscription["items"].data[0]
    assert (sent["current_period_end"], sent["quantity"], sent["plan"]["id"]) == (
        item.current_period_end,
        1,
        "price_month",
    )
    assert "current_period_end" not in sent["items"]["data"][0]
    invoice = events["invoice.paid"]["data"]["object"]
    assert (invoice["subscription"], invoice["paid"]) == (subscription.id, True)
    assert invoice["lines"]["data"][0]["price"]["id"] == "price_month"
    assert client.v1.charges.retrieve(invoice["charge"]).paid
    old = client.raw_request("get", f"/v1/subscriptions/{subscription.id}", stripe_version="2020-03-02")
    assert json.loads(old.body)["current_period_end"] > item.current_period_end


def test_events_are_listed_by_type_and_time_for_thirty_days(client: stripe.StripeClient, control: Any) -> None:
    control.post("/clock", {"to": 1_793_491_200, "frozen": True})
    first, second = _make(client, 2)
    control.advance(10)
    client.v1.customers.update(first, {"name": "changed"})
    assert [event.type for event in client.v1.events.list({"type": "customer.*"}).data] == [
        "customer.updated",
        "customer.created",
        "customer.created",
    ]
    assert len(client.v1.events.list({"types": ["customer.updated", "invoice.paid"]}).data) == 1
    assert len(client.v1.events.list({"created": {"gt": 1_793_491_200}}).data) == 1
    cursor = client.v1.events.list({"limit": 100}).data[-1].id
    newer = client.v1.events.list({"ending_before": cursor, "limit": 1}).auto_paging_iter()
    assert [event.data.object["id"] for event in newer] == [second, first]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.events.list({"types": ["a.b"] * 21})
    control.advance(30 * DAY - 5)
    assert [event.type for event in client.v1.events.list().data] == ["customer.updated"]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.events.retrieve(cursor)


def test_update_event_has_previous_attributes(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"name": "A", "metadata": {"a": "1", "b": "2"}})
    client.v1.customers.update(customer.id, {"name": "B", "metadata": {"a": "", "c": "3"}})
    event = client.v1.events.list({"limit": 1}).data[0].to_dict()
    assert event["data"]["previous_attributes"] == {"name": "A", "metadata": {"a": "1", "c": None}}
    assert event["request"]["idempotency_key"]
    client.v1.customers.update(customer.id, {"name": "B"})
    assert client.v1.events.list({"limit": 1}).data[0].id == event["id"], "no change, no event"
