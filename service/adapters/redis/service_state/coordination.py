"""Of many workers one works: the lead lies in the store, and runs off by the store's own clock."""

from __future__ import annotations

import secrets

from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store

TAKE_LEAD = load("acquire_leadership")

LEADS_FOR = 15.0
"""Seconds after which a dead leader's place is free."""


class LeaderElection:
    """One worker's bid for the lead, which lasts for `seconds`. Methods raise `StoreUnavailable` while the store is down.

    Two may work for a moment, one of them long stopped and just woken: all that workers do can be done twice.
    """

    def __init__(self, store: Store, seconds: float) -> None:
        self._link = store.link
        self._key = store.keys.shared("leader")
        self._milliseconds = int(seconds * 1000)
        self._me = secrets.token_hex(8)

    def acquire(self) -> bool:
        """Takes the lead or keeps it; call it well within the time that it lasts."""
        return bool(self._link.run(TAKE_LEAD, [self._key], [self._me, self._milliseconds, 0]))

    def release(self) -> None:
        """Leaves the place to the next one."""
        self._link.run(TAKE_LEAD, [self._key], [self._me, self._milliseconds, 1])


class ChangeCounter:
    """One such number. `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store, name: str) -> None:
        self._link = store.link
        self._key = store.keys.shared(f"signal:{name}")

    def increment(self) -> None:
        """Something has changed."""
        self._link.call(self._key, b"INCR", self._key)

    def read(self) -> int:
        """The number as it is; 0 if nothing has changed yet."""
        return int(self._link.call(self._key, b"GET", self._key) or 0)
