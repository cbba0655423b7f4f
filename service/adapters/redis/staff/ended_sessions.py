"""Staff sessions that ended early: one that was signed out, or all of a person's at once.

    sessions    hash: person → epoch, the number of times they signed out everywhere; a session is valid in its own epoch
    signed_out  sorted set: IDs of sessions that were signed out, by when they would have expired

Each process caches both for a second. While the store is unavailable the cache stays in force.
"""

from __future__ import annotations

import threading
import time

from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.readers import field_pairs
from service.adapters.redis.records import StoreRecords
from service.domain.errors import StoreUnavailable

FRESH = 1.0
"""Seconds for which a process answers from its cache."""


class EndedSessions(StoreRecords):
    """Ends sessions early. Raises: StoreUnavailable from every method; from `is_valid` only if the store was never read."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._epochs_key = store.keys.admin("sessions")
        self._out_key = store.keys.admin("signed_out")
        self._lock = threading.Lock()
        self._epochs: dict[str, int] | None = None
        self._out: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    def is_valid(self, session: str, whose: str, epoch: int) -> bool:
        """Return whether a session that began in this epoch of its person was ended neither alone nor with all others."""
        with self._lock:
            if self._epochs is None or time.monotonic() - self._read_at >= FRESH:
                self._read()
            epochs = self._epochs or {}
            return session not in self._out and epochs.get(whose, 0) == epoch

    def current_epoch(self, whose: str) -> int:
        """Return the epoch for a session that begins now, from the store."""
        return int(self._call(b"HGET", self._epochs_key, whose) or 0)

    def end_session(self, session: str, over_at: float, now: float) -> None:
        """End one session; it would have expired at `over_at` (epoch seconds) and need not be remembered longer."""
        key = self._out_key
        self._link.pipeline(
            [(key, (b"ZREMRANGEBYSCORE", key, b"-inf", int(now))), (key, (b"ZADD", key, int(over_at) + 1, session))]
        )
        self._forget()

    def end_all_sessions(self, whose: str) -> None:
        """End all sessions of a person, within a second on every worker."""
        self._call(b"HINCRBY", self._epochs_key, whose, 1)
        self._forget()

    def _forget(self) -> None:
        with self._lock:
            self._read_at = float("-inf")

    def _read(self) -> None:
        self._read_at = time.monotonic()
        try:
            epochs, out = self._link.read(
                [
                    (self._epochs_key, (b"HGETALL", self._epochs_key)),
                    (self._out_key, (b"ZRANGE", self._out_key, b"0", b"-1")),
                ]
            )
        except StoreUnavailable:
            if self._epochs is None:
                raise
            return
        self._epochs = {name.decode(): int(value) for name, value in field_pairs(epochs)}
        self._out = frozenset(session.decode() for session in out)
