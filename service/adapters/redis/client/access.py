"""How a coroutine asks the store: `BlockingAccess` from a thread, `LoopAccess` from an event loop.

An access check is a coroutine over a `StoreAccess`, so that threads, commands and the event loop run the same code. With
`BlockingAccess` it never waits, and `finish` runs it to its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from functools import lru_cache, partial
from typing import Any, ParamSpec, Protocol, TypeVar

from service.adapters.redis.client.connection import Node, ReplyError, pack
from service.adapters.redis.client.errors import ConnectionLost
from service.adapters.redis.client.keys import Keys, reader_hash, visitor_hash
from service.adapters.redis.client.link import Command, Link, is_unknown_script, pack_call
from service.adapters.redis.client.scripts import ScriptCall
from service.adapters.redis.client.topology import Topology, is_redirect
from service.domain.errors import StoreUnavailable

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_packed = lru_cache(maxsize=8_192)(pack)
"""The commands of a check are the same for each story that a reader opens."""


@lru_cache(maxsize=4_096)
def commands_of_check(
    keys: Keys, reader: str | None, visitor: str | None, meters: tuple[bytes, ...]
) -> Sequence[Command]:
    """Return the commands that read a reader's active record, then their meters (by code), then the visitor's.

    Where nothing is to be read, a command finds out whether the store is available.
    """
    commands: list[Command] = []
    names: list[bytes] = []
    if reader is not None:
        tag = reader_hash(reader)
        record = keys.reader(tag)
        commands.append((record, (b"HGETALL", record)))
        names += [keys.reader_meter(tag, code) for code in meters]
    if visitor is not None:
        tag = visitor_hash(visitor)
        names += [keys.visitor_meter(tag, code) for code in meters]
    commands += [(name, (b"GET", name)) for name in names]
    return tuple(commands) or ((keys.shared("probe"), (b"PING",)),)


class StoreAccess(Protocol):
    """Reads and scripts, as `Link` has them. Raises: StoreUnavailable and StoreError from every method."""

    async def read(self, commands: Sequence[Command]) -> list[Any]:
        """Run all commands in one round trip and return raw replies."""

    async def run(self, *calls: ScriptCall) -> list[Any]:
        """Run scripts in one round trip and return their replies."""

    async def in_thread(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **options: Parameters.kwargs
    ) -> Result:
        """Call a function that may wait, for the store or a file, where it holds up nobody else."""


class BlockingAccess:
    """Asks from the thread of its caller, which waits."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def read(self, commands: Sequence[Command]) -> list[Any]:
        return self._link.read(commands)

    async def run(self, *calls: ScriptCall) -> list[Any]:
        return [self._link.run(*calls[0])] if len(calls) == 1 else self._link.run_all(calls)

    async def in_thread(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **options: Parameters.kwargs
    ) -> Result:
        return function(*args, **options)


def finish(coroutine: Coroutine[None, None, Result]) -> Result:
    """Return what a coroutine over `BlockingAccess` returns."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    raise RuntimeError("a coroutine without an event loop waited")


class LoopAccess:
    """Asks from an event loop, over one connection a server. What the loop must not do itself runs in a thread."""

    def __init__(self, link: Link, loop: asyncio.AbstractEventLoop, threads: Executor) -> None:
        self._link = link
        self._loop = loop
        self._threads = threads

    async def read(self, commands: Sequence[Command]) -> list[Any]:
        """Run all commands in one round trip; see `StoreAccess`."""
        topology = self._link.topology()
        try:
            if topology is not None and not topology.slots:
                packed = b"".join([_packed(parts) for _, parts in commands])
                replies = await self._ask_one(topology, packed, len(commands))
            else:
                replies = await self._ask(topology, [(key, pack(parts)) for key, parts in commands])
        except ConnectionLost:  # A server closes a connection that was idle for long. A read can be sent again.
            replies = None
        if topology is None or replies is None:
            return await self.in_thread(self._read_and_connect, commands)
        if topology.slots and any(map(is_redirect, replies)):
            return await self.in_thread(self._link.read, commands)
        return self._link.checked(topology, replies)

    async def run(self, *calls: ScriptCall) -> list[Any]:
        """Run scripts in one round trip. After a lost connection nobody knows whether they ran: they are not sent again."""
        topology = self._link.topology()
        try:
            replies = await self._ask(topology, [(call.keys[0], pack_call(call)) for call in calls])
        except ConnectionLost as failure:
            if topology is not None:
                self._link.trip(topology, failure)
            raise
        if topology is None or replies is None:
            return await self.in_thread(self._run_and_connect, calls)
        for number, call in enumerate(calls):
            # Neither reply means a change: the call can be sent again.
            reply = replies[number]
            if reply.__class__ is ReplyError and (is_unknown_script(reply) or is_redirect(reply)):
                replies[number] = await self.in_thread(self._link.run, *call)
        return self._link.checked(topology, replies)

    async def in_thread(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **options: Parameters.kwargs
    ) -> Result:
        return await self._loop.run_in_executor(self._threads, partial(function, *args, **options))

    async def _ask(self, topology: Topology | None, packed: Sequence[tuple[bytes, bytes]]) -> list[Any] | None:
        """Return the replies to packed commands with their keys; `None` if a connection is missing: nothing was sent."""
        if topology is None:
            return None
        if not topology.slots:
            return await self._ask_one(topology, b"".join([command for _, command in packed]), len(packed))
        numbers: dict[Node, list[int]] = {}
        for number, (key, _) in enumerate(packed):
            numbers.setdefault(topology.node_for(key), []).append(number)
        pipes = {node: node.pipe for node in numbers}
        if not all(pipe is not None and pipe.is_open for pipe in pipes.values()):
            return None
        sent = [
            (found, pipe.send(b"".join([packed[number][1] for number in found]), len(found)))
            for (node, found) in numbers.items()
            if (pipe := pipes[node]) is not None
        ]
        replies: list[Any] = [None] * len(packed)
        failures: list[StoreUnavailable] = []
        for found, future in sent:
            try:
                for number, reply in zip(found, await future, strict=True):
                    replies[number] = reply
            except StoreUnavailable as failure:
                failures.append(failure)
        if failures:
            if not isinstance(failures[0], ConnectionLost):
                self._link.trip(topology, failures[0])
            raise failures[0]
        return replies

    async def _ask_one(self, topology: Topology, packed: bytes, count: int) -> list[Any] | None:
        pipe = topology.masters[0].pipe
        if pipe is None or not pipe.is_open:
            return None
        try:
            return await pipe.send(packed, count)
        except ConnectionLost:
            raise
        except StoreUnavailable as failure:
            self._link.trip(topology, failure)
            raise

    def _read_and_connect(self, commands: Sequence[Command]) -> list[Any]:
        replies = self._link.read(commands)
        self._link.connect_loop()
        return replies

    def _run_and_connect(self, calls: Sequence[ScriptCall]) -> list[Any]:
        replies = self._link.run_all(calls)
        self._link.connect_loop()
        return replies
