"""What Stripe tells about one object, in our words: the seam between the room that reads Stripe and the one that keeps it.

`service.billing` makes these from payloads and from answers of the API, in whatever shape they come; `service.store`
keeps them and gives every reader what is theirs. Times are epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from service.paywall.source import Pass, StripeEntitlements, Subscription

Kind = Literal["subscription", "session", "customer", "entitlements"]
"""What is kept by itself. Invoices, charges, refunds and disputes only point at one of these."""


@dataclass(frozen=True, slots=True)
class Ref:
    """Names one object that is kept. `entitlements` are named by their customer."""

    kind: Kind
    id: str

    @property
    def text(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Claims:
    """Everything in Stripe's object that says whose it is; `service.paywall.ownership` weighs them. Never an e-mail."""

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


@dataclass(frozen=True, slots=True)
class Told:
    """One object as Stripe tells it. `source` is what it gives whoever it belongs to; `None` if it can give nothing."""

    ref: Ref
    source: Subscription | Pass | StripeEntitlements | None
    customer: str | None
    claims: Claims
    created: int
    subscription: str | None = None
    """Of a session in mode subscription: which one it began; the session's claims count for it."""
    payment: Payment | None = None
    deleted: bool = False
    """Of a customer: its subscriptions are over, also when their own events never come."""
    terminal: bool = False
    """Nothing that comes later may revive it."""
    partial: bool = False
    """Of entitlements: the list was cut off and could not be read in full; it adds and never takes away."""
    quantity: int = 0
    """Of a subscription: seats that it pays for (the sum over items of plans with seats is taken by the store)."""
