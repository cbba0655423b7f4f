"""A subscription's status: how it changes, and which work is scheduled for it."""

from __future__ import annotations

from stripe_lookalike.domain import entitlements, invoices
from stripe_lookalike.errors import Json
from stripe_lookalike.world import World, embedded

TERMINAL = ("canceled", "incomplete_expired")
_TRIAL_NOTICE = 3 * 86_400
_SETTLED = ("paid", "uncollectible", "void")


def schedule(world: World, subscription: Json) -> None:
    """Schedule the future work of this subscription: renewals, cancellation, end of trial."""
    sub_id = subscription["id"]
    if subscription["status"] in TERMINAL:
        return
    for item in subscription["items"]["data"]:
        world.schedule.add(item["current_period_end"], "renew", sub_id)
    if subscription["cancel_at"]:
        world.schedule.add(subscription["cancel_at"], "end", sub_id)
    if subscription["status"] == "trialing":
        world.schedule.add(max(subscription["trial_end"] - _TRIAL_NOTICE, world.now()), "trial_will_end", sub_id)
    if subscription["status"] == "incomplete":
        world.schedule.add(subscription["created"] + 23 * 3600, "expire_incomplete", sub_id)
    resumes = (subscription["pause_collection"] or {}).get("resumes_at")
    if resumes:
        world.schedule.add(resumes, "resume_collection", sub_id)


def set_status(world: World, subscription: Json, status: str) -> None:
    """Change the status and emit the event."""
    with world.changing(subscription, "customer.subscription.updated"):
        subscription["status"] = status
    entitlements.refresh(world, subscription["customer"])
    schedule(world, subscription)


def update_after_invoice(world: World, invoice: Json) -> None:
    """Update a subscription's status after its latest invoice changed; ignore older invoices."""
    subscription = invoices.subscription_of(world, invoice)
    if subscription is None or subscription["status"] in TERMINAL or subscription["latest_invoice"] != invoice["id"]:
        return
    status = subscription["status"]
    if status == "incomplete" and invoice["status"] == "void":
        set_status(world, subscription, "incomplete_expired")
    elif status == "paused" and invoice["status"] in ("paid", "uncollectible"):
        resume(world, subscription)
    elif status in ("past_due", "unpaid", "incomplete") and invoice["status"] in _SETTLED:
        set_status(world, subscription, "active")
    elif status == "active" and invoice["status"] == "open" and invoice["attempted"]:
        set_status(world, subscription, "past_due")


def resume(world: World, subscription: Json) -> None:
    """Set a paused subscription to active."""
    with world.changing(subscription, "customer.subscription.updated"):
        subscription.update(status="active", status_details=None)
    world.emit("customer.subscription.resumed", subscription)
    entitlements.refresh(world, subscription["customer"])
    schedule(world, subscription)


def pause(world: World, subscription: Json, pause_type: str) -> None:
    """Set a subscription to paused; `pause_type` is Stripe's value, such as `pause_requested`."""
    with world.changing(subscription, "customer.subscription.updated"):
        subscription.update(status="paused", status_details={"paused": {"subscription": {"type": pause_type}}})
    world.emit("customer.subscription.paused", subscription)
    entitlements.refresh(world, subscription["customer"])


def cancel(world: World, subscription: Json, reason: str, details: Json | None = None) -> None:
    """Cancel a subscription now. Its scheduled end stays readable."""
    now = world.now()
    subscription.update(status="canceled", ended_at=now, canceled_at=subscription["canceled_at"] or now)
    before = subscription["cancellation_details"]
    subscription["cancellation_details"] = {**before, **(details or {}), "reason": before["reason"] or reason}
    invoice = world.table("invoice").get(subscription["latest_invoice"] or "")
    if invoice is not None and invoice["status"] in ("draft", "open"):
        invoice.update(auto_advance=False, next_payment_attempt=None)  # Stripe stops collecting
    world.emit("customer.subscription.deleted", subscription)
    entitlements.refresh(world, subscription["customer"])


def set_items(subscription: Json, rows: list[Json]) -> None:
    """Replace the items."""
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    subscription["items"] = embedded(url, rows)
