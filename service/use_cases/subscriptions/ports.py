"""What the processor needs of the package that talks to Stripe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from service.adapters.stripe.transport import Patience
from service.adapters.stripe.webhook import Envelope
from service.domain.stripe_facts import ObjectRef, PaymentRef, StripeFacts


class Gateway(Protocol):
    """Stripe, read. Every call raises `StripeUnavailable`, `StripeRefused` or `NoSuchObject` (`billing.errors`)."""

    def read(self, ref: ObjectRef, *, patience: Patience = "inline", paid_at: int | None = None) -> StripeFacts:
        """An object as it is now."""

    def resolve(self, ref: PaymentRef, *, patience: Patience = "inline") -> tuple[ObjectRef, ...]:
        """What a payment or an invoice leads to."""

    def events_since(self, since: int | None) -> Iterator[Envelope]:
        """Handled events with `created` ≥ since, the oldest first; `None`: all that Stripe keeps."""

    def all_subscriptions(self) -> Iterator[StripeFacts]:
        """Every subscription, whatever its status."""

    def sessions(self, since: int) -> Iterator[StripeFacts]:
        """Completed Checkout sessions begun at `since` or later."""
