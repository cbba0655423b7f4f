"""Which servers are the store: the address' own server, the master that the sentinels name, or the masters of a cluster.

A topology is what one probe found. It is replaced as a whole: by the next probe after an outage, or when a cluster
reports that a slot has moved. The prober looks for it, off the request path; only a cluster's MOVED makes the request that
met it look again.

A request to several servers is one wait: all commands are sent before the first reply is read. A cluster can redirect a
command: MOVED (the slot lies elsewhere now), ASK (this key does, while the slot moves), or TRYAGAIN (the keys of one
command are on both sides). A redirected command has changed nothing, so sending it again is safe.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from redis.crc import key_slot

from service.adapters.redis.client.address import Address
from service.adapters.redis.client.connection import Endpoint, Node, ReplyError, StoreConnection, pack
from service.adapters.redis.client.errors import ConnectionLost, outage_in
from service.adapters.redis.client.opening import Peer
from service.domain.errors import StoreUnavailable

SLOTS = 16384
_CLUSTER_SLOTS = pack((b"CLUSTER", b"SLOTS"))
_ASKING = pack((b"ASKING",))


@dataclass(frozen=True, eq=False)
class Topology:
    """The masters; for a cluster also which of them serves each of the 16,384 slots."""

    masters: tuple[Node, ...]
    slots: tuple[Node, ...] = ()

    def node_for(self, key: bytes) -> Node:
        """Return the master that serves this key."""
        return self.slots[key_slot(key)] if self.slots else self.masters[0]

    def key_on(self, node: Node, key: bytes) -> bytes:
        """Return the key; for a cluster with a hash tag appended, by which it lies on this node."""
        if not self.slots:
            return key
        keys = (b"%b{%d}" % (key, number) for number in range(SLOTS * 8))
        return next((tagged for tagged in keys if self.slots[key_slot(tagged)] is node), key)

    def retire(self) -> None:
        for node in self.masters:
            node.retire()


class NameResolver:
    """The name service, asked on a thread of its own: it can take many seconds to fail, and no caller waits that long."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._known: dict[Endpoint, tuple[Peer, ...]] = {}
        self._threads: dict[Endpoint, threading.Thread] = {}

    def resolve(self, endpoint: Endpoint) -> tuple[Peer, ...]:
        """Return the addresses of a host, or the last known ones while the name service hangs.

        Raises: StoreUnavailable if the name is unknown.
        """
        if endpoint.path:
            return ()
        try:
            return _addresses(endpoint, socket.AI_NUMERICHOST)
        except OSError:
            pass
        thread = self._threads.get(endpoint)
        if thread is None or not thread.is_alive():
            thread = threading.Thread(target=self._look_up, args=(endpoint,), name="store-name", daemon=True)
            self._threads[endpoint] = thread
            thread.start()
        thread.join(self._timeout)
        if peers := self._known.get(endpoint, ()):
            return peers
        raise StoreUnavailable("dns", "the store's host name is not known")

    def _look_up(self, endpoint: Endpoint) -> None:
        try:
            self._known[endpoint] = _addresses(endpoint, 0)
        except (OSError, UnicodeError):  # UnicodeError: the name is not a valid host name
            self._known.pop(endpoint, None)


def _addresses(endpoint: Endpoint, flags: int) -> tuple[Peer, ...]:
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=flags)
    return tuple((family, peer) for family, _, _, _, peer in found)


class Discovery:
    """Finds the servers behind an address. It remembers only which server to ask first."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._resolver = NameResolver(timeout)
        hosts = [Endpoint(host, port) for host, port in address.hosts]
        self._sources = hosts or [Endpoint(path=address.path)]
        self._seeds = tuple(hosts)

    def candidates(self) -> Iterator[Topology]:
        """Yield a topology for each server that can be asked, the most trusted first, each with nodes of its own.

        A sentinel or node that was cut off can be out of date, so the prober tries one candidate after another.

        Raises: StoreUnavailable, for the server that was asked last, if there is no candidate.
        """
        failure: StoreUnavailable | None = None
        found = False
        for source in tuple(self._sources):
            try:
                topology = self._ask(source)
            except StoreUnavailable as error:
                failure = error
            else:
                found = True
                yield topology
            # This source did not answer, or the caller rejected its candidate: ask it last next time.
            self._sources.sort(key=source.__eq__)
        if not found and failure:
            raise failure

    def is_deposed(self, topology: Topology) -> bool:
        """Return whether the first sentinel that answers names another master than this topology's."""
        for source in tuple(self._sources):
            try:
                return self._master(source) != topology.masters[0].endpoint
            except StoreUnavailable:
                self._sources.sort(key=source.__eq__)
        return False

    def refresh_cluster(self, topology: Topology, node: Node) -> Topology:
        """Return the cluster as `node`, which answered MOVED, knows it; nodes that still serve slots are kept."""
        connection = node.acquire()
        endpoints = self._slots(connection, node.endpoint)
        node.release(connection)
        return self._cluster(endpoints, {node.endpoint: node for node in topology.masters})

    def node(self, endpoint: Endpoint) -> Node:
        """Return a node without connections. Raises: StoreUnavailable if its name cannot be resolved."""
        return Node(endpoint, self._resolver.resolve(endpoint), self._address, self._timeout)

    def _ask(self, source: Endpoint) -> Topology:
        if self._address.kind == "sentinel":
            return Topology((self.node(self._master(source)),))
        node = self.node(source)
        if self._address.kind != "cluster":
            return Topology((node,))
        connection = node.connect()
        try:
            endpoints = self._slots(connection, source)
        finally:
            connection.close()
        masters = list(dict.fromkeys(endpoints))
        self._sources = [*masters, *(seed for seed in self._seeds if seed not in masters)]
        return self._cluster(endpoints, {})

    def _cluster(self, endpoints: Sequence[Endpoint], nodes: dict[Endpoint, Node]) -> Topology:
        masters = {endpoint: nodes.get(endpoint) or self.node(endpoint) for endpoint in dict.fromkeys(endpoints)}
        return Topology(tuple(masters.values()), tuple(masters[endpoint] for endpoint in endpoints))

    def _slots(self, connection: StoreConnection, asked: Endpoint) -> list[Endpoint]:
        """Return the server of each slot, from CLUSTER SLOTS: `[[first, last, [host, port, …], replicas…], …]`."""
        (reply,) = connection.execute(_CLUSTER_SLOTS, 1)
        if isinstance(reply, ReplyError):
            raise StoreUnavailable(outage_in(str(reply)) or "protocol", str(reply))
        endpoints: list[Endpoint | None] = [None] * SLOTS
        for first, last, (host, port, *_), *_ in reply:
            # A node that does not know its own name returns no host; then it is the one that was asked.
            endpoint = Endpoint(host.decode() if host else asked.host, port)
            endpoints[first : last + 1] = [endpoint] * (last - first + 1)
        covered = [endpoint for endpoint in endpoints if endpoint]
        if len(covered) < SLOTS:
            raise StoreUnavailable("clusterdown", "the cluster does not serve every slot")
        return covered

    def _master(self, sentinel: Endpoint) -> Endpoint:
        """Return the master that this sentinel names. If the sentinel wants a log-in, it is the store's."""
        address = replace(self._address, kind="single", username=None, password=None, db=0)
        command = pack((b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self._address.service))
        connection = Node(sentinel, self._resolver.resolve(sentinel), address, self._timeout).connect()
        try:
            reply: Any
            (reply,) = connection.execute(command, 1)
            if isinstance(reply, ReplyError) and outage_in(str(reply)) == "auth" and self._address.password is not None:
                login = [name for name in (self._address.username, self._address.password) if name is not None]
                reply = connection.execute(pack((b"AUTH", *login)) + command, 2)[1]
        finally:
            connection.close()
        if not isinstance(reply, list) or len(reply) != 2:
            raise StoreUnavailable("no_master", "the sentinels know no master of this name")
        return Endpoint(reply[0].decode(), int(reply[1]))


class NodeCommand(NamedTuple):
    """A packed command for a node; `asking` makes the node answer for a slot that is still moving to it."""

    node: Node
    packed: bytes
    asking: bool = False


class Redirect(NamedTuple):
    """Where a cluster sends a command: `kind` is MOVED, ASK or TRYAGAIN (then `endpoint` is the node that said so)."""

    kind: str
    endpoint: Endpoint


def execute_all(commands: Sequence[NodeCommand], *, repeatable: bool) -> list[Any]:
    """Return one reply a command, in order, with one write a node; close what stays unread. Raises: StoreUnavailable."""
    groups: dict[Node, list[int]] = {}
    for number, command in enumerate(commands):
        groups.setdefault(command.node, []).append(number)
    packed = {node: _packed([commands[number] for number in numbers]) for node, numbers in groups.items()}
    replies: list[Any] = [None] * len(commands)
    unread: dict[Node, StoreConnection] = {}
    try:
        for node in groups:
            connection = unread[node] = node.acquire() if repeatable else node.acquire_live()
            try:
                connection.send(packed[node][0])
            except ConnectionLost:
                if not (repeatable and connection.pooled):
                    raise
        for node, numbers in groups.items():
            answers = iter(_receive(node, unread.pop(node), *packed[node], repeatable=repeatable))
            for number in numbers:
                if commands[number].asking:
                    next(answers)  # the OK of ASKING itself
                replies[number] = next(answers)
    finally:
        for connection in unread.values():
            connection.close()
    return replies


def _packed(commands: Sequence[NodeCommand]) -> tuple[bytes, int]:
    """Return the bytes of commands for one node, and the number of replies to them."""
    parts = [_ASKING * command.asking + command.packed for command in commands]
    return b"".join(parts), len(commands) + sum(command.asking for command in commands)


def _receive(node: Node, connection: StoreConnection, packed: bytes, count: int, *, repeatable: bool) -> list[Any]:
    try:
        replies = connection.receive(count)
    except ConnectionLost:
        if not (repeatable and connection.pooled):
            raise
        replies, connection = node.execute_again(packed, count)
    node.release(connection)
    return replies


def is_redirect(reply: Any) -> bool:
    """Return whether a reply is a redirection; then the command has changed nothing."""
    return reply.__class__ is ReplyError and str(reply).partition(" ")[0] in ("MOVED", "ASK", "TRYAGAIN")


def redirect_in(reply: Any, node: Node) -> Redirect | None:
    """Return where a node's reply redirects the command, or None if it does not."""
    if reply.__class__ is not ReplyError:
        return None
    kind, _, rest = str(reply).partition(" ")
    if kind == "TRYAGAIN":
        return Redirect(kind, node.endpoint)
    if kind not in ("MOVED", "ASK"):
        return None
    host, _, port = rest.rpartition(" ")[2].rpartition(":")
    return Redirect(kind, Endpoint(host or node.endpoint.host, int(port)))
