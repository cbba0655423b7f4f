"""Stripe prices as the upsell box shows them, and whether buying one is a subscription or a single payment."""

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
    """`day`, `week`, `month`, `year`; `None`: paid once."""
    product: str | None
    active: bool
    interval_count: int = 1
    """Of a quarterly price 3, with `month`."""

    @property
    def recurring(self) -> bool:
        return self.interval is not None
