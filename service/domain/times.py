"""Moments as the contract writes and reads them: ISO 8601 in UTC, whole seconds, `Z`."""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache

LAST_SECOND = 253_402_300_799
"""The last second of the year 9999: ISO 8601 has no later one."""
LAST_DAY = LAST_SECOND - 86_399
"""The beginning of that year's last day in UTC: a date in every timezone, unlike a later moment."""
LAST_WINDOW = LAST_SECOND + 1 - 61 * 86_400
"""1 November 9999: a calendar window that begins by then has an end in every timezone."""

# Python accepts any character between date and time, and more (a space before the offset, a bare point).
_DATE_AND_TIME = re.compile(r"[0-9W-]{7,10}[Tt ][0-9:]*[0-9]([.,][0-9]{1,32})?([Zz]|[+-][0-9:]+)?")


def write_time(moment: float | None) -> str | None:
    """Return a moment (epoch seconds) as `2026-11-20T09:00:00Z`; `None` for none, and for one after the year 9999."""
    return None if moment is None or int(moment) > LAST_SECOND else utc(int(moment))


@lru_cache(maxsize=8_192)
def utc(second: int) -> str:
    """Return a second of the years 1 to 9999 as `2026-11-20T09:00:00Z`."""
    # isoformat, since strftime leaves out the zeros of years before 1000.
    return datetime.fromtimestamp(second, UTC).isoformat()[:19] + "Z"


def read_time(value: object) -> float:
    """Return a moment with an offset (ISO 8601) as epoch seconds. `ValueError` with a sentence."""
    if type(value) is not str:
        raise ValueError("must be a time as a string, like 2026-11-20T09:00:00Z")
    return _read(value)


@lru_cache(maxsize=8_192)
def _read(value: str) -> float:
    if not _DATE_AND_TIME.fullmatch(value):
        raise ValueError("must be a date and a time, like 2026-11-20T09:00:00Z")
    try:
        moment = datetime.fromisoformat(value.replace("z", "Z"))  # RFC 3339 allows a lower-case t and z.
        aware = moment.tzinfo is not None
        seconds = moment.astimezone(UTC).timestamp() if aware else 0.0
    except (ValueError, OverflowError):
        raise ValueError("must be a date and a time that exist, like 2026-11-20T09:00:00Z") from None
    if not aware:
        raise ValueError("must say its offset: 2026-11-20T09:00:00Z or …+01:00")
    return seconds


@lru_cache(maxsize=256)
def day_begins(zone: tzinfo, day: date) -> int:
    """Return the first moment of a local day; the first one after it where the zone skipped the day or its midnight."""
    midnight = datetime.combine(day, time(), zone)
    before, after = int(midnight.timestamp()), int(midnight.replace(fold=1).timestamp())
    if before <= after:  # Midnight exists; where it occurs twice, this is the first.
        return before
    # The clock skipped midnight: the two offsets place it on both sides of the gap.
    leap = range(after, before)
    return after + bisect_left(leap, day, key=lambda moment: datetime.fromtimestamp(moment, zone).date())
