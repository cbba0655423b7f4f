"""Selling: which price, with what parameters a Checkout page is opened, and where it may return to."""

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
"""Sessions of the same reader, price and page that may be paid or over, within the day that Stripe keeps their keys."""


def choose_price(catalogue: Catalogue, *, plan: str | None, price: str | None, prices: PriceCache | None = None) -> str:
    """The price that is meant: its id, or the word that the configuration has for it. Raises `NotForSale`.

    `prices`: to know what a plan costs that has products and no prices of its own.
    """
    if (plan is None) == (price is None):
        raise NotForSale("plan", "give either plan or price")
    if plan is not None:
        return _only_price(catalogue, plan, prices)
    assert price is not None
    by_product = any(sold.products for sold in catalogue.plans.values())
    if not by_product and catalogue.plan_for(price, price, None) is None:
        raise NotForSale("price", "no plan has this price")
    return price  # Where a plan takes any price of a product, only Stripe knows which those are.


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
    """The plan that this price buys. Raises `NotForSale`."""
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
    look_at: Callable[[str], None] = lambda payer: None,
) -> str:
    """The address of a Checkout page. Whoever asks twice gets the same page, until it is paid or over.

    customer: the reader's at Stripe; without one, or where Stripe has it no more, one is made that carries the reader's
    id, so that whatever Stripe later does for this customer finds its reader. look_at: called with who pays by the
    month or the like, before there is a page; not with a customer just made, who has bought nothing.
    """
    payer, fresh = (customer, False) if customer else _new_customer(gateway, reader)
    if tag.recurring and not fresh:
        look_at(payer)
    try:
        return _open(gateway, checkout_params(reader, tag, plan, return_url, payer))
    except NoSuchObject:
        if customer is None:
            raise
    payer, _ = _new_customer(gateway, reader, instead_of=customer)
    return _open(gateway, checkout_params(reader, tag, plan, return_url, payer))


def checkout_params(reader: str, tag: PriceTag, plan: Plan, return_url: str, customer: str) -> dict[str, Any]:
    """What Stripe is asked for. The price of a single payment stands in the metadata: a webhook carries no line items."""
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
    """By a key made of everything that is asked for; its number rises once a session can no longer be paid on."""
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
    """An idempotency key; hashed, since Stripe shows keys in its logs."""
    said = json.dumps([what, params, more], sort_keys=True)
    return f"{what}-{blake2b(said.encode(), digest_size=16).hexdigest()}"


def with_session_id(return_url: str) -> str:
    """The address to return to after paying, with `session_id`, which Stripe fills in, in place of an older one."""
    parts = urlsplit(return_url)
    kept = [pair for pair in parts.query.split("&") if pair and pair.split("=", 1)[0] != "session_id"]
    return urlunsplit(parts._replace(query="&".join([*kept, "session_id={CHECKOUT_SESSION_ID}"])))


def lowercase_origin(return_url: str) -> str:
    """The same address with scheme and host in small letters: Stripe takes no others, and browsers mind neither."""
    parts = urlsplit(return_url)
    return urlunsplit(parts._replace(netloc=parts.netloc.lower()))


def is_plain_url(return_url: str) -> bool:
    """Whether an address is written in the characters of one. Browsers and `urlsplit` read all others differently, so
    that neither can vouch for the other."""
    return return_url.isascii() and return_url.isprintable() and not set(return_url) & set(' \\{}<>"^`|')


def is_on_origin(return_url: str, origins: Sequence[str]) -> bool:
    """Whether an address lies on one of the site's origins, as a browser would understand it."""
    try:
        parts = urlsplit(return_url)
        return is_plain_url(return_url) and _origin(parts) in origins and "@" not in parts.netloc
    except ValueError:
        return False


def _origin(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
