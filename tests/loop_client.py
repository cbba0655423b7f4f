"""The store's client in an event loop, asked from a test's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from service.adapters.redis.client.access import LoopAccess
from service.adapters.redis.client.link import Command, Link
from service.adapters.redis.client.scripts import ScriptCall
from tests.rsgi_bridge import event_loop


class InLoop:
    """Asks by a `LoopAccess`, from a thread."""

    def __init__(self, link: Link, threads: ThreadPoolExecutor) -> None:
        link.use_loop(event_loop())
        self.link = link
        self._access = LoopAccess(link, event_loop(), threads)

    def read(self, *commands: Command) -> list[Any]:
        return asyncio.run_coroutine_threadsafe(self._access.read(commands), event_loop()).result(60)

    def run(self, *calls: ScriptCall) -> list[Any]:
        return self.begin(*calls).result(60)

    def begin(self, *calls: ScriptCall) -> Future[list[Any]]:
        return asyncio.run_coroutine_threadsafe(self._access.run(*calls), event_loop())

    def turn(self) -> None:
        """Wait until the loop has run what waits to be run."""
        for _ in range(3):
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), event_loop()).result(60)

    def get_all(self, keys: list[bytes]) -> list[Any]:
        """Read each key by a question of its own, all at once."""

        async def ask() -> list[Any]:
            return list(await asyncio.gather(*[self._access.read([(key, (b"GET", key))]) for key in keys]))

        return [reply for (reply,) in asyncio.run_coroutine_threadsafe(ask(), event_loop()).result(60)]


Ask = Callable[..., InLoop]


@pytest.fixture
def ask_in_loop(connect: Any) -> Iterator[Ask]:
    """Make clients in the event loop: `ask_in_loop(url, timeout=…)`."""
    threads = ThreadPoolExecutor(8)
    yield lambda url, **options: InLoop(connect(url, **options), threads)
    threads.shutdown(wait=False)
