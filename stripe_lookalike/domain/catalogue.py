"""Products and prices, and the ones that the demo newspaper sells."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World

_LONG_AGO = 1_767_225_600  # 2026-01-01: the catalogue is older than anything that happens in it
_PRODUCTS = {
    "prod_supporter": "Supporter",
    "prod_day_pass": "Day pass",
    "prod_newsroom": "Newsroom",
    "prod_all": "All access",
}
_PRICES = (  # id, product, cents, interval (None: once)
    ("price_month", "prod_supporter", 500, "month"),
    ("price_year", "prod_supporter", 5000, "year"),
    ("price_day", "prod_day_pass", 300, None),
    ("price_seat_month", "prod_newsroom", 400, "month"),
    ("price_all_month", "prod_all", 1500, "month"),
)


def seed(world: World) -> None:
    """Put the demo's catalogue in, without a word to anybody."""
    for product_id, name in _PRODUCTS.items():
        world.add(blank("product", id=product_id, name=name, created=_LONG_AGO, updated=_LONG_AGO))
    for price_id, product, amount, interval in _PRICES:
        price = new_price(price_id, product, "usd", amount, _LONG_AGO, recurring(interval) if interval else None)
        price["nickname"] = price_id
        world.add(price)


def recurring(interval: str, interval_count: int = 1) -> Json:
    return {
        "interval": interval,
        "interval_count": interval_count,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def new_price(price_id: str, product: str, currency: str, amount: int, created: int, rhythm: Json | None) -> Json:
    return blank(
        "price",
        id=price_id,
        product=product,
        currency=currency,
        unit_amount=amount,
        unit_amount_decimal=str(amount),
        created=created,
        recurring=rhythm,
        type="recurring" if rhythm else "one_time",
    )


def price(world: World, price_id: str, param: str) -> Json:
    """A price by its id; one that was archived cannot be sold any more."""
    found = world.get("price", price_id, param, 400)
    if not found["active"]:
        raise invalid(f"The price specified is inactive: {price_id}.", param)
    return found


def adhoc(world: World, currency: str, product: str, amount: int, rhythm: Json | None) -> Json:
    """A price made on the spot from `price_data`; like Stripe's it is archived at once."""
    made = new_price(ids.new("price_1"), product, currency, amount, world.now(), rhythm)
    made["active"] = False
    return world.add(made)


def plan_of(price: Json) -> Json:
    """The price in the older shape that subscription items still carry beside it."""
    rhythm = price["recurring"]
    return blank(
        "plan",
        id=price["id"],
        active=price["active"],
        amount=price["unit_amount"],
        amount_decimal=price["unit_amount_decimal"],
        created=price["created"],
        currency=price["currency"],
        interval=rhythm["interval"],
        interval_count=rhythm["interval_count"],
        metadata=dict(price["metadata"]),
        nickname=price["nickname"],
        product=price["product"],
    )


def title(world: World, price: Json) -> str:
    """The product's name, as it stands on an invoice."""
    return str(world.table("product").get(price["product"], {}).get("name") or price["product"])


def label(world: World, price: Json) -> str:
    """`Supporter (at $5.00 / month)`."""
    amount = money(price["unit_amount"], price["currency"])
    rhythm = price["recurring"]
    return f"{title(world, price)} (at {amount} / {rhythm['interval']})" if rhythm else title(world, price)


def money(cents: int, currency: str) -> str:
    """`$5.00`, `€5.00`, `CHF 5.00`."""
    sign = {"usd": "$", "eur": "€", "gbp": "£"}.get(currency, currency.upper() + " ")
    return f"{'-' if cents < 0 else ''}{sign}{abs(cents) / 100:,.2f}"
