"""What Stripe reports of one object, in the terms of this service.

`service.adapters.stripe` translates payloads and API responses of any version into these facts, and
`service.adapters.redis` stores them. Times are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from service.domain.payments import Payment, PaymentUpdate
from service.domain.sources import Pass, StripeEntitlements, Subscription

ObjectKind = Literal["subscription", "session", "customer", "entitlements"]
"""The objects that are stored. Invoices, charges, refunds and disputes only point at one of these."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """The name of a stored object. `entitlements` have the ID of their customer."""

    kind: ObjectKind
    id: str

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.id}"


PaymentKind = Literal["intent", "charge", "refund", "dispute", "invoice"]


@dataclass(frozen=True, slots=True)
class PaymentRef:
    """The name of an object that is not stored but leads to one: a payment to its session, an invoice to its subscription.

    The store knows where an intent leads; the others are resolved by `Gateway.resolve_payment`.
    """

    kind: PaymentKind
    id: str

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class OwnerClaims:
    """Everything in an object that names its owner, in the order of `service.domain.ownership`; never an email address."""

    gift_recipient: str | None = None
    gift_pending: bool = False
    reader_id: str | None = None
    """From the object's own metadata."""
    client_reference_id: str | None = None
    """From a session; anyone can edit it in the URL of a Payment Link."""


Fingerprint = Mapping[str, object]
"""The values (JSON) that distinguish two states of an object: `service.domain.event_order` compares them.

Metadata, under `metadata.` and its name, is in it as a digest, because it can be a reader's ID.
"""


@dataclass(frozen=True, slots=True)
class StripeFacts:
    """One object as Stripe reports it. `source` is what its owner holds by it; `None` if it grants nothing."""

    ref: ObjectRef
    source: Subscription | Pass | StripeEntitlements | None
    customer: str | None
    claims: OwnerClaims
    created: int
    subscription: str | None = None
    """Of a session in mode subscription: the one that it started; the session's claims count for it."""
    payment: Payment | None = None
    deleted: bool = False
    """Of a customer: its subscriptions are over, even if their own events never arrive."""
    terminal: bool = False
    """Nothing later may revive the object; of a one-time session: it is paid, and never unpaid again."""
    partial: bool = False
    """A list in it is cut off: entitlements, or items of a subscription. It adds to what is known and removes nothing."""
    quantity: int = 0
    """Of a subscription: the sum of its items' quantities."""
    fingerprint: Fingerprint = field(default_factory=dict)
    """Compared with the next event's, should Stripe be unavailable then."""


@dataclass(frozen=True, slots=True)
class EventContent:
    """What an event points at, and what its payload reports; the payload counts only while Stripe is unavailable."""

    refs: tuple[ObjectRef | PaymentRef, ...] = ()
    facts: StripeFacts | None = None
    payment_update: PaymentUpdate | None = None
    previous: Fingerprint = field(default_factory=dict)
    """`previous_attributes`, in the form of `StripeFacts.fingerprint`."""
    paid_at: int | None = None
    """Of a one-time session: the event reports a payment since this moment. The earliest such event counts."""
    prices: bool = False
    """The prices of the offer have to be read again."""

    @property
    def handled(self) -> bool:
        return bool(self.refs) or self.prices


def keep_known_parts(facts: StripeFacts, before: StripeFacts | None) -> StripeFacts:
    """Return the facts with what a payload leaves out: a list that is cut off adds to what is known, it removes nothing."""
    if before is None:
        return facts
    if isinstance(facts.source, Pass) and isinstance(before.source, Pass):
        return replace(facts, source=_keep_line_items(facts.source, before.source))
    if not facts.partial:
        return facts
    if isinstance(facts.source, StripeEntitlements) and isinstance(before.source, StripeEntitlements):
        keys = dict.fromkeys((*before.source.lookup_keys, *facts.source.lookup_keys))
        return replace(facts, source=replace(facts.source, lookup_keys=tuple(keys)))
    if isinstance(facts.source, Subscription) and isinstance(before.source, Subscription):
        named = {item.price for item in facts.source.items}
        kept = tuple(item for item in before.source.items if item.price not in named)
        return replace(facts, source=replace(facts.source, items=facts.source.items + kept))
    return facts


def _keep_line_items(source: Pass, before: Pass) -> Pass:
    """Return a pass with the line items that an earlier read found: a webhook carries none."""
    if (source.lookup_key, source.product) != (None, None) or source.price not in (None, before.price):
        return source
    return replace(
        source, price=before.price, lookup_key=before.lookup_key, product=before.product, others=before.others
    )
