"""What Stripe tells of one object, in our words: the seam between the room that reads Stripe and the one that keeps it.

`service.adapters.stripe` makes these from payloads and from answers of the API, in whatever shape they come;
`service.adapters.redis` keeps them and gives every reader what is theirs. Times are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from service.domain.sources import Pass, StripeEntitlements, Subscription

Kind = Literal["subscription", "session", "customer", "entitlements"]
"""What is kept by itself. Invoices, charges, refunds and disputes only point at one of these."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Names one object that is kept. `entitlements` are named by their customer."""

    kind: Kind
    id: str

    @property
    def text(self) -> str:
        return f"{self.kind}:{self.id}"


PaymentKind = Literal["intent", "charge", "refund", "dispute", "invoice"]


@dataclass(frozen=True, slots=True)
class PaymentRef:
    """Names what is not kept but leads to what is: a payment to its session, an invoice to its subscription.

    An intent leads there by what the store knows; the rest has to be asked of Stripe (`Gateway.resolve`).
    """

    kind: PaymentKind
    id: str

    @property
    def text(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class OwnerClaims:
    """Everything in Stripe's object that says whose it is; `service.domain.ownership` weighs them. Never an e-mail."""

    gift_recipient: str | None = None
    gift_pending: bool = False
    reader_id: str | None = None
    """Of the object's own metadata."""
    client_reference_id: str | None = None
    """Of a session; anybody can edit it in a Payment Link's URL."""


@dataclass(frozen=True, slots=True)
class Payment:
    """Of a one-time session: what was paid, and what has become of it."""

    intent: str | None
    amount: int
    refunded: int = 0
    disputed: bool = False
    """A dispute is open or lost. Inquiries, won and prevented ones do not count."""
    refunds: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Each refund told of: id → amount, Stripe's status. `refunded` and `disputed` are worked out from all these."""
    disputes: Mapping[str, str] = field(default_factory=dict)
    """Each dispute that was told of: id → Stripe's status."""
    charged_back: int = 0
    """The most that a charge of it said was refunded; counts for refunds that were not told of by themselves."""


@dataclass(frozen=True, slots=True)
class PaymentUpdate:
    """What one event says of a payment; `service.domain.payments` adds it to what is known, in any order."""

    what: Literal["charge", "refund", "dispute"]
    id: str
    intent: str | None
    """Which payment it is about; where only `charge` is known, the gateway finds the intent."""
    charge: str | None
    amount: int
    """Of a refund its amount, of a charge what was refunded in all, of a dispute 0."""
    status: str
    """Stripe's own word; of a charge it means nothing here."""


Fingerprint = Mapping[str, object]
"""Of one object, what tells two of its states apart (JSON values): what `service.domain.event_order` compares."""


@dataclass(frozen=True, slots=True)
class StripeFacts:
    """One object as Stripe tells it. `source` is what it gives whoever it belongs to; `None` if it can give nothing."""

    ref: ObjectRef
    source: Subscription | Pass | StripeEntitlements | None
    customer: str | None
    claims: OwnerClaims
    created: int
    subscription: str | None = None
    """Of a session in mode subscription: which one it began; the session's claims count for it."""
    payment: Payment | None = None
    deleted: bool = False
    """Of a customer: its subscriptions are over, also when their own events never come."""
    terminal: bool = False
    """Nothing that comes later may revive it; of a one-time session: it is paid, and never again unpaid."""
    partial: bool = False
    """A list in it was cut off: of entitlements, or the items of a subscription. It adds and never takes away."""
    quantity: int = 0
    """Of a subscription: seats that it pays for (the sum over items of plans with seats is taken by the store)."""
    fingerprint: Fingerprint = field(default_factory=dict)
    """For `service.domain.event_order`, should Stripe be out of reach when the next event comes."""


@dataclass(frozen=True, slots=True)
class EventContent:
    """What an event points at, and what its payload says, should Stripe be out of reach."""

    refs: tuple[ObjectRef | PaymentRef, ...] = ()
    facts: StripeFacts | None = None
    news: PaymentUpdate | None = None
    previous: Fingerprint = field(default_factory=dict)
    """`previous_attributes`, in the form of `StripeFacts.fingerprint`."""
    paid_at: int | None = None
    """Of a one-time session: this event says that it is paid, since this moment. The earliest one told counts."""
    prices: bool = False
    """The prices of the offer have to be asked for again."""

    @property
    def handled(self) -> bool:
        return bool(self.refs) or self.prices
