"""The store's client with a span around each round trip; these classes take the place of others while traces are on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from service.adapters.redis.client.access import Parameters, Result, StoreAccess
from service.adapters.redis.client.address import Address
from service.adapters.redis.client.connection import Argument
from service.adapters.redis.client.link import Command, Link
from service.adapters.redis.client.scripts import Script, ScriptCall

StoreSpan = Callable[[str, int], AbstractContextManager[None]]
"""Makes a span of a command's or a script's name, and of how many are sent at once."""


class TracedLink(Link):
    """A link that puts each round trip into a span. Keys and arguments stay out of it."""

    def __init__(self, address: Address, *, span: StoreSpan, **options: Any) -> None:
        super().__init__(address, **options)
        self._span = span

    def read(self, commands: Sequence[Command]) -> list[Any]:
        if not commands:
            return []
        with self._span(_first(commands), len(commands)):
            return super().read(commands)

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[Argument]) -> Any:
        with self._span(script.name, 1):
            return super().run(script, keys, args)

    def run_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        if not calls:
            return []
        with self._span(calls[0].script.name, len(calls)):
            return super().run_all(calls)

    def call(self, key: bytes, *parts: Argument) -> Any:
        with self._span(_name(parts[0]), 1):
            return super().call(key, *parts)

    def pipeline(self, commands: Sequence[tuple[bytes, tuple[Argument, ...]]]) -> list[Any]:
        with self._span("PIPELINE", len(commands)):
            return super().pipeline(commands)


class TracedAccess:
    """A `StoreAccess` that puts each round trip into a span."""

    def __init__(self, access: StoreAccess, span: StoreSpan) -> None:
        self._access = access
        self._span = span

    async def read(self, commands: Sequence[Command]) -> list[Any]:
        with self._span(_first(commands), len(commands)):
            return await self._access.read(commands)

    async def run(self, *calls: ScriptCall) -> list[Any]:
        with self._span(calls[0].script.name, len(calls)):
            return await self._access.run(*calls)

    async def in_thread(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **options: Parameters.kwargs
    ) -> Result:
        return await self._access.in_thread(function, *args, **options)


def _first(commands: Sequence[Command]) -> str:
    return _name(commands[0][1][0])


def _name(command: Argument) -> str:
    return command.decode() if isinstance(command, bytes) else str(command)
