"""What the circuit breaker's thread does: find the store, check that it works, and notice when it no longer takes writes."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from threading import Lock

from service.adapters.redis.client.address import Address
from service.adapters.redis.client.connection import Node, ReplyError, pack
from service.adapters.redis.client.errors import outage_in
from service.adapters.redis.client.memory import memory_use
from service.adapters.redis.client.pipe import Pipe
from service.adapters.redis.client.scripts import registered
from service.adapters.redis.client.topology import Discovery, Topology
from service.domain.errors import StoreUnavailable

LOCAL_FAILURES = frozenset({"noperm", "tryagain", "oom"})
"""Failures of one command, not of the store: the breaker stays closed."""
_PROBE_SECONDS = b"60"
_INFO = pack((b"INFO", b"memory"))


class Prober:
    """Probes and monitors the servers that a `Discovery` finds. `timeout` is in seconds."""

    def __init__(self, address: Address, discovery: Discovery, probe_key: bytes, timeout: float) -> None:
        self._address = address
        self._discovery = discovery
        self._probe_key = probe_key
        self._timeout = timeout
        self._opening = Lock()
        self.loop: AbstractEventLoop | None = None
        """The event loop that needs a connection to each server."""

    def probe(self) -> Topology:
        """Return the first topology that works: every master answers, takes a write and has the scripts."""
        failure = StoreUnavailable("no_master")
        for topology in self._discovery.candidates():
            try:
                self.check(topology)
            except StoreUnavailable as error:
                topology.retire()
                failure = error
            else:
                return topology
        raise failure

    def check(self, topology: Topology) -> None:
        """Check that every master takes a write, and load the scripts. Raises: StoreUnavailable."""
        scripts = registered()
        loading = b"".join([pack((b"SCRIPT", b"LOAD", script.text)) for script in scripts])
        for node in topology.masters:
            write = pack((b"SET", topology.key_on(node, self._probe_key), b"1", b"EX", _PROBE_SECONDS))
            *replies, info = node.execute(loading + write + _INFO, len(scripts) + 2, repeatable=False)
            for reply in replies:
                # A full store answers, and takes what must be written.
                if reply.__class__ is ReplyError and (why := outage_in(str(reply))) != "oom":
                    raise StoreUnavailable(why or "refused", str(reply))
            node.memory = memory_use(info)
            self.open_pipe(node)

    def monitor(self, topology: Topology) -> None:
        """Check that the master is still the master and takes writes: a process that only reads would not notice.

        The write changes nothing, because its key never exists. A server that does not answer is left to the requests.
        The same round trip reads how full the memory is.
        """
        if self._address.kind == "sentinel" and self._discovery.is_deposed(topology):
            raise StoreUnavailable("no_master", "the sentinels name another master")
        for node in topology.masters:
            write = pack((b"SET", topology.key_on(node, self._probe_key + b":none"), b"1", b"XX"))
            try:
                reply, info = node.execute(write + _INFO, 2, repeatable=True)
            except StoreUnavailable:
                return
            node.memory = memory_use(info)
            why = outage_in(str(reply)) if reply.__class__ is ReplyError else None
            if why not in (None, "moved", *LOCAL_FAILURES):
                raise StoreUnavailable(why or "", str(reply))

    def open_pipe(self, node: Node) -> None:
        """Open the event loop's connection to a server, unless it has one that works. Raises: StoreUnavailable."""
        with self._opening:
            if self.loop is not None and (node.pipe is None or not node.pipe.is_open):
                pipe = Pipe(self.loop, node.connect(), self._timeout)
                self.loop.call_soon_threadsafe(pipe.attach)
                node.keep_pipe(pipe)
