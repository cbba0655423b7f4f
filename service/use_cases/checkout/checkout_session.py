"""Open a Checkout session at Stripe: its parameters, its customer, and the same page for a repeated request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from service.domain.catalogue import CheckoutPolicy, Plan
from service.domain.errors import NoSuchObject
from service.domain.prices import PriceTag
from service.settings.validation import origin_of

if TYPE_CHECKING:
    from service.adapters.stripe.gateway import Gateway

MOST_SEATS = 1_000
_TRIES = 25
"""Paid or expired sessions of one reader, price and page that a new session steps over; Stripe keeps their keys for a day."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a reader wants to buy, and how. Either `plan` or `price` names it; the addresses have passed `address_mistakes`."""

    reader: str
    return_url: str
    plan: str | None = None
    price: str | None = None
    cancel_url: str | None = None
    quantity: int | None = None
    locale: str | None = None
    currency: str | None = None
    promotion_code: str | None = None


@dataclass(frozen=True, slots=True)
class Sale:
    """An order with the price and the plan that it buys, and what the site's Checkout page asks for."""

    order: Order
    tag: PriceTag
    plan: Plan
    policy: CheckoutPolicy
    reader_key: str
    """The metadata key that names the reader."""

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata that names the reader, of a session, a subscription and a customer."""
        return {self.reader_key: self.order.reader}


Review = Callable[[str | None], int | None]
"""Takes the customer, `None` for one who has bought nothing; returns the days of trial, or raises if the reader cannot buy."""


def open_checkout_page(gateway: Gateway, sale: Sale, customer: str | None, review: Review) -> str:
    """Return the URL of a Checkout page. A repeat returns the same page until it is paid or expires.

    Without a `customer` of the reader, or where Stripe has deleted it, create one that carries the reader's ID. For a day
    Stripe repeats that response, also when that customer has been deleted. Raises: `InvalidFields` for what Stripe refuses.
    """
    payer, is_new = (customer, False) if customer else _new_customer(gateway, sale)
    trial_days = review(None if is_new else payer)
    while True:
        try:
            return _open(gateway, checkout_params(sale, payer, trial_days))
        except NoSuchObject:
            if is_new:
                raise
        payer, is_new = _new_customer(gateway, sale, instead_of=payer)


def checkout_params(sale: Sale, customer: str, trial_days: int | None = None) -> dict[str, Any]:
    """Return the parameters of a session. Metadata holds the price of a single payment: a webhook carries no line items."""
    order, tag = sale.order, sale.tag
    line: dict[str, Any] = {"price": tag.id, "quantity": order.quantity or 1}
    if sale.plan.seats:
        line["adjustable_quantity"] = {"enabled": True, "minimum": 1, "maximum": MOST_SEATS}
    params: dict[str, Any] = {
        "mode": "subscription" if tag.recurring else "payment",
        "line_items": [line],
        "customer": customer,
        "client_reference_id": order.reader,
        "metadata": sale.metadata,
        "success_url": with_session_id(lowercase_origin(order.return_url)),
        "cancel_url": lowercase_origin(order.cancel_url or order.return_url),
        **_options(sale),
    }
    if not tag.recurring:
        params["metadata"]["price_id"] = tag.id
        return params
    params["subscription_data"] = {"metadata": sale.metadata}
    if trial_days:
        params["subscription_data"]["trial_period_days"] = trial_days
    return params


def _options(sale: Sale) -> dict[str, Any]:
    """Return what the policy and the order ask for, and nothing for what they leave out.

    For tax and tax IDs Stripe wants to save what the reader enters with the customer; a new one has no address either.
    Stripe refuses a promotion code beside the field for one.
    """
    policy, order = sale.policy, sale.order
    updates = {"address": policy.automatic_tax or policy.tax_id_collection, "name": policy.tax_id_collection}
    wanted: dict[str, Any] = {
        "automatic_tax": {"enabled": True} if policy.automatic_tax else None,
        "tax_id_collection": {"enabled": True} if policy.tax_id_collection else None,
        "customer_update": {name: "auto" for name, needed in updates.items() if needed},
        "billing_address_collection": policy.billing_address_collection,
        "allow_promotion_codes": policy.allow_promotion_codes and order.promotion_code is None,
        "discounts": [{"promotion_code": order.promotion_code}] if order.promotion_code else None,
        "locale": order.locale or policy.locale,
        "currency": order.currency,
    }
    return {name: value for name, value in wanted.items() if value}


def _open(gateway: Gateway, params: dict[str, Any]) -> str:
    """Open a session under a key made of its parameters and a number, which rises once that session is paid or expired."""
    for number in range(_TRIES):
        if url := gateway.create_checkout_session(params, _key("checkout", params, number)):
            return url
    if url := gateway.create_checkout_session(params, token_hex(16)):
        return url
    raise NoSuchObject


def _new_customer(gateway: Gateway, sale: Sale, instead_of: str | None = None) -> tuple[str, bool]:
    params = {"metadata": sale.metadata}
    return gateway.create_customer(params, _key("customer", params, instead_of))


def _key(what: str, params: dict[str, Any], more: object) -> str:
    """Return an idempotency key, hashed because Stripe shows keys in its logs."""
    text = json.dumps([what, params, more], sort_keys=True)
    return f"{what}-{blake2b(text.encode(), digest_size=16).hexdigest()}"


def address_mistakes(order: Mapping[str, Any], origins: Sequence[str]) -> list[tuple[str, str]]:
    """Return why Stripe may not lead back to the order's `return_url` or `cancel_url`."""
    found = []
    for field in ("return_url", "cancel_url"):
        url = order.get(field)
        if isinstance(url, str) and not is_plain_url(url):
            message = "must be a plain address: percent-encoded where not ASCII, blank, quote, brace or backslash"
            found.append((field, message))
        elif isinstance(url, str) and not is_on_origin(url, origins):
            places = ", ".join(origins) or "(none is configured)"
            found.append((field, f"must be an address on one of site.origins: {places}"))
    return found


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
