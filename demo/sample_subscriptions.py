"""Subscriptions as Stripe would send them, for the invented month: as much of them as matters here."""

from __future__ import annotations

from typing import Any

from stripe_lookalike.domain import periods

Object = dict[str, Any]


def subscription(
    number: int, reader: str | None, status: str, period: tuple[float, float], price: Object, **more: Any
) -> Object:
    """One that began with this period."""
    created = more.pop("created", period[0])
    item = {
        "id": f"si_demo{number}",
        "price": price,
        "quantity": more.pop("quantity", 1),
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
        **more,
    }


def price_of(name: str, product: str) -> Object:
    return {"id": name, "object": "price", "lookup_key": None, "product": f"prod_{product}"}


def monthly(begun: float) -> tuple[float, float]:
    return begun, periods.add(int(begun), "month", 1)


SALE = price_of("price_summer_sale", "summer_sale")
"""A price that no plan has."""
