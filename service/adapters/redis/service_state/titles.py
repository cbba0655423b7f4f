"""The registry of titles that share a store: each has an entry under its own prefix, as every other key of it."""

from __future__ import annotations

from service.adapters.redis.client.store import Store


class TitleRegistry:
    """Registers this title. A backup leaves out the keys of the other titles that are registered.

    Raises: StoreUnavailable from every method.
    """

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._key = store.keys.shared("title")

    def register(self, now: float) -> None:
        """Register this title; the time of the first registration stays."""
        self._link.call(self._key, b"SET", self._key, int(now), b"NX")

    def registered_at(self) -> int | None:
        """Return when this title was first registered (epoch seconds), or `None` if it is not yet."""
        found = self._link.call(self._key, b"GET", self._key)
        return int(found) if found is not None else None
