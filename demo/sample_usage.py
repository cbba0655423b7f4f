"""What readers did in the invented month: answers, upsell boxes and what came of them, deliveries, entitlements held.

Added up here, as no process counted it: day by day, and for the last two days hour by hour. It is a small paper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from random import Random

from service.adapters.redis.reporting.usage_counts import UsageBatch, UsageBucket, UsageStore
from service.domain.catalogue import DAY, HOUR, Catalogue
from service.use_cases.reporting.usage_counters import DELAYS

DAYS = 30


@dataclass(frozen=True)
class Life:
    """An entitlement by a plan, from when to when; `bought` by a reader who had seen the box."""

    plan: str
    begun: float
    ended: float | None
    bought: bool = False


@dataclass(frozen=True, order=True)
class Delivery:
    """An event of Stripe's that came, and how many seconds after Stripe had made it."""

    at: float
    late: float


def write(
    store: UsageStore,
    catalogue: Catalogue,
    lives: Sequence[Life],
    came: Sequence[Delivery],
    chance: Random,
    now: float,
) -> None:
    """Adds the month before `now`. `StoreUnavailable` where the store is away."""
    for number, hours in enumerate(_hours(now, catalogue.zone), start=1):
        counts: dict[UsageBucket, dict[str, int]] = {}
        for hour, length in hours:
            begins = datetime.fromtimestamp(hour * HOUR, catalogue.zone)
            share = length / DAY * (0.7 if begins.weekday() > 4 else 1.0) * chance.uniform(0.85, 1.15)
            until = (hour + 1) * HOUR
            bought = sum(life.bought and until - length <= life.begun < until for life in lives)
            arrived = [each for each in came if until - length <= each.at < until]
            counts[UsageBucket(begins.date(), hour)] = _counted(chance, share, bought) | _deliveries(arrived)
        last = hours[-1][0]
        at = min((last + 1) * HOUR, now)
        today = UsageBucket(datetime.fromtimestamp(last * HOUR, catalogue.zone).date(), last)
        store.add_batch("invented", UsageBatch(number, counts), today.day, at)
        store.write_gauge("g", _held(lives, at), today, at)


def _hours(now: float, zone: tzinfo) -> Iterator[list[tuple[int, float]]]:
    """The hours of each day that are counted by themselves, and the seconds each stands for: of older days, one for all."""
    last, today = int(now) // HOUR, datetime.fromtimestamp(now, zone).date()
    first = last - 47
    for ago in range(DAYS - 1, -1, -1):
        day = today - timedelta(days=ago)
        begins, ends = (datetime.combine(each, time(), zone).timestamp() for each in (day, day + timedelta(days=1)))
        ends = min(ends, first * HOUR)
        if ends > begins:
            yield [(int(ends - 1) // HOUR, ends - begins)]
    hours = [(hour, float(HOUR)) for hour in range(first, last + 1)]
    yield hours[:24]
    yield hours[24:]


def _deliveries(came: Sequence[Delivery]) -> dict[str, int]:
    counts = Counter({"w:done": len(came), "d:sum": sum(round(each.late * 1000) for each in came)})
    counts.update(f"d:{next(most for most in DELAYS if each.late <= most)}" for each in came)
    return +counts


def _counted(chance: Random, share: float, bought: int) -> dict[str, int]:
    def some(most: float) -> int:
        return int(most * share * chance.uniform(0.9, 1.1) + chance.random())  # an hour has a share of one, at times

    box, readers = some(130), max(some(21), bought)
    return {
        "c:full:metered": some(490),
        "c:full:free": some(305),
        "c:full:subscription": some(215),
        "c:full:grant": some(16),
        "c:full:gift": some(8),
        "c:full:pass": some(6),
        "c:upsell:meter_used_up": box,
        "c:upsell:sign_in_required": some(35),
        "c:upsell:no_entitlement": some(45),
        "upsells": box,
        "shown_readers": readers,
        "begun": bought,
    }


def _held(lives: Sequence[Life], at: float) -> dict[str, int]:
    held: dict[str, int] = {}
    for life in lives:
        if life.begun <= at and (life.ended is None or at < life.ended):
            held[life.plan] = held.get(life.plan, 0) + 1
    return held
