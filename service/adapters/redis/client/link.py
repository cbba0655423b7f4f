"""The store's client: the one round trip of an access check, the Lua scripts, and everything slower.

Every call returns a reply or raises StoreUnavailable (the store cannot be reached or written now) or StoreError (it refused
the command). `read` and `run` are on the path of an access check, and therefore do without redis-py's command layer;
`docs/decisions` has the measurements.
"""

from __future__ import annotations

import os
import time
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, NoReturn

from redis import Redis
from redis.exceptions import RedisError

from service.adapters.redis.client.address import Address
from service.adapters.redis.client.breaker import CircuitBreaker
from service.adapters.redis.client.connection import Argument, Node, ReplyError, pack
from service.adapters.redis.client.errors import StoreError, outage_in
from service.adapters.redis.client.memory import NO_LIMIT, MemoryUse
from service.adapters.redis.client.opening import failure_from
from service.adapters.redis.client.prober import LOCAL_FAILURES, Prober
from service.adapters.redis.client.scripts import Script, ScriptCall, load
from service.adapters.redis.client.topology import Discovery, NodeCommand, Redirect, Topology, execute_all, redirect_in
from service.domain.errors import StoreUnavailable

Command = tuple[bytes, tuple[bytes, ...]]
"""A routing key, and the arguments of a command."""

SETTINGS = (
    "appendonly",
    "appendfsync",
    "maxmemory",
    "maxmemory-policy",
    "save",
    "min-replicas-to-write",
    "min-replicas-max-lag",
)
"""The settings that `doctor` reads: durability, and what happens when memory is full."""

_CHUNK = 200  # commands in one write of a pipeline: no reply waits for a long row of others
_REDIRECTS = 5  # how often one request follows a cluster's redirections
_KEYS_A_PAGE = 500
PROBE_EVERY = 0.1
"""Seconds between two probes while the store is unavailable."""
_WHEN_FULL = load("write_when_full")


def pack_call(call: ScriptCall) -> bytes:
    """Return the packed command of a script that the store knows."""
    return pack((b"EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args))


def is_unknown_script(reply: Any) -> bool:
    """Return whether the store has lost the script, as after a restart; then the call has changed nothing."""
    return reply.__class__ is ReplyError and str(reply).startswith("NOSCRIPT")


class Link:
    """The store behind an address. Nothing connects and no thread starts before the first use or `start()`.

    `timeout` (seconds) bounds every wait, and `on_change(available, why, detail)` is called for every change. Safe for
    many threads, and after a fork.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout: float = 0.25,
        on_change: Callable[[bool, str, str], None] | None = None,
        probe_key: bytes = b"pw:probe",
    ) -> None:
        self.address = address
        self._discovery = Discovery(address, timeout)
        self._prober = Prober(address, self._discovery, probe_key, timeout)
        self._breaker = CircuitBreaker(
            self._prober.probe,
            timeout=timeout,
            probe_every=PROBE_EVERY,
            on_change=on_change,
            monitor=self._prober.monitor,
        )
        _LINKS.add(self)

    def use_loop(self, loop: AbstractEventLoop) -> None:
        """Let the prober open connections for an event loop too; `LoopAccess` uses them. Call it before `start`."""
        self._prober.loop = loop

    def start(self) -> None:
        """Start the prober, which looks for the store at once. Call it once a process, after the fork."""
        self._breaker.start()

    def close(self) -> None:
        """End the prober and close the idle connections; calls under way finish, later ones fail."""
        self._breaker.close()

    @property
    def available(self) -> bool:
        """Return whether the breaker is closed; while it is open calls fail at once."""
        return not self._breaker.is_open

    @property
    def why(self) -> str:
        """Return the word for what opened the breaker, or an empty string."""
        return self._breaker.why

    def topology(self) -> Topology | None:
        """Return the store's servers; `None` before the first probe has ended. It never waits.

        Raises: StoreUnavailable while the breaker is open.
        """
        if self._breaker.topology is None and not self._breaker.is_open:
            return None
        return self._breaker.topology or self._breaker.require_topology()

    def trip(self, topology: Topology, failure: StoreUnavailable) -> None:
        """Open the breaker after a failure of this topology."""
        self._breaker.trip(topology, failure)

    def connect_loop(self) -> None:
        """Open the event loop's connections that are missing, as to a server that is new in a cluster."""
        topology = self._breaker.topology
        if topology is not None:
            with suppress(StoreUnavailable):
                for node in topology.masters:
                    self._prober.open_pipe(node)

    def wait(self, seconds: float) -> bool:
        """Wait for the store, at most so long, and return whether it is available. A request never waits."""
        return self._breaker.wait_until_available(seconds)

    # On the path of an access check.

    def read(self, commands: Sequence[Command]) -> list[Any]:
        """Run all commands in one round trip and return raw replies (bytes, int, list, None) in their order.

        For reads only: where an idle connection turns out to be closed, all of them are sent again on a new one.
        Without commands ask nothing.
        """
        if not commands:
            return []
        topology = self._breaker.topology or self._breaker.require_topology()
        if topology.slots:
            packed_commands = [(key, pack(parts)) for key, parts in commands]
            return self.checked(topology, self._route(topology, packed_commands, repeatable=True))
        packed = b"".join([pack(parts) for _, parts in commands])
        replies = self._execute(topology, topology.masters[0], packed, len(commands), repeatable=True)
        return self.checked(topology, replies)

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[Argument]) -> Any:
        """Run a script. In a cluster, its keys share a slot. It is sent again only where the store did not know it."""
        topology = self._breaker.topology or self._breaker.require_topology()
        packed = pack((b"EVALSHA", script.sha, len(keys), *keys, *args))
        reply = self._execute_on_key(topology, keys[0], packed)
        if is_unknown_script(reply):
            # EVAL loads and runs it wherever a cluster redirects the command; SCRIPT LOAD would stay behind.
            packed = pack((b"EVAL", script.text, len(keys), *keys, *args))
            reply = self._execute_on_key(topology, keys[0], packed)
        return self.checked(topology, [reply])[0]

    def run_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts in one round trip, each as `run` does; without scripts ask nothing.

        They stand alone: one can fail and the next be done.
        """
        if not calls:
            return []
        topology = self._breaker.topology or self._breaker.require_topology()
        packed = [(call.keys[0], pack_call(call)) for call in calls]
        replies = self._route(topology, packed, repeatable=False)
        for number, call in enumerate(calls):
            if is_unknown_script(replies[number]):
                replies[number] = self.run(*call)
        return self.checked(topology, replies)

    # Slower paths.

    def call(self, key: bytes, *parts: Argument) -> Any:
        """Run one command on one key, a read or a write. It is sent again only where the store's memory was full."""
        topology = self._breaker.topology or self._breaker.require_topology()
        reply = self._execute_on_key(topology, key, pack(parts))
        if reply.__class__ is ReplyError and outage_in(str(reply)) == "oom" and parts[0] != b"EVALSHA":
            # The refused command has changed nothing. A script states itself whether it may write to a full store.
            return self.run(_WHEN_FULL, [key], parts)
        return self.checked(topology, [reply])[0]

    def call_key(self, command: bytes, key: bytes, *arguments: Argument) -> Any:
        """Run a command that begins with its key, as `call` does."""
        return self.call(key, command, key, *arguments)

    def read_key(self, command: bytes, key: bytes, *arguments: bytes) -> Any:
        """Run one command that reads a key, as `read` does."""
        return self.read([(key, (command, key, *arguments))])[0]

    def read_each(self, command: bytes, keys: Iterable[bytes], *arguments: bytes) -> list[Any]:
        """Run one command on each of these keys, as `read` does."""
        return self.read([(key, (command, key, *arguments)) for key in keys])

    def pipeline(self, commands: Sequence[tuple[bytes, tuple[Argument, ...]]]) -> list[Any]:
        """Run many commands over many keys, in bounded writes. They may write: see `call`.

        Each command stands alone: where one fails, those before it and some after it can be done.
        """
        replies: list[Any] = []
        for start in range(0, len(commands), _CHUNK):
            topology = self._breaker.topology or self._breaker.require_topology()
            chunk = commands[start : start + _CHUNK]
            if self.memory().is_filling:  # One after another: a command must not overtake one that was refused.
                replies += [self.call(key, *parts) for key, parts in chunk]
                continue
            packed = [(key, pack(parts)) for key, parts in chunk]
            replies += self.checked(topology, self._route(topology, packed, repeatable=False))
        return replies

    def each_master(self, *parts: Argument) -> list[tuple[str, Any]]:
        """Run one command on every master and return (host:port, raw reply) of each. For INFO, TIME, DBSIZE."""
        topology = self._breaker.topology or self._breaker.require_topology()
        replies = []
        for node in topology.masters:
            reply = self._execute(topology, node, pack(parts), 1, repeatable=False)
            replies.append((str(node.endpoint), self.checked(topology, reply)[0]))
        return replies

    def scan_nodes(self, match: bytes) -> Iterator[list[bytes]]:
        """Yield every key of every master that matches the glob pattern, in pages; a key can occur twice."""
        topology = self._breaker.topology or self._breaker.require_topology()
        for node in topology.masters:
            with self._redis_py_client(topology, node) as client:
                keys = client.scan_iter(match, _KEYS_A_PAGE)
                yield from iter(lambda keys=keys: list(islice(keys, _KEYS_A_PAGE)), [])  # type: ignore[misc]

    def scan_key(self, command: bytes, key: bytes, count: int) -> Iterator[list[bytes]]:
        """Yield what HSCAN, SSCAN or ZSCAN finds under a key, about `count` members a page; one can occur twice."""
        cursor = b"0"
        while True:
            cursor, row = self.read_key(command, key, cursor, b"COUNT", b"%d" % count)
            yield row
            if cursor == b"0":
                return

    @property
    def is_cluster(self) -> bool:
        """Return whether keys lie in slots, which a script must not mix; `True` before the first probe has ended."""
        topology = self._breaker.topology
        return topology is None or bool(topology.slots)

    def memory_at(self, key: bytes) -> MemoryUse:
        """Return the memory of the server with this key, as read at most a second ago."""
        topology = self._breaker.topology
        if topology is None:
            return NO_LIMIT
        return topology.node_for(key).memory if topology.slots else topology.masters[0].memory

    def memory(self) -> MemoryUse:
        """Return the memory of the fullest server, as read at most a second ago."""
        topology = self._breaker.topology
        masters = topology.masters if topology is not None else ()
        return max((node.memory for node in masters), key=lambda use: use.share, default=NO_LIMIT)

    def ready(self) -> bool:
        """Return whether the store can be reached and written now, with every script loaded: for `/readyz`."""
        try:
            topology = self._breaker.topology or self._breaker.require_topology()
        except StoreUnavailable:
            return False
        try:
            self._prober.check(topology)
        except StoreUnavailable as failure:
            self._breaker.trip(topology, failure)
            return False
        return True

    def info(self) -> dict[str, object]:
        """Return what `doctor` reports of the first master: `server`, `version`, `mode`, `masters`, `replicas`.

        Where CONFIG may be read, the `SETTINGS` are in it too, in the store's own spelling.
        """
        topology = self._breaker.topology or self._breaker.require_topology()
        with self._redis_py_client(topology, topology.masters[0]) as client:
            info = client.info()
            found: dict[str, object] = {
                "server": "valkey" if "valkey_version" in info else "redis",
                "version": info.get("valkey_version") or info.get("redis_version", ""),
                "mode": self.address.kind,
                "masters": len(topology.masters),
                "replicas": info.get("connected_slaves", 0),
            }
            try:
                settings = client.config_get(*SETTINGS)
            except RedisError:  # hosting providers often forbid CONFIG
                return found
        return found | {str(name): value for name, value in settings.items()}

    @contextmanager
    def _redis_py_client(self, topology: Topology, node: Node) -> Iterator[Redis]:
        """Yield redis-py's client for one master; its exceptions become this package's."""
        try:
            with node.redis_py_client() as client:
                yield client
        except RedisError as error:
            failure = failure_from(error)
            if isinstance(failure, StoreUnavailable):
                self._breaker.trip(topology, failure)
            raise failure from None
        except StoreUnavailable as unavailable:
            self._breaker.trip(topology, unavailable)
            raise

    # How a command gets to its server, and its reply back.

    def _execute(self, topology: Topology, node: Node, packed: bytes, count: int, *, repeatable: bool) -> list[Any]:
        try:
            return node.execute(packed, count, repeatable=repeatable)
        except StoreUnavailable as failure:
            self._breaker.trip(topology, failure)
            raise

    def _execute_on_key(self, topology: Topology, key: bytes, packed: bytes) -> Any:
        if topology.slots:
            return self._route(topology, [(key, packed)], repeatable=False)[0]
        return self._execute(topology, topology.masters[0], packed, 1, repeatable=False)[0]

    def checked(self, topology: Topology, replies: list[Any]) -> list[Any]:
        """Return the replies. Raises: StoreUnavailable or StoreError for the first one that is an error."""
        for reply in replies:
            if reply.__class__ is ReplyError:
                self._raise_error(topology, str(reply))
        return replies

    def _raise_error(self, topology: Topology, text: str) -> NoReturn:
        why = outage_in(text)
        if why is None:
            # The store repeats the arguments of a command that it does not know: one of them can be a reader's ID.
            raise StoreError(text.split(", with args beginning with", 1)[0])
        if why == "oom":  # What must be written is written from now on, not only when the prober has read the memory.
            for node in topology.masters:
                node.memory = node.memory.filled()
        if why not in LOCAL_FAILURES:
            self._breaker.trip(topology, StoreUnavailable(why))  # Without the text, which can name keys.
        raise StoreUnavailable(why, text)

    def _route(self, topology: Topology, commands: Sequence[tuple[bytes, bytes]], *, repeatable: bool) -> list[Any]:
        """Send (key, packed command) to the node of each key; follow a cluster's redirections a few times."""
        if not topology.slots:
            packed = b"".join([packed for _, packed in commands])
            return self._execute(topology, topology.masters[0], packed, len(commands), repeatable=repeatable)
        replies: list[Any] = [None] * len(commands)
        pending = {number: NodeCommand(topology.node_for(key), packed) for number, (key, packed) in enumerate(commands)}
        try:
            for attempt in range(_REDIRECTS):
                redirected: dict[int, tuple[NodeCommand, Redirect]] = {}
                found = execute_all(list(pending.values()), repeatable=repeatable)
                for (number, command), reply in zip(pending.items(), found, strict=True):
                    replies[number] = reply
                    if redirect := redirect_in(reply, command.node):
                        redirected[number] = (command, redirect)
                if not redirected or attempt == _REDIRECTS - 1:
                    break
                topology = self._after_redirects(topology, list(redirected.values()), attempt)
                pending = {number: self._redirected(topology, *pair) for number, pair in redirected.items()}
        except StoreUnavailable as failure:
            self._breaker.trip(topology, failure)
            raise
        return replies

    def _after_redirects(
        self, topology: Topology, redirected: list[tuple[NodeCommand, Redirect]], attempt: int
    ) -> Topology:
        """Return the topology after redirections: MOVED refreshes all slots, TRYAGAIN waits a few milliseconds."""
        nodes = {redirect.kind: command.node for command, redirect in redirected}
        if "TRYAGAIN" in nodes:
            time.sleep(0.002 * 2**attempt)
        if "MOVED" not in nodes:
            return topology
        newer = self._discovery.refresh_cluster(topology, nodes["MOVED"])
        self._breaker.replace(topology, newer)
        return newer

    def _redirected(self, topology: Topology, command: NodeCommand, redirect: Redirect) -> NodeCommand:
        node = next((node for node in topology.masters if node.endpoint == redirect.endpoint), None)
        return NodeCommand(node or self._discovery.node(redirect.endpoint), command.packed, redirect.kind == "ASK")


_LINKS: weakref.WeakSet[Link] = weakref.WeakSet()


def _reset_after_fork() -> None:
    """Forget the parent's connections and prober in a child; closing its copies does not affect the parent's."""
    for link in _LINKS:
        link._breaker.reset()


os.register_at_fork(after_in_child=_reset_after_fork)
