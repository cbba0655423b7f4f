"""What an event points at. `HANDLED` alone names the event types that matter, and where each leads.

An event is a signal that something changed (design decision 4). `EventContent.refs` name what to read from Stripe. What
the payload reports (`facts`, `payment_update`) counts only while Stripe cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.adapters.batches import batched
from service.adapters.stripe import translate
from service.adapters.stripe.translate import Json, id_of, text
from service.adapters.stripe.webhook import Envelope
from service.domain.catalogue import READER_METADATA
from service.domain.sources import TERMINAL
from service.domain.stripe_facts import EventContent, ObjectKind, ObjectRef, PaymentRef

Finder = Callable[[Json], Sequence[ObjectRef | PaymentRef]]

TYPES_A_CALL = 20
"""The most types that one request for a list of events may name."""


def _find_by(kind: ObjectKind, name_of: Callable[[Json], str | None]) -> Finder:
    """Return what finds an object of this kind by the name that `name_of` reads, and nothing without a name."""
    return lambda obj: [ObjectRef(kind, name)] if (name := name_of(obj)) else []


_subscription, _customer = _find_by("subscription", id_of), _find_by("customer", id_of)
_invoice = _find_by("subscription", translate.subscription_billed_by)
"""Finds the subscription that the invoice bills."""
_entitlements = _find_by("entitlements", translate.customer_of)
"""Finds the customer's entitlements: a summary has no ID of its own."""


def _session(obj: Json) -> list[ObjectRef]:
    """Return the session and the subscription that it started, for which the session's claims count too."""
    started = id_of(obj.get("subscription"))
    found = [ObjectRef("session", name)] if (name := id_of(obj)) else []
    return [*found, ObjectRef("subscription", started)] if found and started else found


def _payment(obj: Json) -> list[PaymentRef]:
    """Return the payment of a charge, refund or dispute: its intent, else the charge, which then has to be read."""
    if intent := id_of(obj.get("payment_intent")):
        return [PaymentRef("intent", intent)]
    charge = id_of(obj) if obj.get("object") == "charge" else id_of(obj.get("charge"))
    return [PaymentRef("charge", charge)] if charge else []


def _prices(obj: Json) -> list[ObjectRef]:
    """Return nothing: prices are not stored. `EventContent.prices` makes the offer read them again."""
    return []


HANDLED: dict[str, Finder] = {
    "customer.subscription.created": _subscription,
    "customer.subscription.updated": _subscription,
    "customer.subscription.deleted": _subscription,
    "customer.subscription.paused": _subscription,
    "customer.subscription.resumed": _subscription,
    "customer.subscription.pending_update_applied": _subscription,
    "customer.subscription.pending_update_expired": _subscription,
    "invoice.paid": _invoice,
    "invoice.payment_succeeded": _invoice,
    "invoice.payment_failed": _invoice,
    "invoice.marked_uncollectible": _invoice,
    "invoice.voided": _invoice,
    "checkout.session.completed": _session,
    "checkout.session.async_payment_succeeded": _session,
    "checkout.session.async_payment_failed": _session,
    "checkout.session.expired": _session,
    "charge.refunded": _payment,
    "charge.refund.updated": _payment,
    "refund.created": _payment,
    "refund.updated": _payment,
    "refund.failed": _payment,
    "charge.dispute.created": _payment,
    "charge.dispute.updated": _payment,
    "charge.dispute.closed": _payment,
    "charge.dispute.funds_withdrawn": _payment,
    "charge.dispute.funds_reinstated": _payment,
    "customer.created": _customer,
    "customer.updated": _customer,
    "customer.deleted": _customer,
    "entitlements.active_entitlement_summary.updated": _entitlements,
    "price.created": _prices,
    "price.updated": _prices,
    "price.deleted": _prices,
    "product.created": _prices,
    "product.updated": _prices,
    "product.deleted": _prices,
}
"""Event type → what it points at. `invoice.created` is not handled: Stripe only waits for a quick 200 to it."""

RELATED: dict[str, Callable[[str], ObjectRef | PaymentRef]] = {
    "subscription": lambda name: ObjectRef("subscription", name),
    "checkout.session": lambda name: ObjectRef("session", name),
    "customer": lambda name: ObjectRef("customer", name),
    "entitlements.active_entitlement_summary": lambda name: ObjectRef("entitlements", name),
    "invoice": lambda name: PaymentRef("invoice", name),
    "charge": lambda name: PaymentRef("charge", name),
    "refund": lambda name: PaymentRef("refund", name),
    "dispute": lambda name: PaymentRef("dispute", name),
}
"""A thin event's `related_object.type` → what it points at."""

_THIN = "v1."
_THIN_FAMILIES = ("customer.subscription.", "entitlements.active_entitlement_summary.", "price.", "product.")
"""Thin events have more types than snapshot events (`….past_due`, `….entitlement_added`)."""

HANDLED_TYPES = tuple(HANDLED)
"""The event types for which a webhook endpoint has to be registered."""


def type_groups() -> list[list[str]]:
    """Return the handled types in groups that Stripe's list of events accepts."""
    return [list(types) for types in batched(HANDLED_TYPES, TYPES_A_CALL)]


def is_handled(event: Envelope) -> bool:
    """Return whether the event has a handled type, whatever object it is about."""
    name = event.type.removeprefix(_THIN)
    if not event.thin:
        return event.type in HANDLED
    return event.type.startswith(_THIN) and (name in HANDLED or name.startswith(_THIN_FAMILIES))


def event_content(event: Envelope, reader_metadata: Sequence[str] = READER_METADATA) -> EventContent:
    """Return what an event points at and reports; an empty content for an event that is not handled."""
    if event.thin:
        return _thin_content(event)
    find = HANDLED.get(event.type)
    if find is None:
        return EventContent()
    if find is _prices:
        return EventContent(prices=True)
    obj: Json = translate.with_reader_id(event.object, reader_metadata)
    refs = tuple(find(obj))
    if event.type == "customer.deleted":
        obj = {**obj, "deleted": True}  # The event carries the customer as it was before.
    if event.type == "customer.subscription.deleted" and str(obj.get("status")) not in TERMINAL:
        obj = {**obj, "status": "canceled"}  # An old API version may report another status with this event.
    if event.type == "checkout.session.async_payment_succeeded":
        obj = {**obj, "payment_status": "paid"}  # The event itself reports the payment.
    payment_update = translate.payment_update(obj) if refs and find is _payment else None
    translator = translate.TRANSLATORS.get(str(obj.get("object"))) if find not in (_invoice, _payment) else None
    facts = translator(obj) if translator and refs else None
    if facts is None:
        return EventContent(refs, payment_update=payment_update)
    paid_at = event.created if facts.payment is not None and facts.source is not None else None
    if paid_at is not None:
        facts = translate.session_facts(obj, paid_at=paid_at)
    former = translate.with_former_reader_id(event.previous_attributes, event.object, reader_metadata)
    previous = translate.previous_fingerprint(refs[0].kind, former)
    return EventContent(refs, facts=facts, previous=previous, paid_at=paid_at)


def _thin_content(event: Envelope) -> EventContent:
    """Return the content of a thin event, which only names its object."""
    if not is_handled(event):
        return EventContent()
    name = event.type.removeprefix(_THIN)
    if name.startswith(("price.", "product.")):
        return EventContent(prices=True)
    kind, related = event.related or ("", "")
    make_ref = RELATED.get(kind)
    return EventContent((make_ref(related),)) if make_ref and text(related) else EventContent()
