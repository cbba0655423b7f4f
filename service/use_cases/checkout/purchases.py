"""Open Checkout and portal sessions for readers who may buy, and settle what a session led to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from service.adapters.redis.readers.readers import Readers
from service.adapters.stripe.gateway import Gateway
from service.domain.catalogue import Catalogue, Plan
from service.domain.errors import (
    AlreadySubscribed,
    NoCustomer,
    NoSuchObject,
    NotForSale,
    StripeUnavailable,
    UnknownSession,
)
from service.domain.prices import PriceTag
from service.domain.sources import Standing, Subscription
from service.domain.stripe_facts import ObjectRef
from service.use_cases.checkout import checkout
from service.use_cases.checkout.price_cache import PriceCache

RUNNING = (Standing.GOOD, Standing.GRACE)
Refresh = Callable[[str, float, str], bool]
"""Reads an object of Stripe's by its name, and returns whether everything that follows from it is in force."""


class Purchases:
    """Sells the catalogue's plans through Stripe. Raises: `StripeUnavailable`, `StripeRefused`, `StoreUnavailable`."""

    def __init__(
        self, catalogue: Catalogue, readers: Readers, gateway: Gateway | None, prices: PriceCache, refresh: Refresh
    ) -> None:
        self._catalogue = catalogue
        self._readers = readers
        self._gateway = gateway
        self._prices = prices
        self._refresh = refresh

    def open_checkout(self, reader: str, plan: str | None, price: str | None, return_url: str, now: float) -> str:
        """Return the address of a Checkout page. Raises: `NotForSale`, `AlreadySubscribed`.

        `return_url` has passed `return_url_mistakes`.
        """
        word = checkout.choose_price(self._catalogue, plan=plan, price=price, prices=self._prices)
        if plan is not None:
            self._refuse_holder(reader, self._catalogue.plans[plan], now)
        gateway = self._stripe()
        tag = self._tag(word)
        sold = checkout.find_sold_plan(self._catalogue, tag)
        self._refuse_holder(reader, sold, now)
        customer = next(iter(self._readers.list_customers(self._readers.resolve_merged(reader))), None)
        return checkout.open_checkout(
            gateway,
            reader=reader,
            tag=tag,
            plan=sold,
            return_url=checkout.lowercase_origin(return_url),
            customer=customer,
            check_customer=lambda payer: self._refuse_new_holder(gateway, reader, sold, payer, now),
        )

    def open_portal(self, reader: str, return_url: str) -> str:
        """Return the address of a portal page. Raises: `NoCustomer`."""
        customers = self._readers.list_customers(self._readers.resolve_merged(reader))
        if not customers:
            raise NoCustomer
        gateway = self._stripe()
        for customer in customers:
            try:
                return gateway.create_portal_session(customer, checkout.lowercase_origin(return_url))
            except NoSuchObject:
                continue
        raise NoCustomer

    def settle(self, session: str, now: float) -> bool:
        """Read a Checkout session and what it led to; return whether all of it is in force.

        The session comes first, because it names the owner of the rest. Raises: `UnknownSession`, so that nothing is
        stored for invented ones.
        """
        try:
            facts = self._stripe().read_object(ObjectRef("session", session))
        except NoSuchObject:
            raise UnknownSession from None
        bought = [facts.ref, *([ObjectRef("subscription", facts.subscription)] if facts.subscription else [])]
        settled = [self._refresh(ref.text, now, "checkout") for ref in bought]
        return all(settled)

    def order_mistakes(self, order: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what is wrong with an order as it came, beside what its schema finds."""
        wrong = self.return_url_mistakes(order)
        plan, price = order.get("plan"), order.get("price")
        if isinstance(plan, str | None) and isinstance(price, str | None):
            try:
                checkout.choose_price(self._catalogue, plan=plan, price=price, prices=self._prices)
            except NotForSale as error:
                wrong += error.errors
        return wrong

    def return_url_mistakes(self, order: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return why Stripe may not lead back to the order's `return_url`."""
        url = order.get("return_url")
        if not isinstance(url, str):
            return []
        if not checkout.is_plain_url(url):
            message = "must be a plain address: percent-encoded where not ASCII, blank, quote, brace or backslash"
            return [("return_url", message)]
        if not checkout.is_on_origin(url, self._catalogue.origins):
            places = ", ".join(self._catalogue.origins) or "(none is configured)"
            return [("return_url", f"must be an address on one of site.origins: {places}")]
        return []

    def _stripe(self) -> Gateway:
        if self._gateway is None:
            raise StripeUnavailable("no_key")
        return self._gateway

    def _tag(self, word: str) -> PriceTag:
        tag = self._prices.find(word)
        if tag is None:
            raise NotForSale("price", "Stripe does not know this price")
        return tag

    def _refuse_holder(self, reader: str, plan: Plan, now: float) -> None:
        """Raises: `AlreadySubscribed` for a running subscription; a grant or a pass does not prevent a purchase."""
        for kept in self._readers.load_active(self._readers.resolve_merged(reader)):
            source = kept.source
            if isinstance(source, Subscription) and source.role == "subscription" and self._holds(source, plan, now):
                raise AlreadySubscribed(plan.name)

    def _refuse_new_holder(self, gateway: Gateway, reader: str, plan: Plan, payer: str, now: float) -> None:
        """Do the same where no webhook has come yet: a reader who has just paid and clicks again would pay twice."""
        running = [
            facts
            for facts in gateway.list_customer_subscriptions(payer)
            if isinstance(facts.source, Subscription) and self._holds(facts.source, plan, now)
        ]
        for one in running:
            self._refresh(one.ref.text, now, "checkout")
        if running:
            self._refuse_holder(reader, plan, now)

    def _holds(self, source: Subscription, plan: Plan, now: float) -> bool:
        holdings = source.holdings(self._catalogue)
        return any(one.plan == plan.id and one.standing_at(now) in RUNNING for one in holdings)
