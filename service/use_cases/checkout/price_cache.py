"""The prices that the upsell box shows: asked of Stripe in the background, kept in the process, never waited for."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType

from service.adapters.stripe.gateway import Gateway
from service.domain.catalogue import Catalogue, Plan
from service.domain.errors import StripeFailure, StripeUnavailable
from service.domain.prices import PriceTag

LONGEST_AGE = 3_600.0
"""Seconds after which they are asked for again, also without an event."""
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0
"""Seconds after a failure; it doubles up to the longest."""


class Prices:
    """What Stripe says of the configured prices. Without a gateway, or until it has answered: nothing.

    `changed()` is for price and product events; `start()` begins asking, `stop()` ends it.
    """

    def __init__(self, gateway: Gateway | None, catalogue: Catalogue) -> None:
        self._gateway, self._catalogue = gateway, catalogue
        self._tags: Mapping[str, PriceTag] = MappingProxyType({})
        self._of_product: Mapping[str, tuple[PriceTag, ...]] = MappingProxyType({})
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def tags(self) -> Mapping[str, PriceTag]:
        """By the word that the configuration has: a price's id or its lookup key."""
        return self._tags

    def of(self, plan: Plan) -> tuple[PriceTag, ...]:
        """What the plan can be bought for now, in the order of the configuration; its products' other prices last."""
        named = [self._tags[word] for word in plan.prices if word in self._tags]
        others = [
            tag for product in plan.products for tag in self._of_product.get(product, ()) if self._buys(tag, plan)
        ]
        found = {tag.id: tag for tag in (*named, *others) if tag.active}
        return tuple(found.values())

    def find(self, word: str) -> PriceTag | None:
        """A price by id or lookup key, asked for now where it is not known yet. Raises as the gateway does."""
        known = self._tags.get(word) or next((tag for tag in self._all() if word in (tag.id, tag.lookup_key)), None)
        if known is not None:
            return known
        if self._gateway is None:
            raise StripeUnavailable("no_key")
        return self._gateway.prices([word], patience="click").get(word)

    def refresh(self) -> None:
        """Ask now. Raises as the gateway does, and then keeps what was known."""
        if self._gateway is None:
            return
        plans = self._catalogue.plans.values()
        tags = self._gateway.prices([word for plan in plans for word in plan.prices])
        products = {product for plan in plans for product in plan.products}
        self._of_product = {product: tuple(self._gateway.prices_of(product)) for product in sorted(products)}
        self._tags = MappingProxyType(tags)

    def changed(self) -> None:
        """A price or a product has changed at Stripe; asked for again soon."""
        self._wake.set()

    def start(self) -> None:
        """Begin asking, in a thread that ends with the process."""
        if self._gateway is not None and self._thread is None:
            self._thread = threading.Thread(target=self._keep_fresh, name="prices", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the asking, and wait for a request that is under way."""
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _keep_fresh(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            self._wake.clear()
            try:
                self.refresh()
            except StripeFailure:  # The upsell box shows the last known prices until the next try.
                self._stopped.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
                self._wake.wait(LONGEST_AGE)

    def _all(self) -> list[PriceTag]:
        return [*self._tags.values(), *(tag for tags in self._of_product.values() for tag in tags)]

    def _buys(self, tag: PriceTag, plan: Plan) -> bool:
        return self._catalogue.plan_for(tag.id, tag.lookup_key, tag.product) == plan
