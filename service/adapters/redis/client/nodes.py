"""The servers we talk to: each with its idle connections, and a view of who serves which key.

A view is what a probe found, and is replaced as a whole: by the next probe after an outage, or when a cluster says that
a slot has moved. Nodes that are in no view any more are retired, and close whatever comes back to them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from redis.crc import key_slot

from service.adapters.redis.client.address import Address
from service.adapters.redis.client.connection import Endpoint, Peer, Wire, pack
from service.domain.errors import StoreUnavailable

SLOTS = 16384
_ROLE = pack((b"ROLE",))


class Node:
    """A server and its idle connections, the last one used on top: few stay warm, the rest fall idle together.

    No lock: a deque's pop and append are each one step under the interpreter's lock, and a connection that is out has
    one holder.
    """

    __slots__ = ("_address", "_idle", "_peers", "_retired", "_timeout", "endpoint")

    def __init__(self, endpoint: Endpoint, peers: Sequence[Peer], address: Address, timeout: float) -> None:
        self.endpoint = endpoint
        self._peers = peers
        self._address = address
        self._timeout = timeout
        self._idle: deque[Wire] = deque()
        self._retired = False

    def take(self) -> Wire:
        """An idle connection, which may have gone stale, or a new one. Raises StoreUnavailable."""
        try:
            return self._idle.pop()
        except IndexError:
            return self.dial()

    def take_sound(self) -> Wire:
        """A connection that is not known to be closed, for what must not be sent twice. Raises StoreUnavailable."""
        while True:
            wire = self.take()
            if not (wire.pooled and wire.stale()):
                return wire
            wire.close()

    def dial(self) -> Wire:
        """A new connection. Raises StoreUnavailable."""
        wire = Wire(self.endpoint, self._peers, self._address, self._timeout)
        if self._address.kind == "sentinel":
            # A master that has been deposed comes back as a replica, under the address that we remember.
            (role,) = wire.ask(_ROLE, 1)
            if not isinstance(role, list) or role[:1] != [b"master"]:
                wire.close()
                raise StoreUnavailable("no_master", "the server that was the master is one no longer")
        return wire

    def give(self, wire: Wire) -> None:
        """Take back a connection all of whose replies have been read."""
        wire.pooled = True
        self._idle.append(wire)
        if self._retired:
            self.drop()

    def retire(self) -> None:
        """Close what is idle now and what comes back later."""
        self._retired = True
        self.drop()

    def drop(self) -> None:
        """Close what is idle."""
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:  # another thread was quicker
                return


@dataclass(frozen=True, eq=False)
class View:
    """The masters, and on a cluster which of them serves each of the 16 384 slots."""

    masters: tuple[Node, ...]
    slots: tuple[Node, ...] = ()

    def node(self, key: bytes) -> Node:
        """Who serves this key."""
        if not self.slots:
            return self.masters[0]
        return self.slots[key_slot(key)]

    def key_at(self, node: Node, key: bytes) -> bytes:
        """The key itself, on a cluster with a hash tag behind it by which it lies on this node."""
        if not self.slots:
            return key
        keys = (b"%b{%d}" % (key, number) for number in range(SLOTS * 8))
        return next((tagged for tagged in keys if self.slots[key_slot(tagged)] is node), key)

    def retire(self) -> None:
        for node in self.masters:
            node.retire()
