"""Seats of a group subscription: never more than are paid for, also when two are assigned at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from service.adapters.redis.client.keys import partition_of
from service.adapters.redis.client.scripts import load
from service.adapters.redis.records import StoreRecords
from service.adapters.redis.stripe_objects.objects import ms, scores, tag_of

GIVE, TAKE, TRIM, MOVE = load("assign_seat"), load("release_seat"), load("trim_seats"), load("move_seat")

MOST_REMOVED = 1_000
"""The most readers remembered as having lost a seat."""

SeatVerdict = Literal["given", "again", "full", "retry"]


@dataclass(frozen=True, slots=True)
class Seat:
    """A reader with a seat, and since when (epoch seconds)."""

    reader: str
    since: int


class Seats(StoreRecords):
    """Assigns seats. `name` is the subscription's; `audit` is written with the change, to the outbox of its partition.

    Raises: StoreUnavailable from every method.
    """

    def assign(self, name: str, rev: int, quantity: int, reader: str, now: float, audit: bytes) -> SeatVerdict:
        """Assign a seat if one is free. `retry`: the subscription has changed since the quantity was computed."""
        keys = [*self._keys_of(name), self.keys.outbox(tag_of(name))]
        verdict, _ = self._link.run(GIVE, keys, [rev, quantity, reader, ms(now), name, audit])
        return cast(SeatVerdict, verdict.decode())

    def release(self, name: str, reader: str, now: float, audit: bytes) -> bool:
        """Release a seat, so that the invitation that led to it is used up. Returns whether the reader had one."""
        own, accepted = self.keys, self.keys.accepted_invitations(name)
        queue, outbox = own.fan_out_queue(partition_of(name)), own.outbox(tag_of(name))
        keys = [own.stripe_object(name), own.seats(name), accepted, queue, outbox]
        return bool(self._link.run(TAKE, keys, [reader, ms(now), name, audit]))

    def trim(self, name: str, rev: int, quantity: int, now: float) -> int:
        """Remove the newest seats beyond the quantity. Returns how many."""
        keys = [*self._keys_of(name), self.keys.accepted_invitations(name)]
        return cast(int, self._link.run(TRIM, keys, [rev, quantity, ms(now), name, MOST_REMOVED]))

    def move_to_heir(self, name: str, reader: str, heir: str, now: float) -> None:
        own, queue = self.keys, self.keys.fan_out_queue(partition_of(name))
        keys = [own.stripe_object(name), own.seats(name), queue, own.accepted_invitations(name)]
        self._link.run(MOVE, keys, [reader, heir, ms(now), name])

    def list_removed(self, name: str) -> list[Seat]:
        """Return who lost a seat because fewer were paid for and has none since, newest first."""
        row = self._read_one(b"ZRANGE", self.keys.removed_seats(name), b"0", b"-1", b"REV", b"WITHSCORES")
        return [Seat(reader, since // 1000) for reader, since in scores(row).items()]

    def _keys_of(self, name: str) -> list[bytes]:
        keys, queue = self.keys, self.keys.fan_out_queue(partition_of(name))
        return [keys.stripe_object(name), keys.seats(name), keys.removed_seats(name), queue]
