"""Plans' prices for the upsell box, written out once each time that they change at Stripe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.domain.catalogue import Catalogue
from service.domain.prices import PriceTag
from service.use_cases.checkout.price_cache import Prices


class OfferPrices:
    """Plan → its prices as the contract has them. Called on the hot path: it only looks whether anything changed."""

    def __init__(self, catalogue: Catalogue, prices: Prices) -> None:
        self._catalogue = catalogue
        self._prices = prices
        self._seen: Mapping[str, PriceTag] | None = None
        self._written: Mapping[str, Sequence[Mapping[str, Any]]] = {}

    def __call__(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        tags = self._prices.tags()
        if tags is not self._seen:
            plans = self._catalogue.plans.values()
            self._written = {plan.id: [_price(tag) for tag in self._prices.of(plan)] for plan in plans}
            self._seen = tags
        return self._written


def _price(tag: PriceTag) -> dict[str, Any]:
    return {"id": tag.id, "amount": tag.amount, "currency": tag.currency, "interval": tag.interval}
