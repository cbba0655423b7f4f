"""The upsell box of each offer, with the prices of its plans at Stripe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.domain.catalogue import Catalogue, Offer, Tier
from service.domain.decision import NextStep
from service.domain.prices import PriceTag
from service.use_cases.checkout.price_cache import PriceCache


@dataclass(frozen=True, slots=True)
class OfferedPlan:
    """A plan in an upsell box."""

    id: str
    name: str
    prices: Sequence[PriceTag]


@dataclass(frozen=True, slots=True)
class OfferLink:
    """A link in an upsell box."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, eq=False)
class OfferBox:
    """What the upsell box shows. Boxes are shared by answers, and compared by identity."""

    id: str
    heading: str
    benefits: Sequence[str]
    button: str
    plans: Sequence[OfferedPlan]
    links: Sequence[OfferLink]


class OfferBoxes:
    """The boxes of one catalogue, built again when prices change at Stripe. Safe to call in every access check."""

    def __init__(self, catalogue: Catalogue, prices: PriceCache) -> None:
        self._catalogue = catalogue
        self._prices = prices
        self._tags: Mapping[str, PriceTag] | None = None
        self._boxes: Mapping[str, OfferBox] = {}

    def box_for(self, tier: Tier, steps: Sequence[NextStep]) -> OfferBox | None:
        """Return the box of a locked story by its tier and next steps; `None` if the configuration has no offer."""
        tags = self._prices.tags()
        if tags is not self._tags:
            self._boxes = {offer.id: self._box(offer) for offer in self._catalogue.offers.values()}
            self._tags = tags
        if tier.sign_in_offer is not None and steps and steps[0].step in ("sign_in", "verify"):
            return self._boxes[tier.sign_in_offer]
        offer = self._catalogue.offer_for(tier)
        return self._boxes[offer.id] if offer is not None else None

    def _box(self, offer: Offer) -> OfferBox:
        plans = [self._catalogue.plans[name] for name in offer.plans]
        return OfferBox(
            id=offer.id,
            heading=offer.heading,
            benefits=[self._catalogue.features[name] for name in offer.benefits],
            button=offer.button,
            plans=[OfferedPlan(plan.id, plan.name, self._prices.list_prices(plan)) for plan in plans],
            links=[OfferLink(text, url) for text, url in offer.links],
        )
