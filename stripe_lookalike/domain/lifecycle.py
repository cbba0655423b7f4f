"""How a subscription stands: which status follows from what, and what is planned for it."""

from __future__ import annotations

from stripe_lookalike.domain import entitlements, invoices
from stripe_lookalike.errors import Json
from stripe_lookalike.world import World, embedded

TERMINAL = ("canceled", "incomplete_expired")
_WARN_BEFORE = 3 * 86_400
_SETTLED = ("paid", "uncollectible", "void")


def plan(world: World, subscription: Json) -> None:
    """Put everything that is to happen to this subscription by itself on the agenda."""
    sub_id = subscription["id"]
    if subscription["status"] in TERMINAL:
        return
    for item in subscription["items"]["data"]:
        world.agenda.plan(item["current_period_end"], "renew", sub_id)
    if subscription["cancel_at"]:
        world.agenda.plan(subscription["cancel_at"], "end", sub_id)
    if subscription["status"] == "trialing":
        world.agenda.plan(max(subscription["trial_end"] - _WARN_BEFORE, world.now()), "trial_will_end", sub_id)
    if subscription["status"] == "incomplete":
        world.agenda.plan(subscription["created"] + 23 * 3600, "expire_incomplete", sub_id)
    resumes = (subscription["pause_collection"] or {}).get("resumes_at")
    if resumes:
        world.agenda.plan(resumes, "resume_collection", sub_id)


def set_status(world: World, subscription: Json, status: str) -> None:
    """Change the status and tell of it."""
    with world.changing(subscription, "customer.subscription.updated"):
        subscription["status"] = status
    entitlements.refresh(world, subscription["customer"])
    plan(world, subscription)


def after_invoice(world: World, invoice: Json) -> None:
    """What the fate of an invoice means for its subscription; only the latest invoice counts."""
    subscription = invoices.subscription_of(world, invoice)
    if subscription is None or subscription["status"] in TERMINAL or subscription["latest_invoice"] != invoice["id"]:
        return
    status = subscription["status"]
    if status == "incomplete" and invoice["status"] == "void":
        set_status(world, subscription, "incomplete_expired")
    elif status == "paused" and invoice["status"] in ("paid", "uncollectible"):
        resumed(world, subscription)
    elif status in ("past_due", "unpaid", "incomplete") and invoice["status"] in _SETTLED:
        set_status(world, subscription, "active")
    elif status == "active" and invoice["status"] == "open" and invoice["attempted"]:
        set_status(world, subscription, "past_due")


def resumed(world: World, subscription: Json) -> None:
    """A paused subscription goes on."""
    with world.changing(subscription, "customer.subscription.updated"):
        subscription.update(status="active", status_details=None)
    world.emit("customer.subscription.resumed", subscription)
    entitlements.refresh(world, subscription["customer"])
    plan(world, subscription)


def paused(world: World, subscription: Json, why: str) -> None:
    """The subscription stands still; `why` is Stripe's word for it (`pause_requested`, …)."""
    with world.changing(subscription, "customer.subscription.updated"):
        subscription.update(status="paused", status_details={"paused": {"subscription": {"type": why}}})
    world.emit("customer.subscription.paused", subscription)
    entitlements.refresh(world, subscription["customer"])


def cancel(world: World, subscription: Json, reason: str, details: Json | None = None) -> None:
    """The subscription ends now; what was scheduled stays readable in it."""
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
