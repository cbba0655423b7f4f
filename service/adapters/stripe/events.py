"""What an event points at. `HANDLED` is the only place that says which types matter, and where each leads.

An event is a signal that something changed. What to read is named by `EventContent.refs`; what its payload says, for the time
that Stripe cannot be read, by `told` and `news`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.adapters.stripe import fingerprints, translate
from service.adapters.stripe.json_fields import Json, ident, text
from service.adapters.stripe.webhook import Envelope
from service.domain.sources import TERMINAL
from service.domain.stripe_facts import EventContent, ObjectRef, PaymentRef

Finder = Callable[[Json], Sequence[ObjectRef | PaymentRef]]

TYPES_A_CALL = 20
"""Stripe lists events of at most so many types at once."""


def _subscription(obj: Json) -> list[ObjectRef]:
    return [ObjectRef("subscription", name)] if (name := ident(obj)) else []


def _invoice(obj: Json) -> list[ObjectRef]:
    """The subscription that was billed."""
    return [ObjectRef("subscription", name)] if (name := translate.subscription_billed_by(obj)) else []


def _session(obj: Json) -> list[ObjectRef]:
    """The session, and the subscription that it began: the session's claims count for that too."""
    begun = ident(obj.get("subscription"))
    found = [ObjectRef("session", name)] if (name := ident(obj)) else []
    return [*found, ObjectRef("subscription", begun)] if found and begun else found


def _payment(obj: Json) -> list[PaymentRef]:
    """Of a charge, refund or dispute the payment: by its intent, else by the charge, which then has to be asked for."""
    if intent := ident(obj.get("payment_intent")):
        return [PaymentRef("intent", intent)]
    charge = ident(obj) if obj.get("object") == "charge" else ident(obj.get("charge"))
    return [PaymentRef("charge", charge)] if charge else []


def _customer(obj: Json) -> list[ObjectRef]:
    return [ObjectRef("customer", name)] if (name := ident(obj)) else []


def _entitlements(obj: Json) -> list[ObjectRef]:
    """A summary has no id: it is its customer's."""
    return [ObjectRef("entitlements", name)] if (name := translate.customer_of(obj)) else []


def _prices(obj: Json) -> list[ObjectRef]:
    """Nothing that is kept for a reader; `EventContent.prices` says what to do."""
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
"""Event type → what it points at. `invoice.created` is left out on purpose: it waits for a quick 200, nothing else."""

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
"""Thin events tell changes apart that share one snapshot type (`….past_due`, `….entitlement_added`)."""

HANDLED_TYPES = tuple(HANDLED)
"""What a webhook endpoint has to be registered for."""


def type_groups() -> list[list[str]]:
    """The handled types, as Stripe's list of events takes them."""
    return [list(HANDLED_TYPES[n : n + TYPES_A_CALL]) for n in range(0, len(HANDLED_TYPES), TYPES_A_CALL)]


def is_handled(event: Envelope) -> bool:
    """Whether its type is one that can concern us, whatever it is about."""
    name = event.type.removeprefix(_THIN)
    if not event.thin:
        return event.type in HANDLED
    return event.type.startswith(_THIN) and (name in HANDLED or name.startswith(_THIN_FAMILIES))


def signal(event: Envelope) -> EventContent:
    """What an event points at and says; for what does not concern us an empty one (`handled` is false)."""
    if event.thin:
        return _thin(event)
    find = HANDLED.get(event.type)
    if find is None:
        return EventContent()
    if find is _prices:
        return EventContent(prices=True)
    obj: Json = event.object
    refs = tuple(find(obj))
    if event.type == "customer.deleted":
        obj = {**obj, "deleted": True}  # The event carries the customer as it was.
    if event.type == "customer.subscription.deleted" and str(obj.get("status")) not in TERMINAL:
        obj = {**obj, "status": "canceled"}  # What was deleted is over, whatever else an old version says of it.
    news = translate.payment_news(obj) if refs and find is _payment else None
    read = translate.KINDS.get(str(obj.get("object"))) if find not in (_invoice, _payment) else None
    facts = read(obj) if read and refs else None
    if facts is None:
        return EventContent(refs, news=news)
    paid_at = event.created if facts.payment is not None and facts.source is not None else None
    if paid_at is not None:
        facts = translate.session(obj, paid_at=paid_at)
    previous = fingerprints.previous(refs[0].kind, event.previous_attributes)
    return EventContent(refs, facts=facts, previous=previous, paid_at=paid_at)


def _thin(event: Envelope) -> EventContent:
    """A thin event names its object, and says nothing of it."""
    if not is_handled(event):
        return EventContent()
    name = event.type.removeprefix(_THIN)
    if name.startswith(("price.", "product.")):
        return EventContent(prices=True)
    kind, related = event.related or ("", "")
    point = RELATED.get(kind)
    return EventContent((point(related),)) if point and text(related) else EventContent()
