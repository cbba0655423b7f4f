"""`python -m demo.past`: before the service starts, store and look-alike of Stripe get a month to look back on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import requests

from demo.sample_month import fill
from service.bootstrap import Service
from service.entrypoints.cli import context as session
from stripe_lookalike.domain.customers import BAD, GOOD
from stripe_lookalike.shapes import blank

_WITHIN = 10.0
_CENTS = 500
_MONTHLY = {
    "interval": "month",
    "interval_count": 1,
    "meter": None,
    "trial_period_days": None,
    "usage_type": "licensed",
}


def tell(stripe: str, asking: requests.Session, subscription: dict[str, Any]) -> None:
    """Gives a subscription, and who pays for it, to the look-alike at this address; it lives on there."""
    for known in (*_who_pays(subscription), *_products(subscription), _whole(subscription)):
        body = {"object": known, "live": True}
        asking.post(f"{stripe}/_lookalike/object", json=body, timeout=_WITHIN).raise_for_status()


def _who_pays(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A customer with a card: one that pays, unless the last payment failed."""
    name, created = told["customer"], told["created"]
    card = blank("payment_method", id=name.replace("cus_", "pm_"), created=created, customer=name)
    card["card"]["last4"] = BAD if told["status"] == "past_due" else GOOD
    customer = blank("customer", id=name, created=created, metadata=told["metadata"])
    customer["invoice_settings"]["default_payment_method"] = card["id"]
    customer["invoice_prefix"] = name.removeprefix("cus_").upper()
    yield from (card, customer)


def _products(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in told["items"]["data"]:
        product, created = item["price"]["product"], told["created"]
        name = product.removeprefix("prod_").replace("_", " ").capitalize()
        yield blank("product", id=product, name=name, created=created, updated=created)


def _whole(told: dict[str, Any]) -> dict[str, Any]:
    """The subscription with all the fields that Stripe sends."""
    rows = [
        blank("subscription_item", **{**item, "subscription": told["id"], "price": _price(item["price"])})
        for item in told["items"]["data"]
    ]
    items = {**told["items"], "data": rows, "total_count": len(rows), "url": "/v1/subscription_items"}
    created = told["created"]
    return blank("subscription", **{"billing_cycle_anchor": created, "start_date": created, **told, "items": items})


def _price(told: dict[str, Any]) -> dict[str, Any]:
    return blank("price", **told, type="recurring", recurring=_MONTHLY, unit_amount=_CENTS, unit_amount_decimal="500")


def remember(service: Service) -> None:
    """Fills the store of a service, and the Stripe that it asks, if any, with the month before now."""
    base = service.settings.stripe_api_base
    with requests.Session() as asking:
        asking.trust_env = False  # our own address on this machine: no proxy of the environment stands before it
        fill(service, service.clock(), partial(tell, base, asking) if base is not None else None)


if __name__ == "__main__":
    with session.service() as service:
        remember(service)
