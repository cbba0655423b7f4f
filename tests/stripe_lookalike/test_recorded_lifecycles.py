"""Test that replayed lifecycles send the same events at the same times as the twelve recorded ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

pytestmark = pytest.mark.full

DAY = 86_400


class LifecyclePlayer:
    """Plays a lifecycle: calls the API at given seconds."""

    def __init__(self, client: stripe.StripeClient, control: Any, start: int, reader: str) -> None:
        self.client, self.control, self.start, self.reader = client, control, start, reader
        self.customer = ""
        self.subscription = ""
        control.post("/clock", {"to": start, "frozen": True})

    def at(self, second: int) -> None:
        self.control.post("/clock", {"to": self.start + second})

    def joins(self, card: str = "pm_card_visa") -> None:
        self.customer = self.client.v1.customers.create({"email": f"{self.reader}@example.org", "name": "R"}).id
        self.at(2)
        self.takes_card(card)
        self.at(3)

    def takes_card(self, card: str) -> None:
        method = self.client.v1.payment_methods.attach(card, {"customer": self.customer})
        self.client.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method.id}})

    def subscribes(self, **more: Any) -> None:
        params: Any = {
            "customer": self.customer,
            "items": [{"price": "price_month"}],
            "metadata": {"reader_id": self.reader},
            "billing_mode": {"type": "classic"},
            **more,
        }
        self.subscription = self.client.v1.subscriptions.create(params).id

    def checks_out(self, mode: str, price: str) -> str:
        params: Any = {
            "mode": mode,
            "customer": self.customer,
            "line_items": [{"price": price, "quantity": 1}],
            "client_reference_id": self.reader,
            "success_url": "https://www.example.news/thanks?session={CHECKOUT_SESSION_ID}",
            "metadata": {"reader_id": self.reader, "price_id": price},
        }
        if mode == "subscription":
            params["subscription_data"] = {"metadata": {"reader_id": self.reader}, "billing_mode": {"type": "classic"}}
        session = self.client.v1.checkout.sessions.create(params)
        answer = requests.post(str(session.url), data={"choice": "pay"}, allow_redirects=False, timeout=60)
        assert answer.headers["Location"] == f"https://www.example.news/thanks?session={session.id}"
        paid = self.client.v1.checkout.sessions.retrieve(session.id)
        self.subscription = str(paid.subscription or "")
        return str(paid.payment_intent)

    def sent_events(self) -> Sequence[tuple[int, str]]:
        newest_first = self.client.v1.events.list({"limit": 100}).auto_paging_iter()
        return [(event.created - self.start, event.type) for event in newest_first][::-1]


def signup_active(t: LifecyclePlayer) -> None:
    t.joins()
    t.checks_out("subscription", "price_month")


def incomplete_then_active(t: LifecyclePlayer) -> None:
    t.joins("pm_card_chargeCustomerFail")
    t.subscribes()
    t.at(7234)
    t.takes_card("pm_card_visa")
    t.at(7237)
    t.client.v1.invoices.pay(str(t.client.v1.subscriptions.retrieve(t.subscription).latest_invoice))


def trial_to_active(t: LifecyclePlayer) -> None:
    t.joins()
    t.subscribes(trial_period_days=14)
    t.at(15 * DAY)


def two_renewals(t: LifecyclePlayer) -> None:
    t.joins()
    t.subscribes()
    t.at(5_274_007)


def _card_turns_bad(t: LifecyclePlayer, at: int) -> None:
    t.joins()
    t.subscribes()
    t.at(at)
    t.takes_card("pm_card_chargeCustomerFail")


def renewal_fails_past_due(t: LifecyclePlayer) -> None:
    _card_turns_bad(t, 1_728_003)
    t.at(2_941_207)


def past_due_recovered(t: LifecyclePlayer) -> None:
    t.control.post("/policy", {"retry_days": [5]})  # the recorder's first retry comes late
    _card_turns_bad(t, 1_036_803)
    t.at(3_027_684)
    t.takes_card("pm_card_visa")
    t.at(3_027_686)
    t.client.v1.invoices.pay(str(t.client.v1.subscriptions.retrieve(t.subscription).latest_invoice))


def dunning_to_canceled(t: LifecyclePlayer) -> None:
    _card_turns_bad(t, 1_296_003)
    t.at(3_900_000)


def cancel_at_period_end(t: LifecyclePlayer) -> None:
    t.joins()
    t.subscribes()
    t.at(781_924)
    t.client.v1.subscriptions.update(t.subscription, {"cancel_at_period_end": True})
    t.at(2_678_403)


def cancel_now(t: LifecyclePlayer) -> None:
    t.joins()
    t.subscribes()
    t.at(432_003)
    t.client.v1.subscriptions.cancel(t.subscription)


def upgrade_midcycle(t: LifecyclePlayer) -> None:
    t.joins()
    t.subscribes()
    t.at(950_403)
    item = t.client.v1.subscriptions.retrieve(t.subscription)["items"].data[0].id
    t.client.v1.subscriptions.update(t.subscription, {"items": [{"id": item, "price": "price_all_month"}]})
    t.at(2_682_007)


def refund_partial_then_full(t: LifecyclePlayer) -> None:
    t.joins()
    intent = t.checks_out("payment", "price_day")
    t.at(3604)
    t.client.v1.refunds.create({"payment_intent": intent, "amount": 100})
    t.at(10_804)
    t.client.v1.refunds.create({"payment_intent": intent})


def dispute_won(t: LifecyclePlayer) -> None:
    t.joins()
    intent = t.checks_out("payment", "price_day")
    t.at(172_804)
    dispute = t.control.post("/disputes", {"payment_intent": intent})["id"]
    t.at(432_004)
    t.client.v1.disputes.update(dispute, {"evidence": {"product_description": "Access to the site for 24 hours"}})
    t.at(3_888_004)
    t.control.post(f"/disputes/{dispute}", {"status": "won"})


STORIES: list[Callable[[LifecyclePlayer], None]] = [
    signup_active,
    incomplete_then_active,
    trial_to_active,
    two_renewals,
    renewal_fails_past_due,
    past_due_recovered,
    dunning_to_canceled,
    cancel_at_period_end,
    cancel_now,
    upgrade_midcycle,
    refund_partial_then_full,
    dispute_won,
]


def test_every_recorded_lifecycle_is_replayed_here(stripe_reference: Path) -> None:
    assert {story.__name__ for story in STORIES} == {file.stem for file in (stripe_reference / "lifecycles").iterdir()}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_replayed_lifecycle_sends_the_recorded_events_in_order(
    story: Callable[[LifecyclePlayer], None], client: stripe.StripeClient, control: Any, stripe_reference: Path
) -> None:
    recorded = json.loads((stripe_reference / "lifecycles" / f"{story.__name__}.json").read_text("utf-8"))
    start = recorded["events"][0]["created"]
    control.post("/policy", {"keep_events_for": 365 * DAY})
    player = LifecyclePlayer(client, control, start, recorded["reader"])
    story(player)
    expected = [(event["created"] - start, event["type"]) for event in recorded["events"]]
    found = player.sent_events()
    assert [kind for _, kind in found] == [kind for _, kind in expected]
    # The recorder completes a session a second after its payment.
    assert all(abs(mine - theirs) <= 1 for (mine, _), (theirs, _) in zip(found, expected, strict=True))
    if recorded["final"]["subscriptions"]:
        (theirs,) = recorded["final"]["subscriptions"].values()
        mine = client.v1.subscriptions.retrieve(player.subscription).to_dict(for_json=True)
        assert _gist(mine) == _gist(theirs)
    _same_shapes(client, recorded)


def _gist(subscription: dict[str, Any]) -> dict[str, Any]:
    alike = ("status", "cancel_at", "cancel_at_period_end", "canceled_at", "ended_at", "trial_end", "trial_start")
    return {
        **{name: subscription[name] for name in alike},
        "anchor": subscription["billing_cycle_anchor"],
        "reason": subscription["cancellation_details"]["reason"],
        "metadata": subscription["metadata"],
        "items": [
            (row["price"]["id"], row["quantity"], row["current_period_start"], row["current_period_end"])
            for row in subscription["items"]["data"]
        ],
    }


def _same_shapes(client: stripe.StripeClient, recorded: dict[str, Any]) -> None:
    """Check that no field of the recorded objects is missing."""
    theirs = {event["type"]: event["data"]["object"] for event in recorded["events"]}
    for event in client.v1.events.list({"limit": 100}).auto_paging_iter():
        ours = event.data.object.to_dict(for_json=True)
        missing = theirs[event.type].keys() - ours.keys()
        assert not missing, (event.type, missing)
        assert event.data.to_dict().keys() == {
            "object",
            *(
                {"previous_attributes"}
                if event.type.endswith(".updated") and _had_previous(recorded, event.type)
                else ()
            ),
        }, event.type


def _had_previous(recorded: dict[str, Any], kind: str) -> bool:
    return any("previous_attributes" in event["data"] for event in recorded["events"] if event["type"] == kind)


def test_prorations_are_rounded_as_stripe_does(
    client: stripe.StripeClient, control: Any, stripe_reference: Path
) -> None:
    recorded = json.loads((stripe_reference / "lifecycles" / "upgrade_midcycle.json").read_text("utf-8"))
    player = LifecyclePlayer(client, control, recorded["events"][0]["created"], recorded["reader"])
    upgrade_midcycle(player)
    invoice = client.v1.invoices.list({"subscription": player.subscription, "limit": 1}).data[0]
    assert [line.amount for line in invoice.lines.data] == [-323, 967, 1500]
    assert invoice.amount_paid == 2144
