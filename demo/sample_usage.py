"""Usage counts of the sample months: checks by outcome, paywall views, purchases, webhook deliveries and entitlements.

They are computed, since no process counted them: by day, and for the last 48 hours by hour.
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

DAYS = 60


@dataclass(frozen=True)
class Entitlement:
    """An entitlement by a plan, with start and end in epoch seconds; `bought` by a reader who had seen the paywall.

    `failed` is since when its payment is past due.
    """

    plan: str
    start: float
    end: float | None
    bought: bool = False
    failed: float | None = None


@dataclass(frozen=True, order=True)
class Delivery:
    """The arrival of a Stripe event in epoch seconds, and its delay in seconds."""

    at: float
    delay: float


def write_usage(
    store: UsageStore,
    catalogue: Catalogue,
    entitlements: Sequence[Entitlement],
    delivered: Sequence[Delivery],
    *,
    random: Random,
    now: float,
) -> None:
    """Add the counts of the days before `now`. Raises: `StoreUnavailable`."""
    for number, hours in enumerate(_hours(now, catalogue.zone), start=1):
        counts: dict[UsageBucket, dict[str, int]] = {}
        for hour, length in hours:
            begins = datetime.fromtimestamp(hour * HOUR, catalogue.zone)
            share = length / DAY * (0.7 if begins.weekday() > 4 else 1.0) * random.uniform(0.85, 1.15)
            until = (hour + 1) * HOUR
            bought = sum(each.bought and until - length <= each.start < until for each in entitlements)
            arrived = [each for each in delivered if until - length <= each.at < until]
            counts[UsageBucket(begins.date(), hour)] = _count_checks(random, share, bought) | _count_deliveries(arrived)
        last = hours[-1][0]
        at = min((last + 1) * HOUR, now)
        today = UsageBucket(datetime.fromtimestamp(last * HOUR, catalogue.zone).date(), last)
        store.add_batch("sample", UsageBatch(number, counts), today.day, at)
        store.write_gauge("g", _count_entitlements(entitlements, at), today, at)
        past_due = sum(each.failed is not None and each.failed <= at for each in entitlements)
        store.write_gauge("due", {"": past_due}, today, at)


def _hours(now: float, zone: tzinfo) -> Iterator[list[tuple[int, float]]]:
    """Yield each day's counted hours, with the seconds that each stands for. An older day has one hour for all its counts."""
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


def _count_deliveries(delivered: Sequence[Delivery]) -> dict[str, int]:
    counts = Counter({"w:done": len(delivered), "d:sum": sum(round(each.delay * 1000) for each in delivered)})
    counts.update(f"d:{next(most for most in DELAYS if each.delay <= most)}" for each in delivered)
    return +counts


def _count_checks(random: Random, share: float, bought: int) -> dict[str, int]:
    def some(most: float) -> int:
        # The random remainder keeps small numbers from always being 0.
        return int(most * share * random.uniform(0.9, 1.1) + random.random())

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


def _count_entitlements(entitlements: Sequence[Entitlement], at: float) -> dict[str, int]:
    return Counter(each.plan for each in entitlements if each.start <= at and (each.end is None or at < each.end))
