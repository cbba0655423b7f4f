"""Possible alerts, recorded when they occur: prices that no plan has, unassigned purchases, and flags.

    prices     sorted set: [price, lookup key, product] of what was bought, by when it was last seen; at most 200
    bought     hash: the same → an object with that price
    ownerless  sorted set: names of paid objects without an owner, by since when; at most 10,000
    trials     sorted set: names of subscriptions that gave a reader a second trial of a plan, likewise
    flags      hash: name → [at, count, detail]; a later flag replaces an earlier one

Whoever reads an alert checks whether it still applies and removes it if not; so fixing the cause needs no code of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import msgspec

from service.adapters.redis.client.keys import PARTITIONS
from service.adapters.redis.client.memory import MemoryUse
from service.adapters.redis.readers.readers import field_pairs
from service.adapters.redis.records import StoreRecords, decode_list, encode_json

MOST_PRICES = 200
MOST_OBJECTS = 10_000

ObjectAlert = Literal["ownerless", "trials"]
FlagName = Literal["drift", "event_gap", "clock", "caught_up"]

_decode_price = msgspec.json.Decoder(tuple[str, str | None, str | None]).decode


@dataclass(frozen=True, slots=True)
class UnknownPrice:
    """A price that was bought while no plan had it; `name` is an object with that price."""

    price: str
    lookup_key: str | None
    product: str | None
    name: str


@dataclass(frozen=True, slots=True)
class AlertFlag:
    """A recorded condition: when (epoch seconds), how many, and details."""

    at: int
    count: int
    detail: str


class AlertStore(StoreRecords):
    """Stores possible alerts. Raises: StoreUnavailable from every method."""

    def add_price(self, bought: UnknownPrice, now: float) -> None:
        member = _member(bought)
        self._call(b"ZADD", self.keys.alert("prices"), int(now), member)
        self._call(b"HSET", self.keys.alert("bought"), member, bought.name)

    def list_prices(self) -> list[UnknownPrice]:
        """Return the recorded prices, the latest first."""
        prices, names = self.keys.alert("prices"), self.keys.alert("bought")
        listed, known = self._link.read(
            [(prices, (b"ZRANGE", prices, b"0", b"-1", b"REV")), (names, (b"HGETALL", names))]
        )
        found = dict(field_pairs(known))
        return [UnknownPrice(*_decode_price(what), found.get(what, b"").decode()) for what in listed]

    def remove_prices(self, gone: Sequence[UnknownPrice]) -> None:
        self._drop_prices([_member(bought) for bought in gone])

    def _drop_prices(self, members: Sequence[bytes]) -> None:
        if members:
            self._call(b"ZREM", self.keys.alert("prices"), *members)
            self._call(b"HDEL", self.keys.alert("bought"), *members)

    def add_objects(self, alert: ObjectAlert, names: Sequence[str], now: float) -> None:
        """Add objects to which the alert applies."""
        if names:
            self._call(b"ZADD", self.keys.alert(alert), b"NX", *(part for name in names for part in (int(now), name)))

    def list_objects(self, alert: ObjectAlert, limit: int) -> tuple[int, list[str]]:
        """Return how many there can be, and the names of the latest."""
        key = self.keys.alert(alert)
        count, names = self._link.read(
            [(key, (b"ZCARD", key)), (key, (b"ZRANGE", key, b"0", b"%d" % (limit - 1), b"REV"))]
        )
        return int(count), [name.decode() for name in names]

    def iterate_objects(self, alert: ObjectAlert) -> Iterator[list[str]]:
        """Yield all names in pages; one can occur twice."""
        for row in self._link.scan_key(b"ZSCAN", self.keys.alert(alert), 100):
            yield [name.decode() for name in row[::2]]

    def remove_objects(self, alert: ObjectAlert, names: Sequence[str]) -> None:
        if names:
            self._call(b"ZREM", self.keys.alert(alert), *names)

    def trim(self) -> None:
        """Delete the oldest prices and objects beyond the limits."""
        self._drop_prices(self._call(b"ZRANGE", self.keys.alert("prices"), 0, -MOST_PRICES - 1))
        for alert in get_args(ObjectAlert):
            self._call(b"ZREMRANGEBYRANK", self.keys.alert(alert), 0, -MOST_OBJECTS - 1)

    def raise_flag(self, what: FlagName, count: int, detail: str, now: float) -> None:
        """Record a condition that exists once."""
        self._call(b"HSET", self.keys.alert("flags"), what, encode_json([int(now), count, detail]))

    def clear_flag(self, what: FlagName) -> None:
        self._call(b"HDEL", self.keys.alert("flags"), what)

    def load_flags(self) -> dict[str, AlertFlag]:
        reply = self._call(b"HGETALL", self.keys.alert("flags"))
        return {what.decode(): AlertFlag(*decode_list(value)) for what, value in field_pairs(reply)}

    def store_memory(self) -> MemoryUse:
        """Return the memory of the store's fullest server."""
        return self._link.memory()

    def list_dead_events(self, limit: int) -> tuple[int, list[tuple[str, float]]]:
        """Return how many events were given up, and the latest of them with the moment (epoch seconds)."""
        keys = [self.keys.dead_events(place) for place in range(PARTITIONS)]
        part = (b"0", b"%d" % (limit - 1), b"REV", b"WITHSCORES")
        count = sum(self._read_each(b"ZCARD", keys))
        rows = self._read_each(b"ZRANGE", keys, *part) if count else []
        found = [(event.decode(), float(at) / 1000) for row in rows for event, at in field_pairs(row)]
        return count, sorted(found, key=lambda one: one[1], reverse=True)[:limit]


def _member(bought: UnknownPrice) -> bytes:
    return encode_json([bought.price, bought.lookup_key, bought.product])
