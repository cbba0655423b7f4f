"""What readers did in the invented month: answers, upsell boxes and what came of them, deliveries, entitlements held.

Added up here, as no process counted it: day by day, and for the last two days hour by hour. It is a small paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

from service.paywall.catalogue import DAY, HOUR, Catalogue
from service.store.activity import ActivityStore, Bucket, Part

DAYS = 30


@dataclass(frozen=True)
class Life:
    """An entitlement by a plan, from when to when; `bought` by a reader who had seen the box."""

    plan: str
    begun: float
    ended: float | None
    bought: bool = False


def write(store: ActivityStore, catalogue: Catalogue, lives: Sequence[Life], chance: Random, now: float) -> None:
    """Adds the month before `now`. `StoreUnavailable` where the store is away."""
    for number, hours in enumerate(_hours(now), start=1):
        counts: dict[Bucket, dict[str, int]] = {}
        for hour, length in hours:
            begins = datetime.fromtimestamp(hour * HOUR, catalogue.zone)
            share = length / DAY * (0.7 if begins.weekday() > 4 else 1.0) * chance.uniform(0.85, 1.15)
            until = (hour + 1) * HOUR
            bought = sum(life.bought and until - length <= life.begun < until for life in lives)
            counts[Bucket(begins.date(), hour)] = _counted(chance, share, bought)
        last = hours[-1][0]
        at = min((last + 1) * HOUR, now)
        today = Bucket(datetime.fromtimestamp(last * HOUR, catalogue.zone).date(), last)
        store.add("invented", Part(number, counts), today.day, at)
        store.put_gauge("g", _held(lives, at), today, at)


def _hours(now: float) -> Iterator[list[tuple[int, int]]]:
    """The hours of each day that are counted by themselves, and the seconds each stands for."""
    last = int(now) // HOUR
    for ago in range(DAYS - 1, 1, -1):
        yield [(last - ago * 24, DAY)]
    hours = list(range(last - 47, last + 1))
    yield [(hour, HOUR) for hour in hours[:24]]
    yield [(hour, HOUR) for hour in hours[24:]]


def _counted(chance: Random, share: float, bought: int) -> dict[str, int]:
    def some(most: float) -> int:
        return int(most * share * chance.uniform(0.9, 1.1) + chance.random())  # an hour has a share of one, at times

    box, readers = some(130), max(some(21), bought)
    events = some(6)
    late = round(events * 0.04)
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
        "w:done": events,
        "w:ignored": some(1.2),
        "w:repeat": some(0.6),
        "d:1": round(events * 0.7),
        "d:2": events - round(events * 0.7) - late,
        "d:15": late,
        "d:sum": events * chance.randint(700, 1_900),
    }


def _held(lives: Sequence[Life], at: float) -> dict[str, int]:
    held: dict[str, int] = {}
    for life in lives:
        if life.begun <= at and (life.ended is None or at < life.ended):
            held[life.plan] = held.get(life.plan, 0) + 1
    return held
