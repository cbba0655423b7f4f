"""Stripe prices: as they are on sale, and what is kept of those that a reader's subscriptions had."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PriceTag:
    """A price at Stripe. `amount` in the currency's smallest unit; `None` where it has none (tiers, a free choice)."""

    id: str
    lookup_key: str | None
    amount: int | None
    currency: str
    interval: str | None
    """`day`, `week`, `month`, `year`, or several, such as `3 months`; `None`: paid once."""
    product: str | None
    active: bool

    @property
    def recurring(self) -> bool:
        return self.interval is not None


@dataclass(frozen=True, slots=True)
class HeldPrice:
    """A price that a reader's subscription had after it started: what is kept of it for good, so that no trial comes twice."""

    price: str
    lookup_key: str | None
    product: str | None
    subscription: str
    created: int
    """When the subscription was created (epoch seconds)."""
