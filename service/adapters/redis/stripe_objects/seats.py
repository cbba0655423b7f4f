"""Seats of a group subscription, never more than are paid for, and invitations to them, all in the subscription's slot.

An invitation is open until its end, or until it is used or withdrawn. Whoever has a seat by an invitation stands in a hash
beside the seats, as long as they have it: a repeat of their acceptance changes nothing. Nothing else is kept of a used one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from service.adapters.redis.client.keys import partition_of
from service.adapters.redis.client.scripts import load
from service.adapters.redis.records import StoreRecords
from service.adapters.redis.stripe_objects.objects import StoredObject, ms, scores, tag_of

ASSIGN, RELEASE, TRIM, MOVE = load("assign_seat"), load("release_seat"), load("trim_seats"), load("move_seat")
CREATE, WITHDRAW = load("create_invitation"), load("withdraw_invitation")

INVITATIONS_KEPT = 86_400
"""Seconds for which the list of invitations is kept beyond the last end. Only the end decides, by the service's clock."""
MOST_REMOVED = 1_000
"""The most readers remembered as having lost a seat."""

SeatVerdict = Literal["given", "again", "held", "closed", "full", "retry"]
CreateVerdict = Literal["created", "full", "retry"]


@dataclass(frozen=True, slots=True)
class Seat:
    """A reader with a seat, and since when (epoch seconds)."""

    reader: str
    since: int


def seats_of(obj: StoredObject) -> tuple[Seat, ...]:
    """Return the seats of a subscription, the oldest first."""
    assigned = sorted(obj.seats.items(), key=lambda seat: (seat[1], seat[0]))
    return tuple(Seat(reader, since // 1000) for reader, since in assigned)


class Seats(StoreRecords):
    """Assigns seats. `name` is the subscription's; `audit` is written with the change, to the outbox of its partition.

    Raises: StoreUnavailable from every method.
    """

    def assign(
        self, name: str, rev: int, quantity: int, reader: str, *, now: float, audit: bytes, invitation: str = ""
    ) -> SeatVerdict:
        """Assign a seat if one is free; with an invitation if that is open. Returns the verdict of `lua/assign_seat.lua`."""
        own = self.keys
        keys = [*self._keys_of(name), own.outbox(tag_of(name)), own.invitations(name), own.accepted_invitations(name)]
        verdict = self._link.run(ASSIGN, keys, [rev, quantity, reader, ms(now), name, audit, invitation])
        return cast(SeatVerdict, verdict.decode())

    def release(self, name: str, reader: str, now: float, audit: bytes) -> None:
        """Release a seat, so that the invitation that led to it is used up."""
        own, accepted = self.keys, self.keys.accepted_invitations(name)
        queue, outbox = own.fan_out_queue(partition_of(name)), own.outbox(tag_of(name))
        keys = [own.stripe_object(name), own.seats(name), accepted, queue, outbox]
        self._link.run(RELEASE, keys, [reader, ms(now), name, audit])

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


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation and its end (epoch seconds)."""

    id: str
    until: int


class Invitations(StoreRecords):
    """Stores invitations. `name` is the subscription's. Raises: StoreUnavailable from every method."""

    def create(self, name: str, rev: int, quantity: int, invitation: Invitation, now: float) -> CreateVerdict:
        """Create an invitation while fewer are open than seats are free; a repeat changes nothing.

        `retry`: the subscription has changed since the quantity was computed.
        """
        keys = [self.keys.stripe_object(name), self.keys.seats(name), self.keys.invitations(name)]
        lifetime = math.ceil(invitation.until - now) + INVITATIONS_KEPT
        arguments = (rev, quantity, ms(now), invitation.id, ms(invitation.until), lifetime)
        return cast(CreateVerdict, self._link.run(CREATE, keys, arguments).decode())

    def withdraw(self, name: str, invitation: str, now: float) -> Invitation | None:
        """Withdraw an open invitation; a repeat changes nothing. Returns `None` if it was used, has ended or is unknown."""
        until = self._link.run(WITHDRAW, [self.keys.invitations(name)], [invitation, ms(now)])
        return None if until is None else Invitation(invitation, until // 1000)

    def list_open(self, names: Sequence[str], now: float) -> list[list[Invitation]]:
        """Return the open invitations of each subscription, the first to end first, in one round trip."""
        keys = [self.keys.invitations(name) for name in names]
        limits = (b"(%d" % ms(now), b"+inf", b"BYSCORE", b"WITHSCORES")
        rows = self._read_each(b"ZRANGE", keys, *limits)
        return [[Invitation(name, until // 1000) for name, until in scores(row).items()] for row in rows]

    def list_accepted(self, names: Sequence[str], reader: str) -> list[list[str]]:
        """Return, of each subscription, the invitations by which a reader got their seat."""
        keys = [self.keys.accepted_invitations(name) for name in names]
        found = self._read_each(b"HGET", keys, reader.encode())
        return [(value or b"").decode().split() for value in found]

    def withdraw_all(self, names: Sequence[str]) -> None:
        """Delete all invitations of these subscriptions that are not used."""
        for name in names:
            self._call(b"DEL", self.keys.invitations(name))
