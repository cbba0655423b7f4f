"""Billing periods with Stripe's month arithmetic: the anchor keeps the 31st after a February."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from itertools import count

from stripe_lookalike.errors import Json


def add(anchor: int, interval: str, times: int) -> int:
    """Return `anchor` plus `times` intervals, in epoch seconds. A day that the month lacks becomes its last day."""
    start = datetime.fromtimestamp(anchor, UTC)
    if interval in ("day", "week"):
        return int((start + timedelta(days=times * (7 if interval == "week" else 1))).timestamp())
    months = times * (12 if interval == "year" else 1)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def end(anchor: int, start: int, recurring: Json) -> int:
    """Return the end of the period that begins at `start`."""
    step = recurring["interval_count"]
    return next(moment for n in count(1) if (moment := add(anchor, recurring["interval"], n * step)) > start)
