"""Usage counters: a hash a day for 400 days, a hash an hour for 50 hours, and who saw the upsell box lately.

All of them lie in one slot (`{activity}`), so that a process adds its counters in one step, and a batch sent twice counts once.
Fields of a hash:

    c:<show>:<reason>   answers                                  upsells         upsell boxes shown by metered reads
    w:<outcome>         deliveries from Stripe                   d:<seconds>     events, by the delay that they stayed within
    d:sum               the sum of their delays (ms)             g:<plan>        entitlements at the last count
    a:<show>            answers that agreed with the incumbent paywall
    i:<show>:<incumbent's show>:<reason>                             answers that did not
    shown_readers       readers who saw the box, each once in seven days
    begun               those of them who began a subscription within that time
    started, canceled   subscriptions that started, and that ended     due:   subscriptions past due at the last count
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any

from service.adapters.redis.client.scripts import load
from service.adapters.redis.readers.readers import field_pairs
from service.adapters.redis.records import StoreRecords, encode_json

ADD = load("add_usage_batch")

DAYS_KEPT, HOURS_KEPT = 400, 50
UPSELL_WINDOW = 7 * 86_400
"""Seconds after an upsell box in which a new subscription counts as its result."""
MOST_READERS = 200_000
"""The most readers remembered as having seen the box, some 20 MB; beyond that the oldest are deleted."""
_MARK_KEPT = 3_600


@dataclass(frozen=True, slots=True)
class UsageBucket:
    """Where something is counted: the day in the site's time zone, and the hour since the epoch."""

    day: date
    hour: int

    @classmethod
    def at(cls, moment: float, zone: tzinfo) -> UsageBucket:
        """Return the bucket of a moment (epoch seconds)."""
        return cls(datetime.fromtimestamp(moment, zone).date(), int(moment) // 3_600)


@dataclass(frozen=True, slots=True)
class UsageBatch:
    """Counters of one process: counts by bucket, readers who saw the box and when, readers who subscribed and when (s)."""

    number: int
    counts: Mapping[UsageBucket, Mapping[str, int]]
    shown: Sequence[tuple[bytes, int]] = ()
    begun: Sequence[tuple[bytes, int]] = ()


class UsageStore(StoreRecords):
    """Stores usage counters. Raises: StoreUnavailable from every method."""

    def add_batch(self, process: str, part: UsageBatch, today: date, now: float) -> bool:
        """Add a batch; `False` if it was added before."""
        days, hours = defaultdict[date, Counter[str]](Counter), defaultdict[int, Counter[str]](Counter)
        for bucket, counts in part.counts.items():
            days[bucket.day].update(counts)
            hours[bucket.hour].update(counts)
        forget = int(now) + DAYS_KEPT * 86_400
        added = [(self._day(day), [forget, counts]) for day, counts in days.items()]
        added += [(self._hour(hour), [(hour + HOURS_KEPT) * 3_600, counts]) for hour, counts in hours.items()]
        content = {
            "add": [value for _, value in added],
            "keep": forget,
            "shown": [[tag.decode(), at] for tag, at in part.shown],
            "begun": [[tag.decode(), at] for tag, at in part.begun],
        }
        names = [self.keys.usage(f"p:{process}"), self.keys.usage("upsold"), self._day(today)]
        limits = (_MARK_KEPT, int(now), UPSELL_WINDOW, MOST_READERS)
        keys = [*names, *(key for key, _ in added)]
        return bool(self._link.run(ADD, keys, [part.number, *limits, encode_json(content)]))

    def write_gauge(self, name: str, values: Mapping[str, int], bucket: UsageBucket, now: float) -> None:
        """Write how many there are of each kind now; a day and an hour keep the last value."""
        wanted = {f"{name}:{kind}".encode(): b"%d" % number for kind, number in values.items()}
        for key, forget in [
            (self._day(bucket.day), int(now) + DAYS_KEPT * 86_400),
            (self._hour(bucket.hour), (bucket.hour + HOURS_KEPT) * 3_600),
        ]:
            known = [field for field, _ in field_pairs(self._call(b"HGETALL", key))]
            gone = [field for field in known if field.startswith(name.encode() + b":") and field not in wanted]
            commands: list[tuple[bytes, tuple[bytes | int | str, ...]]] = []
            if wanted:
                commands.append((key, (b"HSET", key, *(part for pair in wanted.items() for part in pair))))
            if gone:
                commands.append((key, (b"HDEL", key, *gone)))
            commands.append((key, (b"EXPIREAT", key, forget)))
            self._link.pipeline(commands)

    def load_days(self, days: Sequence[date]) -> list[dict[str, int]]:
        return self._read([self._day(day) for day in days])

    def load_hours(self, hours: Sequence[int]) -> list[dict[str, int]]:
        """Return the fields of these hours (since the epoch), in order."""
        return self._read([self._hour(hour) for hour in hours])

    def forget_reader(self, tag: bytes) -> None:
        """Delete that an erased reader saw the upsell box."""
        self._call(b"ZREM", self.keys.usage("upsold"), tag)

    def _read(self, keys: Sequence[bytes]) -> list[dict[str, int]]:
        replies: list[Any] = self._read_each(b"HGETALL", keys)
        return [{field.decode(): int(value) for field, value in field_pairs(reply)} for reply in replies]

    def _day(self, day: date) -> bytes:
        return self.keys.usage(f"d:{day.isoformat()}")

    def _hour(self, hour: int) -> bytes:
        return self.keys.usage(f"h:{hour}")
