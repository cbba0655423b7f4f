"""What happens by itself as time passes: renewals, ends of trials, scheduled ends, retries."""

from __future__ import annotations

import logging
from collections.abc import Callable

from stripe_lookalike.domain import checkout, customers, entitlements, invoices, items, lifecycle
from stripe_lookalike.errors import ApiError, Json
from stripe_lookalike.world import World

_log = logging.getLogger(__name__)


def catch_up(world: World, until: int | None = None) -> None:
    """Work off what is due, in order, each thing as of its own moment."""
    limit = world.now() if until is None else until
    while entry := world.agenda.pop(limit):
        at, kind, object_id = entry
        try:
            with world.at(at):
                _WORK[kind](world, object_id)
        except (ApiError, LookupError, TypeError):
            # An object that a test put in by hand may lack what this needs; nobody else's request fails for it.
            _log.exception("the Stripe look-alike could not %s %s", kind, object_id)


def move(world: World, to: int) -> None:
    """Set the clock. Forwards, everything due on the way happens; backwards, nothing does."""
    if to > world.clock.now():
        catch_up(world, to)
    world.clock.set(to)


def _renew(world: World, sub_id: str) -> None:
    subscription = world.table("subscription").get(sub_id)
    if subscription is None or subscription["status"] not in ("active", "trialing", "past_due", "unpaid"):
        return
    due = [item for item in subscription["items"]["data"] if item["current_period_end"] <= world.now()]
    if not due or (subscription["status"] == "trialing" and _trial_ends_without_card(world, subscription)):
        return
    was = (due[0]["current_period_start"], due[0]["current_period_end"])
    anchor = subscription["billing_cycle_anchor"]
    coming = {item["id"]: items.next_period(item, anchor) for item in due}
    lines = items.pending_lines(world, subscription)
    lines += [items.line(world, item, coming[item["id"]]) for item in due]
    invoice = invoices.draft(world, subscription, lines, "subscription_cycle", was)
    with world.changing(subscription, "customer.subscription.updated"):
        for item in due:
            items.set_period(item, *coming[item["id"]])
        subscription["latest_invoice"] = invoice["id"]
        if subscription["status"] == "trialing":
            subscription["status"] = "active"
    entitlements.refresh(world, subscription["customer"])
    _advance(world, subscription, invoice)
    lifecycle.plan(world, subscription)


def _advance(world: World, subscription: Json, invoice: Json) -> None:
    """An unpaid subscription's drafts, and those kept by a pause of collection, stay drafts."""
    kept = (subscription["pause_collection"] or {}).get("behavior") == "keep_as_draft"
    if kept or subscription["status"] == "unpaid":
        invoice.update(auto_advance=False, next_payment_attempt=None, automatically_finalizes_at=None)
    else:
        world.agenda.plan(world.now() + world.policy.finalize_after, "finalize", invoice["id"])


def _trial_ends_without_card(world: World, subscription: Json) -> bool:
    """Whether that was the end of it: by setting, a trial without a card pauses or cancels."""
    customer = world.get("customer", subscription["customer"])
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if behavior == "create_invoice" or customers.card_of(world, customer, subscription):
        return False
    if behavior == "pause":
        lifecycle.paused(world, subscription, "trial_end_without_payment_method")
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
    if key not in world.told and subscription["trial_end"] - world.now() <= 3 * 86_400:
        world.told.add(key)
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
        (invoices.void if behavior == "void" else invoices.write_off)(world, invoice)
    elif invoice["status"] == "open":
        world.agenda.plan(world.now() + world.policy.pay_after, "attempt", invoice_id)
    lifecycle.after_invoice(world, invoice)


def _attempt(world: World, invoice_id: str) -> None:
    invoice = world.table("invoice").get(invoice_id)
    if invoice is None or invoice["status"] != "open" or not invoice["auto_advance"]:
        return
    if (invoice["next_payment_attempt"] or 0) > world.now():
        return
    paid = invoices.pay(world, invoice)
    lifecycle.after_invoice(world, invoice)
    if not paid and invoice["next_payment_attempt"]:
        world.agenda.plan(invoice["next_payment_attempt"], "attempt", invoice_id)
    elif not paid:
        world.agenda.plan(world.now() + 1, "give_up", invoice_id)


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
