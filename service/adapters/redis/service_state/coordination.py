"""Coordination of processes: which worker leads, and what has changed."""

from __future__ import annotations

import secrets
from functools import cached_property

from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.records import StoreRecords

ACQUIRE_LEADERSHIP = load("acquire_leadership")

LEADS_FOR = 15.0
"""Seconds after which the lease of a dead leader expires."""


class LeaderElection(StoreRecords):
    """Leader election with a lease in Redis. Raises: StoreUnavailable from every method.

    Two workers can lead for a moment if one was stopped and resumes: everything that workers do can be done twice.
    """

    def __init__(self, store: Store, seconds: float, name: str = "leader") -> None:
        super().__init__(store)
        self._key = store.keys.shared(name)
        self._milliseconds = int(seconds * 1000)

    @cached_property
    def _me(self) -> str:
        return secrets.token_hex(8)  # Drawn at the first use, so after any fork.

    def acquire(self) -> bool:
        """Acquire or renew the lease; return whether this process leads. Call it well within the length of the lease."""
        return bool(self._link.run(ACQUIRE_LEADERSHIP, [self._key], [self._me, self._milliseconds, 0]))

    def release(self) -> None:
        self._link.run(ACQUIRE_LEADERSHIP, [self._key], [self._me, self._milliseconds, 1])

    def seconds_since_renewal(self) -> float | None:
        """Return how long ago the leader renewed the lease, whichever process it is; `None` if no process leads."""
        left = int(self._call(b"PTTL", self._key))
        return max(0.0, (self._milliseconds - left) / 1000) if left >= 0 else None


class ChangeCounter(StoreRecords):
    """A number that rises when something has changed, so that every process notices. Raises: StoreUnavailable."""

    def __init__(self, store: Store, name: str) -> None:
        super().__init__(store)
        self._key = store.keys.shared(f"signal:{name}")

    def increment(self) -> None:
        self._call(b"INCR", self._key)

    def read(self) -> int:
        """Return the number; 0 if nothing has changed yet."""
        return int(self._call(b"GET", self._key) or 0)
