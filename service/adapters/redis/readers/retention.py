"""Letting go of the past: old changes of readers' sources, a page of readers at a time."""

from __future__ import annotations

from collections.abc import Iterator

from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store

TRIM = load("trim_history")


class Retention:
    """Every method raises `StoreUnavailable` where the store is away; what was begun may be repeated."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._keys = store.keys

    def claim(self, seconds: int) -> bool:
        """Whether it is this process's turn: it is somebody's once in so many seconds."""
        key = self._keys.shared("retention")
        return bool(self._link.call(key, b"SET", key, b"1", b"NX", b"EX", seconds))

    def rest(self, seconds: int) -> None:
        """It is nobody's turn for so many seconds."""
        key = self._keys.shared("retention")
        self._link.call(key, b"SET", key, b"1", b"EX", seconds)

    def trim_histories(self, before: float) -> Iterator[int]:
        """Drops changes older than this moment, a page of readers a step; how each source stood then stays.

        Gives how many went, step by step.
        """
        for page in self._link.scan_nodes(self._keys.history(b"*")):
            yield sum(int(self._link.run(TRIM, [key], [int(before)])) for key in page)
