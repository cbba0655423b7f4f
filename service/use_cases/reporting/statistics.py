"""Read the statistics of the overview: days and hours as series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from itertools import groupby

from service.adapters.redis.reporting.usage_counts import DAYS_KEPT, UsageStore
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
    started: int = 0
    canceled: int = 0
    agreed: Mapping[str, int] = field(default_factory=dict)
    """What both this service and the incumbent paywall showed → answers."""
    differences: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """(show, the incumbent's show, reason) → answers."""
    past_due: int | None = None
    """Subscriptions past due when they were last counted; `None` if they were not."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The series, oldest first, and the share of readers who were shown the upsell box and began a subscription."""

    zone: str
    days: Sequence[Point]
    hours: Sequence[Point]
    upsell: Share


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` to `last`, both included."""

    first: date
    last: date

    @classmethod
    def last_days(cls, number: int, zone: tzinfo, now: float) -> Period:
        """Return the last days in a time zone, today included."""
        today = datetime.fromtimestamp(now, zone).date()
        return cls(today - timedelta(days=number - 1), today)

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]

    @property
    def previous(self) -> Period:
        """Return the period of the same length before it."""
        return Period(self.first - (self.last - self.first) - timedelta(days=1), self.first - timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Totals:
    """What a period comes to. `None` where it was not counted, such as before the service ran."""

    active: Mapping[str, int] | None
    """Plan → how many held it when they were last counted; "" stands for single features."""
    past_due: int | None
    started: int | None
    canceled: int | None
    conversion: Share


def load_period(store: UsageStore, period: Period) -> list[Point]:
    """Return the days of a period. Raises: StoreUnavailable."""
    days = period.days[-DAYS_KEPT:]
    return [_point(day.isoformat(), fields) for day, fields in zip(days, store.load_days(days), strict=True)]


def load_totals(store: UsageStore, period: Period, points: Sequence[Point]) -> tuple[Totals, Totals]:
    """Return what a period of these days comes to, and the period before it. Raises: StoreUnavailable."""
    return _totals(points, is_whole=True), _totals(load_period(store, period.previous), is_whole=False)


def _totals(points: Sequence[Point], *, is_whole: bool) -> Totals:
    """Return the totals; of a period that was only counted in part, unless `is_whole`, not those that add up."""
    counted = next((point for point in reversed(points) if point.past_due is not None), None)
    adds_up = is_whole or (bool(points) and points[0].past_due is not None)
    return Totals(
        active=next((point.entitlements for point in reversed(points) if point.entitlements), None),
        past_due=counted.past_due if counted is not None else None,
        started=sum(point.started for point in points) if adds_up else None,
        canceled=sum(point.canceled for point in points) if adds_up else None,
        conversion=conversion(points),
    )


def conversion(points: Sequence[Point]) -> Share:
    """Return the share of readers who were shown the upsell box in these days and then began a subscription."""
    return wilson(sum(point.begun for point in points), sum(point.upsell_readers for point in points))


def by_week(points: Sequence[Point]) -> Iterator[tuple[date, list[Point]]]:
    """Yield the days of each week with its Monday. The first and the last week may be cut."""

    def monday(point: Point) -> date:
        day = date.fromisoformat(point.when)
        return day - timedelta(days=day.weekday())

    for begins, days in groupby(points, monday):
        yield begins, list(days)


def sum_checks(points: Sequence[Point]) -> Mapping[tuple[str, str], int]:
    """Return the answers of these days by (show, reason)."""
    total: Counter[tuple[str, str]] = Counter()
    for point in points:
        total.update(point.checks)
    return total


def figures(store: UsageStore, zone: tzinfo, days: int, now: float) -> Figures:
    """Return the last `days` days, including today, and the last 48 hours. Raises: StoreUnavailable."""
    points = load_period(store, Period.last_days(days, zone, now))
    hours = list(range(int(now) // 3_600 - HOURS + 1, int(now) // 3_600 + 1))
    return Figures(
        zone=str(zone),
        days=points,
        hours=[_point(utc(hour * 3_600), fields) for hour, fields in zip(hours, store.load_hours(hours), strict=True)],
        upsell=conversion(points),
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
        started=fields.get("started", 0),
        canceled=fields.get("canceled", 0),
        agreed=_with_prefix(fields, "a:"),
        differences={_difference(name): number for name, number in _with_prefix(fields, "i:").items()},
        past_due=fields.get("due:"),
    )


def _difference(name: str) -> tuple[str, str, str]:
    show, incumbent, reason = name.split(":")
    return show, incumbent, reason


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
