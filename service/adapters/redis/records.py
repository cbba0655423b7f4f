"""What every class that keeps one kind of record shares: the link to the store, the names of its keys, two shorthands."""

from __future__ import annotations

from typing import Any

from service.adapters.redis.client.connection import Argument
from service.adapters.redis.client.store import Store


class StoreRecords:
    """The base of such classes."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self.keys = store.keys

    def _call(self, command: bytes, key: bytes, *arguments: Argument) -> Any:
        """Run a command on one key; it is never sent twice, so it may write."""
        return self._link.call(key, command, key, *arguments)

    def _read_one(self, command: bytes, key: bytes, *arguments: bytes) -> Any:
        """Run a command that only reads one key; it is sent again where a connection was closed."""
        (reply,) = self._link.read([(key, (command, key, *arguments))])
        return reply
