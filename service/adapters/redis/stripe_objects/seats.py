"""Seats of a group's subscription: never more than are paid for, also when two ask at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from service.adapters.redis.client.keys import partition_of, partition_tag
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.stripe_objects.objects import ms, scores

GIVE, TAKE, TRIM, MOVE = load("assign_seat"), load("release_seat"), load("trim_seats"), load("move_seat")

MOST_REMOVED = 1_000
"""Readers remembered as having lost their seats when fewer were paid for."""

SeatVerdict = Literal["given", "again", "full", "retry"]


@dataclass(frozen=True, slots=True)
class Seat:
    """Who has a seat, since when (epoch seconds)."""

    reader: str
    since: int


class Seats:
    """`name` is the subscription's; `audit` an entry that goes with the change, into the outbox of the object's place.

    Every method raises `StoreUnavailable` where the store cannot be reached.
    """

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._keys = store.keys
        self._store_keys = store.keys

    def assign(self, name: str, rev: int, quantity: int, reader: str, now: float, audit: bytes) -> SeatVerdict:
        """Gives a seat if one is free. `retry`: the quantity was worked out from what is no longer so."""
        keys = [*self._keys_of(name), self._outbox(name)]
        verdict, _ = self._link.run(GIVE, keys, [rev, quantity, reader, ms(now), name, audit])
        return cast(SeatVerdict, verdict.decode())

    def release(self, name: str, reader: str, now: float, audit: bytes) -> bool:
        """Takes a seat back. Gives whether there was one."""
        keys = [*self._keys_of(name), self._outbox(name)]
        return bool(self._link.run(TAKE, keys, [reader, ms(now), name, audit]))

    def trim(self, name: str, rev: int, quantity: int, now: float) -> int:
        """Takes the newest away, down to the quantity. Gives how many went."""
        return cast(int, self._link.run(TRIM, self._keys_of(name), [rev, quantity, ms(now), name, MOST_REMOVED]))

    def move_to_heir(self, name: str, reader: str, heir: str, now: float) -> bool:
        """A reader was merged into another: so is the seat."""
        keys = [self._keys.stripe_object(name), self._keys.seats(name), self._keys.fan_out_queue(partition_of(name))]
        return bool(self._link.run(MOVE, keys, [reader, heir, ms(now), name]))

    def list_removed(self, name: str) -> list[Seat]:
        """Who lost a seat because fewer were paid for, and has got none since, the newest first."""
        key = self._keys.removed_seats(name)
        (row,) = self._link.read([(key, (b"ZRANGE", key, b"0", b"-1", b"REV", b"WITHSCORES"))])
        return [Seat(reader, since // 1000) for reader, since in scores(row).items()]

    def _keys_of(self, name: str) -> list[bytes]:
        keys = self._keys
        return [
            keys.stripe_object(name),
            keys.seats(name),
            keys.removed_seats(name),
            keys.fan_out_queue(partition_of(name)),
        ]

    def _outbox(self, name: str) -> bytes:
        return self._store_keys.outbox(partition_tag(partition_of(name)))
