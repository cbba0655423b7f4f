"""What happened, counted: a hash a day for 40 days, a hash an hour for 50 hours, and who saw the upsell box lately.

All of it lies in one slot (`{activity}`), so that a process adds what it counted in one step, and a part told twice counts
once. Fields of a hash:

    c:<show>:<reason>   answers                                  upsells         upsell boxes shown by counting reads
    w:<outcome>         deliveries from Stripe                   d:<seconds>     events, by the delay they stayed within
    d:sum               their delays together (ms)               g:<plan>        entitlements that held when last counted
    shown_readers       readers that were shown the box, each once in seven days
    begun               of those, who began a subscription within that time
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.readers import field_pairs

ADD = load("add_usage_batch")

DAYS_KEPT, HOURS_KEPT = 40, 50
UPSELL_WINDOW = 7 * 86_400
"""Seconds after an upsell box within which a subscription counts as begun after it."""
MOST_READERS = 200_000
"""Readers remembered as having seen the box, some 20 MB; with more, the oldest go."""
_MARK_KEPT = 3_600

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class UsageBucket:
    """Where something is counted: the day in the site's zone, and the hour since the epoch."""

    day: date
    hour: int


@dataclass(frozen=True, slots=True)
class UsageBatch:
    """What a process tells in one step: counts by bucket, readers shown the box and when, readers who subscribed and when."""

    number: int
    counts: Mapping[UsageBucket, Mapping[str, int]]
    shown: Sequence[tuple[bytes, int]] = ()
    begun: Sequence[tuple[bytes, int]] = ()


class UsageStore:
    """Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._keys = store.keys

    def add_batch(self, process: str, part: UsageBatch, today: date, now: float) -> bool:
        """Adds a part; `False`: it was added before."""
        days, hours = dict[date, dict[str, int]](), dict[int, Mapping[str, int]]()
        for bucket, counts in part.counts.items():
            day = days.setdefault(bucket.day, {})
            for name, number in counts.items():
                day[name] = day.get(name, 0) + number
            hours[bucket.hour] = {**counts} if bucket.hour not in hours else _sum(hours[bucket.hour], counts)
        forget = int(now) + DAYS_KEPT * 86_400
        added = [(self._day(day), [forget, counts]) for day, counts in days.items()]
        added += [(self._hour(hour), [(hour + HOURS_KEPT) * 3_600, counts]) for hour, counts in hours.items()]
        told = {
            "add": [value for _, value in added],
            "keep": forget,
            "shown": [[tag.decode(), at] for tag, at in part.shown],
            "begun": [[tag.decode(), at] for tag, at in part.begun],
        }
        keys = [
            self._keys.usage(f"p:{process}"),
            self._keys.usage("upsold"),
            self._day(today),
            *(key for key, _ in added),
        ]
        arguments: list[bytes | int | str] = [
            part.number,
            _MARK_KEPT,
            int(now),
            UPSELL_WINDOW,
            MOST_READERS,
            _encode(told),
        ]
        return bool(self._link.run(ADD, keys, arguments))

    def write_gauge(self, name: str, values: Mapping[str, int], bucket: UsageBucket, now: float) -> None:
        """How many there are of each now; of a day and of an hour the last ones stay."""
        wanted = {f"{name}:{kind}".encode(): b"%d" % number for kind, number in values.items()}
        for key, forget in [
            (self._day(bucket.day), int(now) + DAYS_KEPT * 86_400),
            (self._hour(bucket.hour), (bucket.hour + HOURS_KEPT) * 3_600),
        ]:
            known = [bytes(field) for field, _ in field_pairs(self._link.call(key, b"HGETALL", key))]
            gone = [field for field in known if field.startswith(name.encode() + b":") and field not in wanted]
            commands: list[tuple[bytes, tuple[bytes | int | str, ...]]] = []
            if wanted:
                commands.append((key, (b"HSET", key, *(part for pair in wanted.items() for part in pair))))
            if gone:
                commands.append((key, (b"HDEL", key, *gone)))
            commands.append((key, (b"EXPIREAT", key, forget)))
            self._link.pipeline(commands)

    def load_days(self, days: Sequence[date]) -> list[dict[str, int]]:
        """The fields of these days, in their order."""
        return self._read([self._day(day) for day in days])

    def load_hours(self, hours: Sequence[int]) -> list[dict[str, int]]:
        """The fields of these hours, in their order."""
        return self._read([self._hour(hour) for hour in hours])

    def forget_reader(self, tag: bytes) -> None:
        """A reader is erased: that she saw the upsell box is forgotten."""
        self._link.call(self._keys.usage("upsold"), b"ZREM", self._keys.usage("upsold"), tag)

    def _read(self, keys: Sequence[bytes]) -> list[dict[str, int]]:
        replies: list[Any] = self._link.read([(key, (b"HGETALL", key)) for key in keys]) if keys else []
        return [{bytes(field).decode(): int(value) for field, value in field_pairs(reply)} for reply in replies]

    def _day(self, day: date) -> bytes:
        return self._keys.usage(f"d:{day.isoformat()}")

    def _hour(self, hour: int) -> bytes:
        return self._keys.usage(f"h:{hour}")


def _sum(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}
