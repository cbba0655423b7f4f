"""How the paper says things: dates, prices, and why a notebook is closed."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask

from .client import Answer

ZONE = ZoneInfo("America/New_York")

WHY = {
    "no_entitlement": "This notebook is kept for the people who support our reporting.",
    "meter_used_up": "You have read all your free stories for now.",
    "sign_in_required": "Sign in to read this notebook as one of your free stories.",
    "store_unavailable": "We cannot look up memberships at the moment. The facts are open; please try again shortly.",
}
"""Reason code of a locked story → the sentence over the box."""

HOLDS = {
    "subscription": "A subscription",
    "stripe_entitlement": "A subscription",
    "pass": "A pass",
    "seat": "A seat in a group",
    "grant": "A membership given by the newsroom",
    "gift": "A gift",
    "institution": "Access through your institution",
}
"""Type of a source → what the account page calls it."""

FEATURES = {
    "notebook": "The notebook behind every story",
    "no_ads": "Stories without ads",
    "no_autoplay": "Clips that wait until you press play",
    "newsmaker_events": "A seat at the Newsmaker evenings",
}
"""Feature → what the account page calls it; one that is new to us is shown by its name."""

PLANS = {"supporter": "Supporter", "day_pass": "Day pass", "newsroom": "Group", "vip": "VIP"}
"""Plan → its name, as in the paywall's configuration."""

PAID_WITHOUT_CENTS = {"jpy", "krw", "clp", "vnd", "isk", "xaf", "xof", "pyg", "ugx"}
SIGNS = {"usd": "$", "eur": "€", "gbp": "£"}


def price(price: dict[str, Any]) -> str:
    """{"amount": 500, "currency": "usd", "interval": "month"} → "$5 a month"; minor units in."""
    currency, amount = str(price.get("currency") or "").lower(), price.get("amount")
    if not isinstance(amount, int):
        return "price on the next page"
    exact = f"{amount:,}" if currency in PAID_WITHOUT_CENTS else f"{amount / 100:,.2f}".removesuffix(".00")
    money = f"{SIGNS[currency]}{exact}" if currency in SIGNS else f"{exact} {currency.upper()}"
    return f"{money} a {price['interval']}" if price.get("interval") else f"{money} once"


def moment(value: datetime | str | None) -> datetime | None:
    """A time of ours, or one from an answer, on the city's clock."""
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(ZONE) if value else None


def day(value: datetime | date | str) -> str:
    """24 November 2026."""
    at = value if isinstance(value, date) and not isinstance(value, datetime) else moment(value)
    return f"{at.day} {at:%B %Y}" if at else ""


def clock(value: datetime | str) -> str:
    """24 November, 08:57."""
    at = moment(value)
    return f"{at.day} {at:%B, %H:%M}" if at else ""


def full(value: datetime | str) -> str:
    """24 November 2026, 08:57."""
    at = moment(value)
    return f"{at.day} {at:%B %Y, %H:%M}" if at else ""


def weekday(value: datetime) -> str:
    """Tuesday, 24 November 2026."""
    return f"{moment(value):%A}, {day(value)}"


def title_of(name: str) -> str:
    """public-safety → Public safety."""
    return name.replace("-", " ").replace("_", " ").capitalize()


def left(meter: dict[str, Any]) -> str:
    """2 of 5 free stories left this month; any other window by its end."""
    resets = moment(meter.get("resets_at"))
    window = "this month" if resets and resets.day == 1 else f"until {day(resets)}" if resets else ""
    return f"{meter['left']} of {meter['limit']} free stories left {window}".rstrip()


def mark(answer: Answer) -> str:
    """The line under a headline of the front page: what a click on it would open."""
    if answer.get("show") != "full":
        return "Facts open, notebook for supporters"
    return {"free": "Free for everyone", "metered": "Open: one of your free stories"}.get(
        answer["reason"], "Open to you"
    )


def speak(app: Flask) -> None:
    """Give the templates these words."""
    words = {
        "price": price,
        "day": day,
        "clock": clock,
        "left": left,
        "moment": full,
        "weekday": weekday,
        "title_of": title_of,
    }
    app.jinja_env.filters.update(words)
    app.jinja_env.globals.update(WHY=WHY, HOLDS=HOLDS, FEATURES=FEATURES, PLANS=PLANS)
