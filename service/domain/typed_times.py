"""Times as people type them: a date, a span, or a time with its offset. JSON bodies and query parameters are stricter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from service.domain.times import LAST_SECOND, day_begins, read_time

EXAMPLES = "a date (2027-01-01), a span (30d or 12h), or a time with its offset (2027-01-01T09:00:00Z)"

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_SPAN = re.compile(r"([0-9]{1,7})([dh])", re.ASCII)
_SECONDS = {"d": 86_400, "h": 3_600}


@dataclass(frozen=True, slots=True)
class TypedDate:
    """A date without a time. As an end it means the whole day, until the next local midnight; else the day's start."""

    day: date
    is_end: bool

    def at(self, now: float, zone: tzinfo) -> float:
        """Return the moment in epoch seconds; `zone` is the site's."""
        return float(day_begins(zone, self.day + timedelta(days=1) if self.is_end else self.day))


@dataclass(frozen=True, slots=True)
class TypedSpan:
    """A length of time from now, in seconds; a day has 24 hours."""

    seconds: int

    def at(self, now: float, zone: tzinfo) -> float:
        """Return the moment in epoch seconds."""
        return float(int(now) + self.seconds)


RelativeTime = TypedDate | TypedSpan


def parse_typed_time(text: str, *, is_end: bool) -> float | RelativeTime:
    """Return a moment in epoch seconds, or a date or span whose moment depends on now or on the site's timezone.

    Raises:
        ValueError: with a sentence that says what may be typed.
    """
    if _DATE.fullmatch(text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise ValueError("must be a date that exists, like 2027-01-01") from None
        if not 1 < day.year < 9999:
            raise ValueError("must be a date of the years 2 to 9998")
        return TypedDate(day, is_end)
    if found := _SPAN.fullmatch(text):
        seconds = int(found[1]) * _SECONDS[found[2]]
        if not seconds:
            raise ValueError("must be a span above zero, like 30d or 12h")
        return TypedSpan(seconds)
    if text[:1].isdigit() and (":" in text or "T" in text.upper()):
        return read_time(text)
    raise ValueError(f"must be {EXAMPLES}")


def read_typed_time(text: str, now: float, zone: tzinfo, *, is_end: bool) -> float:
    """Return the moment that was typed, in epoch seconds. Raises: ValueError with a sentence."""
    found = parse_typed_time(text, is_end=is_end)
    moment = found if isinstance(found, float) else found.at(now, zone)
    if moment > LAST_SECOND:
        raise ValueError("must be before the year 10000")
    return moment
