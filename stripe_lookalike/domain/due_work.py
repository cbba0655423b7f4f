"""Work that falls due as time passes: renewals, ends of trials, scheduled cancellations, payment retries."""

from __future__ import annotations

import logging
from collections.abc import Callable

from stripe_lookalike.domain import checkout, customers, entitlements, invoices, items, lifecycle
from stripe_lookalike.errors import ApiError, Json
from stripe_lookalike.world import World

_log = logging.getLogger(__name__)

_PAID_AFTER = 4
"""Seconds from an invoice's finalization to its payment."""


def run_due(world: World, until: int | None = None) -> None:
    """Run all due work in order, each entry as of the moment at which it was due."""
    limit = world.now() if until is None else until
    while entry := world.schedule.pop_due(limit):
        at, kind, object_id = entry
        try:
            with world.as_of(at):
                _WORK[kind](world, object_id)
        except (ApiError, LookupError, TypeError):
            # An object that a test added may be incomplete. Other requests must not fail because of it.
            _log.exception("the Stripe look-alike could not run %s for %s", kind, object_id)


def move_clock(world: World, to: int) -> None:
    """Set the clock. Forwards, run the work that falls due on the way; backwards, run nothing."""
    if to > world.clock.now():
        run_due(world, to)
    world.clock.set(to)


def _renew(world: World, sub_id: str) -> None:
    subscription = world.table("subscription").get(sub_id)
    if subscription is None or subscription["status"] not in ("active", "trialing", "past_due", "unpaid"):
        return
    due = [item for item in subscription["items"]["data"] if item["current_period_end"] <= world.now()]
    if not due or (subscription["status"] == "trialing" and _trial_ends_without_card(world, subscription)):
        return
    last_period = (due[0]["current_period_start"], due[0]["current_period_end"])
    anchor = subscription["billing_cycle_anchor"]
    next_periods = {item["id"]: items.next_period(item, anchor) for item in due}
    lines = items.pending_lines(world, subscription)
    lines += [items.line(world, item, next_periods[item["id"]]) for item in due]
    invoice = invoices.create_draft(world, subscription, lines, "subscription_cycle", last_period)
    with world.changing(subscription, "customer.subscription.updated"):
        for item in due:
            items.set_period(item, *next_periods[item["id"]])
        subscription["latest_invoice"] = invoice["id"]
        if subscription["status"] == "trialing":
            subscription["status"] = "active"
    entitlements.refresh(world, subscription["customer"])
    _advance(world, subscription, invoice)
    lifecycle.schedule(world, subscription)


def _advance(world: World, subscription: Json, invoice: Json) -> None:
    """Schedule the invoice's finalization. Drafts of an unpaid or paused collection stay drafts."""
    kept = (subscription["pause_collection"] or {}).get("behavior") == "keep_as_draft"
    if kept or subscription["status"] == "unpaid":
        invoice.update(auto_advance=False, next_payment_attempt=None, automatically_finalizes_at=None)
    else:
        world.schedule.add(world.now() + invoices.FINALIZED_AFTER, "finalize", invoice["id"])


def _trial_ends_without_card(world: World, subscription: Json) -> bool:
    """Pause or cancel a trial without a card, as its settings require. Return whether that happened."""
    customer = world.get("customer", subscription["customer"])
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if behavior == "create_invoice" or customers.default_card(world, customer, subscription):
        return False
    if behavior == "pause":
        lifecycle.pause(world, subscription, "trial_end_without_payment_method")
    else:
        lifecycle.cancel(world, subscription, "cancellation_requested")
    return True


def _end(world: World, sub_id: str) -> None:
    subscription = world.table("subscription").get(sub_id)
    if subscription is None or subscription["status"] in lifecycle.TERMINAL:
        return
    if subscription["cancel_at"] and subscription["cancel_at"] <= world.now():
        lifecycle.cancel(world, subscription, "cancellation_requested")


def _trial_will_end(world: World, sub_id: str) -> None:
    subscription = world.table("subscription").get(sub_id)
    if subscription is None or subscription["status"] != "trialing":
        return
    key = (sub_id, subscription["trial_end"])
    if key not in world.announced_trials and subscription["trial_end"] - world.now() <= 3 * 86_400:
        world.announced_trials.add(key)
        world.emit("customer.subscription.trial_will_end", subscription)


def _expire_incomplete(world: World, sub_id: str) -> None:
    subscription = world.table("subscription").get(sub_id)
    if subscription is None or subscription["status"] != "incomplete":
        return
    invoice = world.table("invoice").get(subscription["latest_invoice"] or "")
    if invoice is not None and invoice["status"] == "open":
        invoices.void(world, invoice)
    lifecycle.set_status(world, subscription, "incomplete_expired")


def _resume_collection(world: World, sub_id: str) -> None:
    subscription = world.table("subscription").get(sub_id)
    resumes = (subscription or {}).get("pause_collection") or {}
    if subscription is not None and resumes.get("resumes_at") and resumes["resumes_at"] <= world.now():
        with world.changing(subscription, "customer.subscription.updated"):
            subscription["pause_collection"] = None


def _finalize(world: World, invoice_id: str) -> None:
    invoice = world.table("invoice").get(invoice_id)
    if invoice is None or invoice["status"] != "draft" or not invoice["auto_advance"]:
        return
    subscription = invoices.subscription_of(world, invoice) or {}
    behavior = (subscription.get("pause_collection") or {}).get("behavior")
    if behavior == "keep_as_draft":
        invoice.update(auto_advance=False, next_payment_attempt=None)
        return
    invoices.finalize(world, invoice)
    if behavior and invoice["status"] == "open":
        (invoices.void if behavior == "void" else invoices.mark_uncollectible)(world, invoice)
    elif invoice["status"] == "open":
        world.schedule.add(world.now() + _PAID_AFTER, "attempt", invoice_id)
    lifecycle.update_after_invoice(world, invoice)


def _attempt(world: World, invoice_id: str) -> None:
    invoice = world.table("invoice").get(invoice_id)
    if invoice is None or invoice["status"] != "open" or not invoice["auto_advance"]:
        return
    if (invoice["next_payment_attempt"] or 0) > world.now():
        return
    paid = invoices.pay(world, invoice)
    lifecycle.update_after_invoice(world, invoice)
    if not paid and invoice["next_payment_attempt"]:
        world.schedule.add(invoice["next_payment_attempt"], "attempt", invoice_id)
    elif not paid:
        world.schedule.add(world.now() + 1, "give_up", invoice_id)


def _give_up(world: World, invoice_id: str) -> None:
    invoice = world.get("invoice", invoice_id)
    subscription = invoices.subscription_of(world, invoice)
    if invoice["status"] != "open" or subscription is None or subscription["status"] != "past_due":
        return
    if world.policy.when_retries_fail == "cancel":
        lifecycle.cancel(world, subscription, "payment_failed")
    elif world.policy.when_retries_fail == "unpaid":
        invoice["auto_advance"] = False
        lifecycle.set_status(world, subscription, "unpaid")


_WORK: dict[str, Callable[[World, str], None]] = {
    "renew": _renew,
    "end": _end,
    "trial_will_end": _trial_will_end,
    "expire_incomplete": _expire_incomplete,
    "resume_collection": _resume_collection,
    "finalize": _finalize,
    "attempt": _attempt,
    "give_up": _give_up,
    "expire_session": checkout.expire_due,
    "settle": checkout.settle_due,
}
