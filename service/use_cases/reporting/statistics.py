"""Read the statistics of the overview: days and hours as series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from service.adapters.redis.reporting.usage_counts import UsageStore
from service.domain.proportions import Share, wilson
from service.domain.times import utc
from service.use_cases.reporting.usage_counters import DELAYS

DEFAULT_DAYS = 30
HOURS = 48


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds between the creation of events at Stripe and their delivery: the mean, and bounds for half and 95 %.

    The bounds are among `usage_counters.DELAYS`; they are `None` without events, or beyond the last of them.
    """

    events: int
    mean: float | None
    half_within: int | None
    most_within: int | None


@dataclass(frozen=True, slots=True)
class Point:
    """A day (`2026-11-24`, in the site's zone) or an hour (`2026-11-24T13:00:00Z`), and what was counted in it."""

    when: str
    checks: Mapping[tuple[str, str], int]
    """(show, reason) → answers."""
    upsells: int
    upsell_readers: int
    begun: int
    entitlements: Mapping[str, int]
    """Plan → how many held when they were last counted; "" stands for single features."""
    webhooks: Mapping[str, int]
    """Outcome → deliveries."""
    delay: Delay


@dataclass(frozen=True, slots=True)
class Figures:
    """The series, oldest first, and the share of readers who were shown the upsell box and began a subscription."""

    zone: str
    days: Sequence[Point]
    hours: Sequence[Point]
    upsell: Share


def figures(store: UsageStore, zone: tzinfo, days: int, now: float) -> Figures:
    """Return the last `days` days, including today, and the last 48 hours. Raises: StoreUnavailable."""
    today = datetime.fromtimestamp(now, zone).date()
    wanted = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    hours = list(range(int(now) // 3_600 - HOURS + 1, int(now) // 3_600 + 1))
    points = [_point(day.isoformat(), fields) for day, fields in zip(wanted, store.load_days(wanted), strict=True)]
    return Figures(
        zone=str(zone),
        days=points,
        hours=[_point(utc(hour * 3_600), fields) for hour, fields in zip(hours, store.load_hours(hours), strict=True)],
        upsell=wilson(sum(point.begun for point in points), sum(point.upsell_readers for point in points)),
    )


def _point(when: str, fields: Mapping[str, int]) -> Point:
    checks = {}
    for name, number in _with_prefix(fields, "c:").items():
        show, _, reason = name.partition(":")
        checks[show, reason] = number
    return Point(
        when=when,
        checks=checks,
        upsells=fields.get("upsells", 0),
        upsell_readers=fields.get("shown_readers", 0),
        begun=fields.get("begun", 0),
        entitlements=_with_prefix(fields, "g:"),
        webhooks=_with_prefix(fields, "w:"),
        delay=_delay(_with_prefix(fields, "d:")),
    )


def _with_prefix(fields: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): fields[name] for name in sorted(fields) if name.startswith(prefix)}


def _delay(fields: Mapping[str, int]) -> Delay:
    within = [(most, fields.get(str(most), 0)) for most in DELAYS]
    events = sum(number for _, number in within) + fields.get("inf", 0)
    mean = round(fields.get("sum", 0) / 1_000 / events, 3) if events else None
    return Delay(events, mean, _bound(within, events / 2), _bound(within, events * 0.95))


def _bound(within: Sequence[tuple[int, int]], wanted: float) -> int | None:
    """Return the least bound that at least `wanted` events stayed within."""
    so_far = 0
    for most, number in within:
        so_far += number
        if so_far >= wanted > 0:
            return most
    return None
