"""`python -m service.demo.past`: before the service starts, store and look-alike of Stripe get a month to look back on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests

from service.cli import session
from service.demo.month import fill
from service.demo.stripe.shapes import blank

_WITHIN = 10.0
_CENTS = 500
_MONTHLY = {
    "interval": "month",
    "interval_count": 1,
    "meter": None,
    "trial_period_days": None,
    "usage_type": "licensed",
}


def tell(stripe: str, objects: Sequence[dict[str, Any]]) -> None:
    """Gives subscriptions to the look-alike at this address, so that it answers of them what the store holds."""
    with requests.Session() as asking:
        asking.trust_env = False  # our own address on this machine: no proxy of the environment stands before it
        for each in objects:
            customer = blank("customer", id=each["customer"], created=each["created"], metadata=each["metadata"])
            for known in (customer, _whole(each)):
                answer = asking.post(f"{stripe}/_lookalike/object", json={"object": known}, timeout=_WITHIN)
                answer.raise_for_status()


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


if __name__ == "__main__":
    with session.service() as service:
        told = fill(service, service.clock())
        if service.settings.stripe_api_base is not None:
            tell(service.settings.stripe_api_base, told)
