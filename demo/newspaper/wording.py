"""Dates, prices and reasons as text."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask

from .client import Decision

ZONE = ZoneInfo("America/New_York")

REASONS = {
    "no_entitlement": "This notebook is kept for the people who support our reporting.",
    "meter_used_up": "You have read all your free stories for now.",
    "sign_in_required": "This notebook is for readers who are signed in.",
    "verification_required": "Confirm your address to read this notebook.",
    "store_unavailable": "We cannot look up memberships at the moment. The facts are open. Try again soon.",
}
"""Reason code of a locked story → the sentence above the upsell box."""

FEATURES = {
    "notebook": "The notebook behind every story",
    "no_ads": "Stories without ads",
    "no_autoplay": "Clips that wait until you press play",
    "newsmaker_events": "A seat at the Newsmaker evenings",
}
"""Feature → its name on the account page, which shows an unknown feature's ID."""

NO_DECIMALS = {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
THREE_DECIMALS = {"bhd", "jod", "kwd", "omr", "tnd"}
"""Currencies whose amounts have no decimals at Stripe, or three; see docs.stripe.com/currencies."""
CURRENCY_SIGNS = {"usd": "$", "eur": "€", "gbp": "£"}


def price(price: dict[str, Any]) -> str:
    """Format a price in minor units: {"amount": 500, "currency": "usd", "interval": "month"} → "$5 a month"."""
    currency, amount = str(price.get("currency") or "").lower(), price.get("amount")
    if not isinstance(amount, int):
        return "price on the next page"
    decimals = 0 if currency in NO_DECIMALS else 3 if currency in THREE_DECIMALS else 2
    exact = f"{amount / 10**decimals:,.{decimals}f}".removesuffix(".00")
    money = f"{CURRENCY_SIGNS[currency]}{exact}" if currency in CURRENCY_SIGNS else f"{exact} {currency.upper()}"
    interval = price.get("interval")
    if interval is None:
        return f"{money} once"
    return f"{money} every {interval}" if interval[0].isdigit() else f"{money} a {interval}"


def _city_time(value: datetime | str | None) -> datetime | None:
    """Return a time in the newspaper's time zone; text is ISO 8601, as in a decision."""
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(ZONE) if value else None


def day(value: datetime | date | str) -> str:
    """Format a date: 24 November 2026."""
    at = value if isinstance(value, date) and not isinstance(value, datetime) else _city_time(value)
    return f"{at.day} {at:%B %Y}" if at else ""


def short_time(value: datetime | str) -> str:
    """Format a time without its year: 24 November, 08:57."""
    at = _city_time(value)
    return f"{at.day} {at:%B, %H:%M}" if at else ""


def long_time(value: datetime | str) -> str:
    """Format a time with its year: 24 November 2026, 08:57."""
    at = _city_time(value)
    return f"{at.day} {at:%B %Y, %H:%M}" if at else ""


def weekday(value: datetime) -> str:
    """Format a date with its weekday: Tuesday, 24 November 2026."""
    return f"{_city_time(value):%A}, {day(value)}"


def title_of(name: str) -> str:
    """Format a section's ID: public-safety → Public safety."""
    return name.replace("-", " ").replace("_", " ").capitalize()


def meter_text(meter: dict[str, Any]) -> str:
    """Format a meter: 2 of 5 free stories left this month. Other windows show their end."""
    resets = _city_time(meter.get("resets_at"))
    window = "this month" if resets and resets.day == 1 else f"until {day(resets)}" if resets else ""
    return f"{meter['left']} of {meter['limit']} free stories left {window}".rstrip()


def access_label(decision: Decision) -> str:
    """Return the line under a front-page headline: what the story would show."""
    if decision.get("show") != "full":
        steps = [step["step"] for step in decision.get("next", ())]
        by_account = "sign_in" in steps or "verify" in steps
        return f"Facts open, notebook {'with a free account' if by_account else 'for supporters'}"
    return {"free": "Free for everyone", "metered": "Open: one of your free stories"}.get(
        decision["reason"], "Open to you"
    )


def register(app: Flask) -> None:
    """Add the filters and texts to the app's templates."""
    filters = (price, day, short_time, long_time, weekday, meter_text, title_of)
    app.jinja_env.filters.update({each.__name__: each for each in filters})
    app.jinja_env.globals.update(REASONS=REASONS, FEATURES=FEATURES)
