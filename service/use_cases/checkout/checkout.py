"""Sell plans through Stripe: who may buy what, Checkout and portal sessions, and what a session led to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from service.adapters.redis.readers.readers import Readers
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
from service.domain.sources import External, Source, Standing, Subscription
from service.domain.stripe_facts import ObjectRef
from service.settings.validation import origin_of
from service.use_cases.checkout.price_cache import PriceCache

if TYPE_CHECKING:
    from service.adapters.stripe.gateway import Gateway

MOST_SEATS = 1_000
_TRIES = 25
"""Paid or expired sessions of one reader, price and page that a new session steps over; Stripe keeps their keys for a day."""
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
        name = choose_price(self._catalogue, plan=plan, price=price, prices=self._prices)
        if plan is not None:
            self._refuse_holder(reader, self._catalogue.plans[plan], now)
        gateway = self._stripe()
        tag = self._prices.find(name)
        if tag is None:
            raise NotForSale("price", "Stripe does not know this price")
        sold = find_sold_plan(self._catalogue, tag)
        self._refuse_holder(reader, sold, now)
        customer = next(iter(self._readers.list_customers(self._readers.resolve_merged(reader))), None)
        return open_checkout_page(
            gateway,
            reader=reader,
            tag=tag,
            plan=sold,
            return_url=lowercase_origin(return_url),
            customer=customer,
            check_customer=lambda payer: self._refuse_new_holder(gateway, reader, sold, payer, now),
        )

    def has_portal(self, reader: str) -> bool:
        """Return whether `open_portal` has a customer of this reader to open the portal for."""
        return self._gateway is not None and bool(self._readers.list_customers(self._readers.resolve_merged(reader)))

    def open_portal(self, reader: str, return_url: str) -> str:
        """Return the address of a portal page. Raises: `NoCustomer`."""
        customers = self._readers.list_customers(self._readers.resolve_merged(reader))
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
        settled = [self._refresh(ref.name, now, "checkout") for ref in bought]
        return all(settled)

    def order_mistakes(self, order: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what is wrong with an order as it came, beside what its schema finds."""
        wrong = self.return_url_mistakes(order)
        plan, price = order.get("plan"), order.get("price")
        if isinstance(plan, str | None) and isinstance(price, str | None):
            try:
                choose_price(self._catalogue, plan=plan, price=price, prices=self._prices)
            except NotForSale as error:
                wrong += error.errors
        return wrong

    def return_url_mistakes(self, order: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return why Stripe may not lead back to the order's `return_url`."""
        url = order.get("return_url")
        if not isinstance(url, str):
            return []
        if not is_plain_url(url):
            message = "must be a plain address: percent-encoded where not ASCII, blank, quote, brace or backslash"
            return [("return_url", message)]
        if not is_on_origin(url, self._catalogue.origins):
            places = ", ".join(self._catalogue.origins) or "(none is configured)"
            return [("return_url", f"must be an address on one of site.origins: {places}")]
        return []

    def _stripe(self) -> Gateway:
        if self._gateway is None:
            raise StripeUnavailable("no_key")
        return self._gateway

    def _refuse_holder(self, reader: str, plan: Plan, now: float) -> None:
        """Raises: `AlreadySubscribed` for a running subscription of Stripe or another provider; nothing else prevents it."""
        for kept in self._readers.load_active(self._readers.resolve_merged(reader)):
            source = kept.source
            is_paid = isinstance(source, External) or (
                isinstance(source, Subscription) and source.role == "subscription"
            )
            if source is not None and is_paid and self._holds(source, plan, now):
                raise AlreadySubscribed(plan.name)

    def _refuse_new_holder(self, gateway: Gateway, reader: str, plan: Plan, payer: str, now: float) -> None:
        """Do the same where no webhook has come yet: a reader who has just paid and clicks again would pay twice."""
        running = [
            facts
            for facts in gateway.list_customer_subscriptions(payer)
            if isinstance(facts.source, Subscription) and self._holds(facts.source, plan, now)
        ]
        for one in running:
            self._refresh(one.ref.name, now, "checkout")
        if running:
            self._refuse_holder(reader, plan, now)

    def _holds(self, source: Source, plan: Plan, now: float) -> bool:
        holdings = source.holdings(self._catalogue)
        return any(one.plan == plan.id and one.standing_at(now) in RUNNING for one in holdings)


def choose_price(catalogue: Catalogue, *, plan: str | None, price: str | None, prices: PriceCache) -> str:
    """Return the price to sell: its ID, or its name in the configuration. Raises: NotForSale.

    `prices` knows the prices of a plan that has only products.
    """
    if (plan is None) == (price is None):
        raise NotForSale("plan", "give either plan or price")
    if plan is not None:
        return _only_price(catalogue, plan, prices)
    assert price is not None
    by_product = any(sold.products for sold in catalogue.plans.values())
    if not by_product and catalogue.plan_for(price, price, None) is None:
        raise NotForSale("price", "no plan has this price")
    return price  # Only Stripe knows the prices of a product.


def _only_price(catalogue: Catalogue, name: str, prices: PriceCache) -> str:
    plan = catalogue.plans.get(name)
    if plan is None:
        raise NotForSale("plan", f"there is no such plan; there are {', '.join(catalogue.plans)}")
    choice = plan.prices or tuple(tag.id for tag in prices.list_prices(plan))
    if len(choice) > 1:
        raise NotForSale("price", f"this plan has several prices, name one of {', '.join(choice)}")
    if not choice and plan.products:
        raise NotForSale("price", "this plan has no price of its own, name one of its product's")
    if not choice:
        raise NotForSale("plan", "this plan is not for sale")
    return choice[0]


def find_sold_plan(catalogue: Catalogue, tag: PriceTag) -> Plan:
    """Return the plan that this price buys. Raises: NotForSale."""
    sold = catalogue.plan_for(tag.id, tag.lookup_key, tag.product)
    if sold is None:
        raise NotForSale("price", "no plan has this price")
    if not tag.active:
        raise NotForSale("price", "this price is no longer sold at Stripe")
    if not tag.recurring and not sold.pass_hours:
        raise NotForSale("price", "this price is paid once, and its plan has no pass_hours")
    return sold


def open_checkout_page(
    gateway: Gateway,
    *,
    reader: str,
    tag: PriceTag,
    plan: Plan,
    return_url: str,
    customer: str | None,
    check_customer: Callable[[str], None] = lambda customer: None,
) -> str:
    """Return the URL of a Checkout page. A repeat returns the same page until it is paid or expires.

    Without a `customer` of the reader, or where Stripe has deleted it, create one that carries the reader's ID. Call
    `check_customer` with the existing customer of a subscription before opening the page; a new one has bought nothing.
    """
    payer, is_new = (customer, False) if customer else _new_customer(gateway, reader)
    if tag.recurring and not is_new:
        check_customer(payer)
    try:
        return _open(gateway, checkout_params(reader, tag, plan, return_url, payer))
    except NoSuchObject:
        if customer is None:
            raise
    payer, _ = _new_customer(gateway, reader, instead_of=customer)
    return _open(gateway, checkout_params(reader, tag, plan, return_url, payer))


def checkout_params(reader: str, tag: PriceTag, plan: Plan, return_url: str, customer: str) -> dict[str, Any]:
    """Return the parameters of a session. Metadata holds the price of a single payment: a webhook carries no line items."""
    line: dict[str, Any] = {"price": tag.id, "quantity": 1}
    if plan.seats:
        line["adjustable_quantity"] = {"enabled": True, "minimum": 1, "maximum": MOST_SEATS}
    params: dict[str, Any] = {
        "mode": "subscription" if tag.recurring else "payment",
        "line_items": [line],
        "customer": customer,
        "client_reference_id": reader,
        "metadata": {"reader_id": reader},
        "success_url": with_session_id(return_url),
        "cancel_url": return_url,
    }
    if tag.recurring:
        params["subscription_data"] = {"metadata": {"reader_id": reader}}
    else:
        params["metadata"]["price_id"] = tag.id
    return params


def _open(gateway: Gateway, params: dict[str, Any]) -> str:
    """Open a session under a key made of its parameters and a number, which rises once that session is paid or expired."""
    for number in range(_TRIES):
        if url := gateway.create_checkout_session(params, _key("checkout", params, number)):
            return url
    if url := gateway.create_checkout_session(params, token_hex(16)):
        return url
    raise NoSuchObject


def _new_customer(gateway: Gateway, reader: str, instead_of: str | None = None) -> tuple[str, bool]:
    params = {"metadata": {"reader_id": reader}}
    return gateway.create_customer(params, _key("customer", params, instead_of))


def _key(what: str, params: dict[str, Any], more: object) -> str:
    """Return an idempotency key, hashed because Stripe shows keys in its logs."""
    text = json.dumps([what, params, more], sort_keys=True)
    return f"{what}-{blake2b(text.encode(), digest_size=16).hexdigest()}"


def with_session_id(return_url: str) -> str:
    """Return the URL to return to after paying, with a `session_id` that Stripe fills in; an older one is replaced."""
    parts = urlsplit(return_url)
    kept = [pair for pair in parts.query.split("&") if pair and pair.split("=", 1)[0] != "session_id"]
    return urlunsplit(parts._replace(query="&".join([*kept, "session_id={CHECKOUT_SESSION_ID}"])))


def lowercase_origin(return_url: str) -> str:
    """Return the URL with scheme and host in lower case, because Stripe accepts no others."""
    parts = urlsplit(return_url)
    return urlunsplit(parts._replace(netloc=parts.netloc.lower()))


def is_plain_url(return_url: str) -> bool:
    """Return whether a URL has only characters that browsers and `urlsplit` read in the same way."""
    return return_url.isascii() and return_url.isprintable() and not set(return_url) & set(' \\{}<>"^`|')


def is_on_origin(return_url: str, origins: Sequence[str]) -> bool:
    """Return whether a URL is on one of the site's origins, as a browser understands it."""
    try:
        parts = urlsplit(return_url)
        return is_plain_url(return_url) and origin_of(parts) in origins and "@" not in parts.netloc
    except ValueError:
        return False
