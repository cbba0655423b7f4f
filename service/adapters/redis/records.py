"""What every class that keeps one kind of record shares."""

from __future__ import annotations

from service.adapters.redis.client.store import Store


class StoreRecords:
    """The base of such classes: the link to the store with two shorthands of it, and the names of the keys."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._call = store.link.call_key
        self._read_one = store.link.read_key
        self.keys = store.keys
