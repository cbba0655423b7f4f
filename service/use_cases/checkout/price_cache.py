"""Cache of Stripe prices for the upsell box: a thread reads them from Stripe, and no request waits for that."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING

from service.adapters.background_thread import BackgroundThread
from service.domain.catalogue import Catalogue, Plan
from service.domain.errors import StripeFailure, StripeUnavailable
from service.domain.prices import PriceTag

if TYPE_CHECKING:
    from service.adapters.stripe.gateway import Gateway

LONGEST_AGE = 3_600.0
"""Seconds after which prices are read again, even without an event."""
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0
"""Seconds to wait after a failure; the pause doubles up to the longest."""


class PriceCache(BackgroundThread):
    """The configured prices as Stripe has them. The cache is empty without a gateway, and until Stripe has answered."""

    def __init__(self, gateway: Gateway | None, catalogue: Catalogue) -> None:
        super().__init__("prices", self._keep_fresh)
        self._gateway, self._catalogue = gateway, catalogue
        self._tags: Mapping[str, PriceTag] = {}
        self._of_product: Mapping[str, tuple[PriceTag, ...]] = {}
        self._pause = FIRST_PAUSE

    def tags(self) -> Mapping[str, PriceTag]:
        """Return the prices by their name in the configuration, which is an ID or a lookup key."""
        return self._tags

    def list_prices(self, plan: Plan) -> tuple[PriceTag, ...]:
        """Return a plan's active prices in the order of the configuration, other prices of its products last."""
        named = [self._tags[word] for word in plan.prices if word in self._tags]
        others = [tag for product in plan.products for tag in self._of_product.get(product, ())]
        bought = [tag for tag in others if self._catalogue.plan_for(tag.id, tag.lookup_key, tag.product) == plan]
        found = {tag.id: tag for tag in (*named, *bought) if tag.active}
        return tuple(found.values())

    def find(self, word: str) -> PriceTag | None:
        """Return a price by its ID or lookup key; read it from Stripe if it is not cached. Raises as the gateway does."""
        if word in self._tags:
            return self._tags[word]
        for tag in chain(self._tags.values(), *self._of_product.values()):
            if word in (tag.id, tag.lookup_key):
                return tag
        if self._gateway is None:
            raise StripeUnavailable("no_key")
        return self._gateway.find_prices([word], patience="click").get(word)

    def refresh(self) -> None:
        """Read all prices now. Raises as the gateway does, and then keeps the prices of before."""
        if self._gateway is None:
            return
        plans = self._catalogue.plans.values()
        tags = self._gateway.find_prices([word for plan in plans for word in plan.prices])
        products = {product for plan in plans for product in plan.products}
        self._of_product = {product: tuple(self._gateway.list_active_prices(product)) for product in sorted(products)}
        self._tags = tags

    def request_refresh(self) -> None:
        """Read the prices again soon, because a price or a product changed at Stripe; after a failure, when its pause ends."""
        if self._pause == FIRST_PAUSE:
            self.wake()

    def start(self) -> None:
        """Start the thread that reads prices, if there is a gateway."""
        if self._gateway is not None:
            super().start()

    def _keep_fresh(self) -> float:
        try:
            self.refresh()
        except StripeFailure:  # The upsell box shows the last known prices until the next try.
            pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
            return pause
        self._pause = FIRST_PAUSE
        return LONGEST_AGE
