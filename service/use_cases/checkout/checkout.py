"""Sell plans through Stripe: who may buy what, Checkout and portal sessions, and what a session led to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.stripe_objects.objects import Objects
from service.domain.catalogue import Catalogue, Plan
from service.domain.errors import (
    AlreadySubscribed,
    InvalidFields,
    NoCustomer,
    NoSuchObject,
    StripeUnavailable,
    UnknownSession,
)
from service.domain.prices import PriceTag
from service.domain.sources import LIVE, Source, Subscription
from service.domain.stripe_facts import ObjectRef
from service.use_cases.checkout.checkout_session import (
    Order,
    Sale,
    address_mistakes,
    lowercase_origin,
    open_checkout_page,
)
from service.use_cases.checkout.price_cache import PriceCache
from service.use_cases.checkout.trials import Trials

if TYPE_CHECKING:
    from service.adapters.stripe.gateway import Gateway

PREVENTING = frozenset({"subscription", "external"})
"""Types of running sources that prevent buying their plan again; a pass, a gift, a seat or a grant does not."""
Refresh = Callable[[str, float, str], bool]
"""Reads an object of Stripe's by its name, and returns whether everything that follows from it is in force."""


@dataclass(frozen=True)
class Purchases:
    """Sells the catalogue's plans through Stripe. Raises: `StripeUnavailable`, `StripeRefused`, `StoreUnavailable`."""

    catalogue: Catalogue
    readers: Readers
    objects: Objects
    gateway: Gateway | None
    prices: PriceCache
    trials: Trials
    refresh: Refresh

    def open_checkout(self, order: Order, now: float) -> str:
        """Return the address of a Checkout page. Raises: `InvalidFields`, `AlreadySubscribed`."""
        name = choose_price(self.catalogue, plan=order.plan, price=order.price, prices=self.prices)
        if order.plan is not None:
            self._refuse_holder(order.reader, self.catalogue.plans[order.plan], now)
        gateway = self._stripe()
        tag = self.prices.find(name)
        if tag is None:
            raise InvalidFields([("price", "Stripe does not know this price")])
        sold = find_sold_plan(self.catalogue, tag)
        if wrong := _quantity_mistake(order.quantity, sold):
            raise InvalidFields([("quantity", wrong)])
        self._refuse_holder(order.reader, sold, now)
        customer = next(iter(self._customers(order.reader)), None)
        sale = Sale(order, tag, sold, self.catalogue.checkout, self.catalogue.reader_metadata[0])
        return open_checkout_page(gateway, sale, customer, partial(self._review, gateway, sale, now))

    def has_portal(self, reader: str) -> bool:
        """Return whether `open_portal` has a customer of this reader to open the portal for."""
        return self.gateway is not None and bool(self._customers(reader))

    def open_portal(self, reader: str, return_url: str) -> str:
        """Return the address of a portal page. Raises: `NoCustomer`."""
        customers = self._customers(reader)
        if not customers:
            raise NoCustomer
        gateway = self._stripe()
        for customer in customers:
            try:
                return gateway.create_portal_session(customer, lowercase_origin(return_url))
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
        settled = [self.refresh(ref.name, now, "checkout") for ref in bought]
        return all(settled)

    def order_mistakes(self, order: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what is wrong with an order as it came, beside what its schema finds."""
        wrong = self.address_mistakes(order)
        plan, price, quantity = order.get("plan"), order.get("price"), order.get("quantity")
        if isinstance(plan, str | None) and isinstance(price, str | None):
            try:
                choose_price(self.catalogue, plan=plan, price=price, prices=self.prices)
            except InvalidFields as error:
                wrong += error.errors
        named = self.catalogue.plans.get(plan) if isinstance(plan, str) else None
        sold = named or (self.catalogue.plan_for(price, price, None) if isinstance(price, str) else None)
        if sold is not None and (message := _quantity_mistake(quantity, sold)):
            wrong.append(("quantity", message))
        return wrong

    def address_mistakes(self, order: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return why Stripe may not lead back to the addresses of a request."""
        return address_mistakes(order, self.catalogue.origins)

    def _stripe(self) -> Gateway:
        if self.gateway is None:
            raise StripeUnavailable("no_key")
        return self.gateway

    def _customers(self, reader: str) -> list[str]:
        """Return the reader's customers, without those that were deleted at Stripe."""
        found = self.readers.list_customers(self.readers.resolve_merged(reader))
        customers = self.objects.load_all([f"customer:{customer}" for customer in found])
        return [customer.ref.id for customer in customers if not customer.is_deleted]

    def _refuse_holder(self, reader: str, plan: Plan, now: float) -> None:
        """Raises: `AlreadySubscribed` if a source that prevents a purchase gives the plan now."""
        sources = self.readers.load_active(self.readers.resolve_merged(reader))
        if any(self._prevents_purchase(source, plan, now) for source in sources):
            raise AlreadySubscribed(plan.name, has_seats=plan.seats)

    def _review(self, gateway: Gateway, sale: Sale, now: float, payer: str | None) -> int | None:
        """Return the days of trial. Raises: `AlreadySubscribed`.

        Stripe's list shows what no webhook has brought yet: a reader who has just paid and clicks again would pay twice, and
        one who has just ended a trial would get another. Each such subscription is read first, which finds its owner.
        """
        reader, plan = sale.order.reader, sale.plan
        if not sale.tag.recurring:
            return None
        bought = gateway.list_customer_subscriptions(payer) if payer else []
        sources = {
            facts.ref.name: facts.source
            for facts in bought
            if isinstance(facts.source, Subscription)
            and any(one.plan == plan.id for one in facts.source.holdings(self.catalogue))
        }
        running = [name for name, source in sources.items() if self._prevents_purchase(source, plan, now)]
        self._refresh_all(running, now)
        if running:
            self._refuse_holder(reader, plan, now)
        if plan.trial_days is None or self.trials.has_held(reader, plan.id):
            return None
        ended = [name for name, source in sources.items() if source.has_started and name not in running]
        self._refresh_all(ended, now)
        return None if ended and self.trials.has_held(reader, plan.id) else plan.trial_days

    def _refresh_all(self, names: Sequence[str], now: float) -> None:
        for name in names:
            self.refresh(name, now, "checkout")

    def _prevents_purchase(self, source: Source, plan: Plan, now: float) -> bool:
        held = [one for one in source.holdings(self.catalogue) if one.plan == plan.id]
        return any(one.type in PREVENTING and one.standing_at(now) in LIVE for one in held)


def _quantity_mistake(quantity: object, plan: Plan) -> str | None:
    return None if quantity is None or plan.seats else "can only be given for a plan with seats"


def choose_price(catalogue: Catalogue, *, plan: str | None, price: str | None, prices: PriceCache) -> str:
    """Return the price to sell: its ID, or its name in the configuration. Raises: InvalidFields.

    `prices` knows the prices of a plan that has only products.
    """
    if plan is not None and price is not None:
        raise InvalidFields([("plan", "leave it out: price names the plan")])
    if plan is not None:
        return _only_price(catalogue, plan, prices)
    if price is None:
        raise InvalidFields([("plan", "give plan or price")])
    by_product = any(sold.products for sold in catalogue.plans.values())
    if not by_product and catalogue.plan_for(price, price, None) is None:
        raise InvalidFields([("price", "no plan has this price")])
    return price  # Only Stripe knows the prices of a product.


def _only_price(catalogue: Catalogue, name: str, prices: PriceCache) -> str:
    plan = catalogue.plans.get(name)
    if plan is None:
        raise InvalidFields([("plan", f"there is no such plan; there are {', '.join(catalogue.plans)}")])
    choice = plan.prices or tuple(tag.id for tag in prices.list_prices(plan))
    if len(choice) > 1:
        raise InvalidFields([("price", f"give it instead of plan, which has several: {', '.join(choice)}")])
    if not choice and plan.products:
        raise InvalidFields([("price", "this plan has no price of its own, name one of its product's")])
    if not choice:
        raise InvalidFields([("plan", "this plan is not for sale")])
    return choice[0]


def find_sold_plan(catalogue: Catalogue, tag: PriceTag) -> Plan:
    """Return the plan that this price buys. Raises: InvalidFields."""
    sold = catalogue.plan_for(tag.id, tag.lookup_key, tag.product)
    if sold is None:
        raise InvalidFields([("price", "no plan has this price")])
    if not tag.active:
        raise InvalidFields([("price", "this price is no longer sold at Stripe")])
    if not tag.recurring and not sold.pass_hours:
        raise InvalidFields([("price", "this price is paid once, and its plan has no pass_hours")])
    return sold
