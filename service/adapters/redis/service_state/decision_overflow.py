"""Answers too long for a decision id: kept for as long as an id tells its decision, sealed, under a name of their own.

Only a request with many long names gets here; any other check writes nothing.
"""

from __future__ import annotations

from os import urandom

from service.adapters.redis.client.store import Store


class Spill:
    """Keeps sealed texts by a random name."""

    def __init__(self, store: Store, seconds: int) -> None:
        self._link = store.link
        self._keys = store.keys
        self._seconds = seconds

    def put(self, sealed: str) -> str:
        """Keeps a text and gives its name."""
        name = urandom(12).hex()
        key = self._keys.shared(f"decision:{name}")
        self._link.call(key, b"SET", key, sealed, b"EX", self._seconds)
        return name

    def get(self, name: str) -> str | None:
        """The text of a name; `None` when it is gone."""
        key = self._keys.shared(f"decision:{name}")
        kept = self._link.call(key, b"GET", key)
        return bytes(kept).decode() if kept is not None else None
