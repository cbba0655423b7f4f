"""Moments that people type: a number of days from now, or a date and time in the browser's zone, else in the site's."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from flask import request

from service.domain.catalogue import DAY
from service.domain.times import write_time
from service.entrypoints.http.errors import invalid

ENDS = (
    ("7", "in 7 days"),
    ("30", "in 30 days"),
    ("90", "in 90 days"),
    ("365", "in a year"),
    ("date", "on a day…"),
    ("never", "never"),
)
"""What a form offers for an end: days from now, a day of its own, or none."""


def end(now: float, site: tzinfo) -> str | None:
    """The end that a form chose, as the API takes it; `None`: no end. `Problem` 422."""
    chosen = request.form.get("ends", "")
    if chosen == "never":
        return None
    if chosen == "date":
        found = moment(request.form.get("until"), request.form.get("zone"), site, "until")
        if found is None:
            raise invalid([("until", "choose the day on which it ends")])
        return write_time(found)
    if chosen not in dict(ENDS):
        raise invalid([("until", "choose when it ends")])
    return write_time(now + int(chosen) * DAY)


def moment(typed: str | None, zone: str | None, site: tzinfo, field: str) -> float | None:
    """What stands in a field for a date and time; `None` for an empty one. `Problem` 422."""
    if not typed or not typed.strip():
        return None
    try:
        found = datetime.fromisoformat(typed.strip())
        aware = found if found.tzinfo is not None else found.replace(tzinfo=zone_of(zone, site))
        return aware.astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise invalid([(field, "must be a date and a time, like 2026-11-20 09:00")]) from None


def zone_of(name: str | None, site: tzinfo) -> tzinfo:
    """The zone that a browser names; the site's own for none, or for one that is not known here."""
    try:
        return ZoneInfo(name) if name else site
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return site
    except KeyError:
        return site
