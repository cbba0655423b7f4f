"""Create, schedule the end of, pause and resume subscriptions. `changes.py` changes their items."""

from __future__ import annotations

from dataclasses import dataclass, field

from stripe_lookalike import ids
from stripe_lookalike.domain import (
    catalogue,
    customers,
    discounts,
    entitlements,
    invoices,
    items,
    lifecycle,
    payments,
    periods,
)
from stripe_lookalike.errors import Json, declined, invalid
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World


@dataclass
class Order:
    """The parameters of a new subscription."""

    customer: Json
    rows: list[items.Row]
    metadata: Json = field(default_factory=dict)
    trial_end: int | None = None
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    payment_behavior: str = "allow_incomplete"
    default_payment_method: str | None = None
    billing_mode: str | None = None
    missing_card_behavior: str = "create_invoice"  # at the end of a trial: create_invoice, pause, cancel
    currency: str | None = None  # None: the first price's
    coupon: Json | None = None
    promotion_code: Json | None = None
    automatic_tax: bool = False


def create(world: World, order: Order) -> Json:
    """Create a subscription and its first invoice, and try to pay it.

    As at Stripe, the subscription's event comes after the invoice's. Raises: `ApiError` if a required card is missing or
    declined.
    """
    subscription = _draft(world, order)
    trial = order.trial_end is not None
    card = customers.default_card(world, order.customer, subscription)
    subtotal = sum(catalogue.unit_amount(row.price, subscription["currency"]) * row.quantity for row in order.rows)
    owed = 0 if trial else subtotal - discounts.cut(order.coupon, subtotal)
    if owed and order.payment_behavior != "default_incomplete":
        _require_card(world, order, card, owed)
    world.add(subscription)
    if order.coupon is not None:
        discounts.attach(world, subscription, order.coupon, order.promotion_code)
    rows = subscription["items"]["data"]
    lines = [items.line(world, row, (row["current_period_start"], row["current_period_end"]), trial) for row in rows]
    invoice = invoices.create_draft(world, subscription, lines, "subscription_create", (world.now(), world.now()))
    subscription["latest_invoice"] = invoice["id"]
    invoices.finalize(world, invoice)
    if trial:
        subscription["status"] = "trialing"
    elif invoice["status"] == "paid":
        subscription["status"] = "active"
    elif order.payment_behavior != "default_incomplete":
        subscription["status"] = "active" if invoices.pay(world, invoice) else "incomplete"
    if order.cancel_at_period_end or order.cancel_at:
        schedule_end(world, subscription, order.cancel_at, order.cancel_at_period_end)
    world.emit("customer.subscription.created", subscription)
    entitlements.refresh(world, subscription["customer"])
    lifecycle.schedule(world, subscription)
    return subscription


def _require_card(world: World, order: Order, card: Json | None, owed: int) -> None:
    if card is None:
        raise invalid(
            "This customer has no attached payment source or default payment method. Please consider adding a "
            "default payment method.",
            code="resource_missing",
        )
    if order.payment_behavior == "error_if_incomplete" and not customers.accepts_charge(card):
        intent = payments.create_intent(world, owed, order.rows[0].price["currency"], order.customer["id"])
        payments.attempt_payment(world, intent, card)
        raise declined(intent["latest_charge"], intent)


def _draft(world: World, order: Order) -> Json:
    now = world.now()
    mode = order.billing_mode or world.policy.billing_mode
    subscription = blank(
        "subscription",
        id=ids.new("sub_1"),
        billing_cycle_anchor=order.trial_end or now,
        created=now,
        currency=order.currency or order.rows[0].price["currency"],
        customer=order.customer["id"],
        default_payment_method=order.default_payment_method,
        metadata=order.metadata,
        start_date=now,
        trial_end=order.trial_end,
        trial_start=now if order.trial_end else None,
    )
    subscription["automatic_tax"]["enabled"] = order.automatic_tax
    flexible = {"proration_discounts": "included"} if mode == "flexible" else None
    subscription["billing_mode"] = {"flexible": flexible, "type": mode, "updated_at": now}
    subscription["trial_settings"]["end_behavior"]["missing_payment_method"] = order.missing_card_behavior
    new_items = []
    for row in order.rows:
        end = order.trial_end or periods.end(now, now, row.price["recurring"])
        new_items.append(items.new(world, subscription["id"], row, (now, end)))
    lifecycle.set_items(subscription, new_items)
    return subscription


def last_period_end(subscription: Json) -> int:
    return max(int(item["current_period_end"]) for item in subscription["items"]["data"])


def schedule_end(world: World, subscription: Json, at: int | None, at_period_end: bool) -> None:
    """Schedule the cancellation: `at` a moment, or at the period's end, which `cancel_at` then also shows."""
    subscription.update(
        cancel_at=last_period_end(subscription) if at_period_end else at,
        cancel_at_period_end=at_period_end,
        canceled_at=world.now(),
    )
    details = subscription["cancellation_details"]
    subscription["cancellation_details"] = {**details, "reason": "cancellation_requested"}


def unschedule_end(subscription: Json) -> None:
    """Remove a scheduled cancellation."""
    subscription.update(cancel_at=None, cancel_at_period_end=False, canceled_at=None)
    subscription["cancellation_details"] = dict.fromkeys(subscription["cancellation_details"])


def editable(world: World, subscription_id: str) -> Json:
    """Return a subscription. Raises: `ApiError` 400 if it has ended."""
    subscription = world.get("subscription", subscription_id)
    if subscription["status"] in lifecycle.TERMINAL:
        raise invalid(
            f"A {subscription['status']} subscription can only update its cancellation_details and metadata.",
        )
    return subscription


def pause(world: World, subscription: Json) -> None:
    """Pause service and invoices, and end the period now (Stripe API since 2026-09-30.endive)."""
    if subscription["status"] not in ("active", "trialing", "past_due"):
        raise invalid(f"A subscription that is {subscription['status']} cannot be paused.")
    for item in subscription["items"]["data"]:
        items.set_period(item, item["current_period_start"], world.now())
    lifecycle.pause(world, subscription, "pause_requested")


def resume(world: World, subscription: Json) -> None:
    """Begin a new period now, and try its invoice at once. The pause ends when that invoice is paid."""
    if subscription["status"] != "paused":
        raise invalid("Only a paused subscription can be resumed.")
    now = world.now()
    rows = subscription["items"]["data"]
    for item in rows:
        items.set_period(item, now, periods.end(now, now, item["price"]["recurring"]))
    subscription.update(billing_cycle_anchor=now)
    lines = [items.line(world, row, (now, row["current_period_end"])) for row in rows]
    invoice = invoices.create_draft(world, subscription, lines, "subscription_update", (now, now))
    subscription["latest_invoice"] = invoice["id"]
    invoices.finalize(world, invoice)
    if invoice["status"] == "open":
        invoices.pay(world, invoice)
    lifecycle.update_after_invoice(world, invoice)
