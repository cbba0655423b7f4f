"""A number that rises when something has changed, so that every process notices: the prices of the offer."""

from __future__ import annotations

from service.adapters.redis.client.store import Store


class Signal:
    """One such number. `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store, name: str) -> None:
        self._link = store.link
        self._key = store.keys.shared(f"signal:{name}")

    def send(self) -> None:
        """Something has changed."""
        self._link.call(self._key, b"INCR", self._key)

    def value(self) -> int:
        """The number as it is; 0 if nothing has changed yet."""
        return int(self._link.call(self._key, b"GET", self._key) or 0)
