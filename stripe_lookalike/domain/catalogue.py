"""Products and prices, and the demo newspaper's catalogue."""

from __future__ import annotations

from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World

LONG_AGO = 1_767_225_600  # 2026-01-01: the catalogue is older than every subscription
_PRODUCTS = {
    "prod_supporter": "Supporter",
    "prod_day_pass": "Day pass",
    "prod_newsroom": "Newsroom",
    "prod_all": "All access",
}
PRICES = (  # id, product, cents, interval (None: once)
    ("price_month", "prod_supporter", 500, "month"),
    ("price_year", "prod_supporter", 5000, "year"),
    ("price_day", "prod_day_pass", 300, None),
    ("price_seat_month", "prod_newsroom", 400, "month"),
    ("price_all_month", "prod_all", 1500, "month"),
)
_RATES = {"eur": 0.9, "gbp": 0.8}
"""The currencies in which every price of the demo is sold besides dollars."""


def seed(world: World) -> None:
    """Add the demo's catalogue without emitting events."""
    for product_id, name in _PRODUCTS.items():
        world.add(blank("product", id=product_id, name=name, created=LONG_AGO, updated=LONG_AGO))
    for price_id, product, amount, interval in PRICES:
        price = new_price(price_id, product, "usd", amount, LONG_AGO, recurring(interval) if interval else None)
        price["nickname"] = price_id
        price["_currency_options"] = {currency: round(amount * rate) for currency, rate in _RATES.items()}
        world.add(price)


def recurring(interval: str, interval_count: int = 1) -> Json:
    return {
        "interval": interval,
        "interval_count": interval_count,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def new_price(price_id: str, product: str, currency: str, amount: int, created: int, interval: Json | None) -> Json:
    return blank(
        "price",
        id=price_id,
        product=product,
        currency=currency,
        unit_amount=amount,
        unit_amount_decimal=str(amount),
        created=created,
        recurring=interval,
        type="recurring" if interval else "one_time",
    )


def unit_amount(price: Json, currency: str) -> int:
    """Return the amount of a price in one of its currencies, in that currency's smallest unit."""
    return int(price["unit_amount"] if currency == price["currency"] else price["_currency_options"][currency])


def has_currency(price: Json, currency: str) -> bool:
    """Return whether a price is sold in this currency."""
    return currency == price["currency"] or currency in price.get("_currency_options", {})


def active_price(world: World, price_id: str, param: str) -> Json:
    """Return a price by its ID. Raises: `ApiError` 400 if it doesn't exist or is archived."""
    found = world.get("price", price_id, param, 400)
    if not found["active"]:
        raise invalid(f"The price specified is inactive: {price_id}.", param)
    return found


def legacy_plan(price: Json) -> Json:
    """Return the price as a `plan`, the older shape that subscription items still have."""
    interval = price["recurring"]
    return blank(
        "plan",
        id=price["id"],
        active=price["active"],
        amount=price["unit_amount"],
        amount_decimal=price["unit_amount_decimal"],
        created=price["created"],
        currency=price["currency"],
        interval=interval["interval"],
        interval_count=interval["interval_count"],
        metadata=dict(price["metadata"]),
        nickname=price["nickname"],
        product=price["product"],
    )


def product_name(world: World, price: Json) -> str:
    """Return the name of a price's product, as an invoice shows it."""
    return str(world.table("product").get(price["product"], {}).get("name") or price["product"])


def line_label(world: World, price: Json, currency: str) -> str:
    """Return an invoice line's text: `Supporter (at $5.00 / month)`."""
    amount = money(unit_amount(price, currency), currency)
    interval = price["recurring"]
    return (
        f"{product_name(world, price)} (at {amount} / {interval['interval']})"
        if interval
        else product_name(world, price)
    )


def money(cents: int, currency: str) -> str:
    """Format an amount: `$5.00`, `€5.00`, `CHF 5.00`."""
    sign = {"usd": "$", "eur": "€", "gbp": "£"}.get(currency, currency.upper() + " ")
    return f"{'-' if cents < 0 else ''}{sign}{abs(cents) / 100:,.2f}"
