"""Stripe's objects → `StripeFacts`: of old API versions (before 2025-03-31.basil) and new ones, expanded or not.

An object's shape depends on the version of the webhook endpoint that sent it, not on ours. Nothing in an object raises:
what cannot be read is unknown. An object without an id tells nothing: `None`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from service.adapters.stripe import fingerprints
from service.adapters.stripe.json_fields import Json, cut_off, fields, ident, moment, rows, text, whole
from service.domain.payments import with_payment
from service.domain.sources import TERMINAL, Item, Pass, StripeEntitlements, Subscription
from service.domain.stripe_facts import ObjectRef, OwnerClaims, Payment, PaymentUpdate, StripeFacts

PAID = frozenset({"paid", "no_payment_required"})
"""`payment_status` of a session that may be fulfilled."""


def claims(obj: Json) -> OwnerClaims:
    """Everything in an object that says whose it is. Never an e-mail address."""
    metadata = fields(obj.get("metadata"))
    return OwnerClaims(
        gift_recipient=text(metadata.get("gift_recipient")),
        gift_pending=metadata.get("gift") == "pending",
        reader_id=text(metadata.get("reader_id")),
        client_reference_id=text(obj.get("client_reference_id")),
    )


def customer_of(obj: Json) -> str | None:
    """The customer; under Accounts v2 the account that stands in for one."""
    return ident(obj.get("customer")) or ident(obj.get("customer_account"))


def subscription_billed_by(invoice: Json) -> str | None:
    """The subscription that an invoice is for: in `parent` since basil, at the top before. One-off invoices have none."""
    details = fields(fields(invoice.get("parent")).get("subscription_details"))
    return ident(details.get("subscription")) or ident(invoice.get("subscription"))


def subscription(obj: Json, items: Sequence[Json] | None = None) -> StripeFacts | None:
    """`items`: all of them, where the embedded list was cut off and has been read to its end."""
    name = ident(obj)
    if name is None:
        return None
    status = text(obj.get("status")) or "unknown"
    created = moment(obj.get("created")) or 0
    found = tuple(item for row in (rows(obj.get("items")) if items is None else items) if (item := _item(row, obj)))
    source = Subscription(
        id=name,
        status=status,
        items=found or _only_item(obj),
        created=created,
        trial_end=moment(obj.get("trial_end")),
        cancel_at=moment(obj.get("cancel_at")),
        cancel_at_period_end=obj.get("cancel_at_period_end") is True,
        ended_at=moment(obj.get("ended_at")),
    )
    return StripeFacts(
        ref=ObjectRef("subscription", name),
        source=source,
        customer=customer_of(obj),
        claims=claims(obj),
        created=created,
        terminal=status in TERMINAL,
        partial=items is None and cut_off(obj.get("items")),
        quantity=sum(item.quantity for item in source.items),
        fingerprint=fingerprints.subscription(obj),
    )


def _item(row: Json, obj: Json) -> Item | None:
    """An item; its period is its own since basil, and was its subscription's before. A price was once a plan."""
    price = row.get("price") or row.get("plan")
    name = ident(price)
    if name is None or row.get("deleted") is True:
        return None
    start, end = _period(row, obj)
    quantity = whole(row.get("quantity"))
    return Item(
        price=name,
        lookup_key=text(fields(price).get("lookup_key")),
        product=ident(fields(price).get("product")),
        quantity=1 if quantity is None else max(quantity, 0),  # A metered price has none.
        start=start,
        end=end,
    )


def _period(row: Json, obj: Json) -> tuple[int, int]:
    """Start and end of the paid period. Where there is none it has ended as it began: a reader never gains by a gap."""
    start, end = (
        moment(row.get(f"current_period_{edge}")) or moment(obj.get(f"current_period_{edge}"))
        for edge in ("start", "end")
    )
    start = start or moment(obj.get("start_date")) or moment(obj.get("created")) or 0
    return start, start if end is None else end


def _only_item(obj: Json) -> tuple[Item, ...]:
    """Very old versions name the one price at the top."""
    item = _item({"plan": obj.get("plan"), "quantity": obj.get("quantity")}, obj)
    return (item,) if item else ()


def session(
    obj: Json, *, paid_at: int | None = None, payment: Payment | None = None, lines: Sequence[Json] | None = None
) -> StripeFacts | None:
    """A Checkout session: in mode payment a pass once it is paid, in mode subscription its claims, in setup nothing.

    `paid_at` is `created` of the event that first said it was paid; without one the pass starts with the session.
    `payment`, `lines`: what was asked of Stripe, since a webhook carries neither.
    """
    name = ident(obj)
    if name is None:
        return None
    mode, created = text(obj.get("mode")), moment(obj.get("created")) or 0
    paid = text(obj.get("payment_status")) in PAID and obj.get("status") in ("complete", None)
    if mode == "payment" and payment is None:
        payment = Payment(intent=ident(obj.get("payment_intent")), amount=whole(obj.get("amount_total")) or 0)
    source = None
    if mode == "payment" and paid:
        first, *others = _bought(obj, lines) or [(None, None, None)]
        moment_paid = created if paid_at is None else paid_at
        source = with_payment(Pass(name, *first, paid_at=moment_paid, others=tuple(others)), payment)
    return StripeFacts(
        ref=ObjectRef("session", name),
        source=source,
        customer=customer_of(obj),
        claims=claims(obj),
        created=created,
        subscription=ident(obj.get("subscription")),
        payment=payment if mode == "payment" else None,
        terminal=source is not None,
        fingerprint=fingerprints.session(obj),
    )


def _bought(obj: Json, lines: Sequence[Json] | None) -> list[tuple[str | None, str | None, str | None]]:
    """Price, lookup key and product: of the price that our checkout named, else of every line that has one."""
    named = text(fields(obj.get("metadata")).get("price_id"))
    prices = [fields(row.get("price")) for row in (rows(obj.get("line_items")) if lines is None else lines)]
    bought = [(ident(one), text(one.get("lookup_key")), ident(one.get("product"))) for one in prices if ident(one)]
    if named is None:
        return [*bought]
    return [line for line in bought if named in line[:2]][:1] or [(named, None, None)]


def customer(obj: Json) -> StripeFacts | None:
    name = ident(obj)
    if name is None:
        return None
    deleted = obj.get("deleted") is True
    return StripeFacts(
        ref=ObjectRef("customer", name),
        source=None,
        customer=name,
        claims=claims(obj),
        created=moment(obj.get("created")) or 0,
        deleted=deleted,
        terminal=deleted,
        fingerprint=fingerprints.customer(obj),
    )


def entitlements(obj: Json) -> StripeFacts | None:
    """A summary as an event carries it: at most ten, and then it is no longer the whole set."""
    name = customer_of(obj)
    held = obj.get("entitlements")
    return entitlements_of(name, rows(held), partial=cut_off(held)) if name else None


def entitlements_of(name: str, held: Sequence[Json], partial: bool = False) -> StripeFacts:
    """The active entitlements of a customer."""
    keys = tuple(dict.fromkeys(key for row in held if (key := text(row.get("lookup_key")))))
    return StripeFacts(
        ref=ObjectRef("entitlements", name),
        source=StripeEntitlements(name, keys),
        customer=name,
        claims=OwnerClaims(),
        created=0,
        partial=partial,
        fingerprint=fingerprints.entitlements(held),
    )


def payment_news(obj: Json) -> PaymentUpdate | None:
    """What a charge, a refund or a dispute says about its payment."""
    what, name = obj.get("object"), ident(obj)
    if name is None or what not in ("charge", "refund", "dispute"):
        return None
    amount = {"charge": "amount_refunded", "refund": "amount"}.get(what)
    return PaymentUpdate(
        what=what,
        id=name,
        intent=ident(obj.get("payment_intent")),
        charge=name if what == "charge" else ident(obj.get("charge")),
        amount=max(whole(obj.get(amount)) or 0, 0) if amount else 0,
        status=text(obj.get("status")) or "unknown",
    )


KINDS: dict[str, Callable[[Any], StripeFacts | None]] = {
    "subscription": subscription,
    "checkout.session": session,
    "customer": customer,
    "entitlements.active_entitlement_summary": entitlements,
}
"""By the word in an object's `object` field. What is not here is not kept."""
