"""Who is the store now? The address' own server, the master that the sentinels name, or the masters of a cluster.

Asked by the prober, off the request path, except that a cluster's MOVED makes the request that met it ask anew.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from service.adapters.redis.client.address import Address
from service.adapters.redis.client.connection import Endpoint, Peer, ReplyError, Wire, pack
from service.adapters.redis.client.errors import outage_in
from service.adapters.redis.client.nodes import SLOTS, Node, View
from service.domain.errors import StoreUnavailable

_CLUSTER_SLOTS = pack((b"CLUSTER", b"SLOTS"))


class Names:
    """The name service, asked on a thread of its own: it may take many seconds to say no, and nobody waits for it."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._known: dict[Endpoint, tuple[Peer, ...]] = {}
        self._asking: dict[Endpoint, threading.Thread] = {}

    def peers(self, endpoint: Endpoint) -> tuple[Peer, ...]:
        """The addresses of a host, or those it had last where the name service hangs. Raises StoreUnavailable."""
        if endpoint.path:
            return ()
        try:
            return _addresses(endpoint, socket.AI_NUMERICHOST)
        except OSError:
            pass
        thread = self._asking.get(endpoint)
        if thread is None or not thread.is_alive():
            thread = threading.Thread(target=self._ask, args=(endpoint,), name="store-name", daemon=True)
            self._asking[endpoint] = thread
            thread.start()
        thread.join(self._timeout)
        if peers := self._known.get(endpoint, ()):
            return peers
        raise StoreUnavailable("dns", "the store's host name is not known")

    def _ask(self, endpoint: Endpoint) -> None:
        try:
            self._known[endpoint] = _addresses(endpoint, 0)
        except (OSError, UnicodeError):  # UnicodeError: a name that cannot be one
            self._known.pop(endpoint, None)


def _addresses(endpoint: Endpoint, flags: int) -> tuple[Peer, ...]:
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=flags)
    return tuple((family, peer) for family, _, _, _, peer in found)


class Discovery:
    """Finds the servers behind an address. Remembers only whom to ask first."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._names = Names(timeout)
        hosts = [Endpoint(host, port) for host, port in address.hosts]
        self._sources = hosts or [Endpoint(path=address.path)]
        self._seeds = tuple(hosts)

    def views(self) -> Iterator[View]:
        """Every opinion there is on who the store is, the best first; each with nodes of its own.

        An opinion can be out of date (a sentinel or a node that was cut off), so the prober tries one after another.
        Raises StoreUnavailable, for the last that was asked, where there is none.
        """
        failure: StoreUnavailable | None = None
        found = False
        for source in tuple(self._sources):
            try:
                view = self._ask(source)
            except StoreUnavailable as error:
                failure = error
            else:
                found = True
                yield view
            # Who did not answer, or whose opinion did not hold (we are asked for another), is asked last next time.
            self._sources.sort(key=source.__eq__)
        if not found and failure:
            raise failure

    def deposed(self, view: View) -> bool:
        """Whether the first sentinel that answers names another master than this view's."""
        for source in tuple(self._sources):
            try:
                return self._master(source) != view.masters[0].endpoint
            except StoreUnavailable:
                self._sources.sort(key=source.__eq__)
        return False

    def again(self, view: View, asked: Node) -> View:
        """A cluster's slots as the node that said MOVED knows them, with the same nodes where they still serve."""
        wire = asked.take()
        found = self._slots(wire, asked.endpoint)
        asked.give(wire)
        return self._cluster(found, {node.endpoint: node for node in view.masters})

    def node(self, endpoint: Endpoint) -> Node:
        """A node of the store, with no connection yet. Raises StoreUnavailable where its name is not known."""
        return Node(endpoint, self._names.peers(endpoint), self._address, self._timeout)

    def _ask(self, source: Endpoint) -> View:
        if self._address.kind == "sentinel":
            return View((self.node(self._master(source)),))
        node = self.node(source)
        if self._address.kind != "cluster":
            return View((node,))
        wire = node.dial()
        try:
            found = self._slots(wire, source)
        finally:
            wire.close()
        masters = list(dict.fromkeys(found))
        self._sources = [*masters, *(seed for seed in self._seeds if seed not in masters)]
        return self._cluster(found, {})

    def _cluster(self, found: Sequence[Endpoint], nodes: dict[Endpoint, Node]) -> View:
        masters = {endpoint: nodes.get(endpoint) or self.node(endpoint) for endpoint in dict.fromkeys(found)}
        return View(tuple(masters.values()), tuple(masters[endpoint] for endpoint in found))

    def _slots(self, wire: Wire, asked: Endpoint) -> list[Endpoint]:
        """Who serves each slot, by CLUSTER SLOTS: `[[first, last, [host, port, …], replicas…], …]`."""
        (reply,) = wire.ask(_CLUSTER_SLOTS, 1)
        found: list[Endpoint | None] = [None] * SLOTS
        for first, last, (host, port, *_), *_ in _sound(reply):
            # No host means "the one you asked", as a node has it that was never told its own name.
            endpoint = Endpoint(host.decode() if host else asked.host, port)
            found[first : last + 1] = [endpoint] * (last - first + 1)
        covered = [endpoint for endpoint in found if endpoint]
        if len(covered) < SLOTS:
            raise StoreUnavailable("clusterdown", "the cluster does not serve every slot")
        return covered

    def _master(self, sentinel: Endpoint) -> Endpoint:
        """The master that this sentinel names. Its own log-in, where it wants one, is that of the store."""
        plain = replace(self._address, kind="single", username=None, password=None, db=0)
        question = pack((b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self._address.service))
        wire = Wire(sentinel, self._names.peers(sentinel), plain, self._timeout)
        try:
            (reply,) = wire.ask(question, 1)
            if isinstance(reply, ReplyError) and outage_in(str(reply)) == "auth" and self._address.password is not None:
                login = (
                    (self._address.username, self._address.password)
                    if self._address.username
                    else (self._address.password,)
                )
                reply = wire.ask(pack((b"AUTH", *login)) + question, 2)[1]
        finally:
            wire.close()
        if not isinstance(reply, list) or len(reply) != 2:
            raise StoreUnavailable("no_master", "the sentinels know no master of this name")
        return Endpoint(reply[0].decode(), int(reply[1]))


def _sound(reply: Any) -> Any:
    if isinstance(reply, ReplyError):
        raise StoreUnavailable(outage_in(str(reply)) or "protocol", str(reply))
    return reply
