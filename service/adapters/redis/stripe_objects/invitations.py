"""Invitations to the seats of a group subscription, in the slot of the subscription and its seats.

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
from service.adapters.redis.stripe_objects.objects import ms, scores, tag_of

CREATE, WITHDRAW, ACCEPT = load("create_invitation"), load("withdraw_invitation"), load("accept_invitation")

KEPT = 86_400
"""Seconds for which the list of invitations is kept beyond the last end. Only the end decides, by the service's clock."""

CreateVerdict = Literal["created", "full", "retry"]
AcceptVerdict = Literal["given", "again", "held", "closed", "full", "retry"]


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
        lifetime = math.ceil(invitation.until - now) + KEPT
        arguments = (rev, quantity, ms(now), invitation.id, ms(invitation.until), lifetime)
        return cast(CreateVerdict, self._link.run(CREATE, keys, arguments).decode())

    def withdraw(self, name: str, invitation: str, now: float) -> Invitation | None:
        """Withdraw an open invitation; a repeat changes nothing. Returns `None` if it was used, has ended or is unknown."""
        until = self._link.run(WITHDRAW, [self.keys.invitations(name)], [invitation, ms(now)])
        return None if until is None else Invitation(invitation, until // 1000)

    def accept(
        self, name: str, rev: int, quantity: int, reader: str, invitation: str, *, now: float, audit: bytes
    ) -> AcceptVerdict:
        """Assign the seat of an invitation. Returns the verdict of `lua/accept_invitation.lua`."""
        own, queue, outbox = self.keys, self.keys.fan_out_queue(partition_of(name)), self.keys.outbox(tag_of(name))
        keys = [own.stripe_object(name), own.seats(name), own.removed_seats(name), queue, outbox]
        keys += [own.invitations(name), own.accepted_invitations(name)]
        arguments = (rev, quantity, reader, ms(now), name, audit, invitation)
        return cast(AcceptVerdict, self._link.run(ACCEPT, keys, arguments).decode())

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
