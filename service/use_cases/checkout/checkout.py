"""Open a Checkout page at Stripe: the price, the parameters of the session, and the URL to return to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import blake2b
from secrets import token_hex
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from service.adapters.stripe.gateway import Gateway
from service.domain.catalogue import Catalogue, Plan
from service.domain.errors import NoSuchObject, NotForSale
from service.domain.prices import PriceTag
from service.use_cases.checkout.price_cache import PriceCache

MOST_SEATS = 1_000
_DEFAULT_PORTS = {"http": 80, "https": 443}
_TRIES = 25
"""Paid or expired sessions of one reader, price and page that a new session steps over; Stripe keeps their keys for a day."""


def choose_price(catalogue: Catalogue, *, plan: str | None, price: str | None, prices: PriceCache | None = None) -> str:
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


def _only_price(catalogue: Catalogue, name: str, prices: PriceCache | None) -> str:
    plan = catalogue.plans.get(name)
    if plan is None:
        raise NotForSale("plan", f"there is no such plan; there are {', '.join(catalogue.plans)}")
    choice = plan.prices or tuple(tag.id for tag in (prices.list_prices(plan) if prices else ()))
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


def open_checkout(
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
        opened = gateway.create_checkout_session(params, _key("checkout", params, number))
        if opened.url is not None:
            return opened.url
    opened = gateway.create_checkout_session(params, token_hex(16))
    if opened.url is None:
        raise NoSuchObject
    return opened.url


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
        return is_plain_url(return_url) and _origin(parts) in origins and "@" not in parts.netloc
    except ValueError:
        return False


def _origin(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
