"""Subscriptions of the sample month: as its events carry them, and complete with customer and card for the look-alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stripe_lookalike.domain import periods
from stripe_lookalike.domain.catalogue import PRICES, recurring
from stripe_lookalike.domain.customers import DECLINED_CARD, WORKING_CARD
from stripe_lookalike.shapes import blank

Object = dict[str, Any]


def subscription(
    number: int, reader: str | None, status: str, period: tuple[float, float], price: Object, **fields: Any
) -> Object:
    """Return a subscription that begins with `period` (start and end in epoch seconds), with the fields the service reads."""
    created = fields.pop("created", period[0])
    item = {
        "id": f"si_demo{number}",
        "price": price,
        "quantity": fields.pop("quantity", 1),
        "current_period_start": int(period[0]),
        "current_period_end": int(period[1]),
    }
    return {
        "id": f"sub_demo{number:03d}",
        "object": "subscription",
        "customer": f"cus_demo{number:03d}",
        "status": status,
        "created": int(created),
        "items": {"object": "list", "data": [item], "has_more": False},
        "metadata": {"reader_id": reader} if reader else {},
        **fields,
    }


def price_object(price_id: str, product: str) -> Object:
    return {"id": price_id, "object": "price", "lookup_key": None, "product": f"prod_{product}"}


def month_from(start: float) -> tuple[float, float]:
    """Return the monthly billing period that begins at `start`."""
    return start, periods.add(int(start), "month", 1)


UNMAPPED_PRICE = price_object("price_summer_sale", "summer_sale")
"""A price that no plan has."""


def complete_objects(subscription: Object) -> Iterator[Object]:
    """Yield a subscription with all fields that Stripe sends, after its card, customer and products."""
    customer_id, created = subscription["customer"], subscription["created"]
    card = blank("payment_method", id=customer_id.replace("cus_", "pm_"), created=created, customer=customer_id)
    card["card"]["last4"] = DECLINED_CARD if subscription["status"] == "past_due" else WORKING_CARD
    customer = blank("customer", id=customer_id, created=created, metadata=subscription["metadata"])
    customer["invoice_settings"]["default_payment_method"] = card["id"]
    customer["invoice_prefix"] = customer_id.removeprefix("cus_").upper()
    yield from (card, customer)
    rows = []
    for item in subscription["items"]["data"]:
        product = item["price"]["product"]
        name = product.removeprefix("prod_").replace("_", " ").capitalize()
        yield blank("product", id=product, name=name, created=created, updated=created)
        cents = next((amount for price_id, _, amount, _ in PRICES if price_id == item["price"]["id"]), 500)
        amounts = {"unit_amount": cents, "unit_amount_decimal": str(cents)}
        price = blank("price", **item["price"], type="recurring", recurring=recurring("month"), **amounts)
        rows.append(blank("subscription_item", **{**item, "subscription": subscription["id"], "price": price}))
    items = {**subscription["items"], "data": rows, "total_count": len(rows), "url": "/v1/subscription_items"}
    dates = {"billing_cycle_anchor": created, "start_date": created}
    yield blank("subscription", **{**dates, **subscription, "items": items})
