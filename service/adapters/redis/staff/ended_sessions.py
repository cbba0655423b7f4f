"""Which sessions of staff are over before their time: one that was signed out, or all of somebody's at once.

    sessions    hash: whose → how often "sign out everywhere" was asked for; a session holds while that is as it was
    signed_out  sorted set: ids of sessions that were signed out, by when they would have ended by themselves

Every process keeps a copy and looks again at most once a second. While the store is away the copy stays in force.
"""

from __future__ import annotations

import threading
import time

from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.readers import field_pairs
from service.domain.errors import StoreUnavailable

FRESH = 1.0
"""Seconds for which a process answers from its copy."""


class EndedSessions:
    """Every method raises `StoreUnavailable` where the store cannot be reached (`holds` only if it never was)."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._epochs_key = store.keys.admin("sessions")
        self._out_key = store.keys.admin("signed_out")
        self._lock = threading.Lock()
        self._epochs: dict[str, int] | None = None
        self._out: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    def is_valid(self, session: str, whose: str, epoch: int) -> bool:
        """Whether a session that began in this epoch of its owner is neither signed out nor ended with all others."""
        with self._lock:
            if self._epochs is None or time.monotonic() - self._read_at >= FRESH:
                self._read()
            epochs = self._epochs or {}
            return session not in self._out and epochs.get(whose, 0) == epoch

    def current_epoch(self, whose: str) -> int:
        """The epoch in which a session that begins now begins; read from the store."""
        found = self._link.call(self._epochs_key, b"HGET", self._epochs_key, whose)
        return int(found or 0)

    def end_session(self, session: str, over_at: float, now: float) -> None:
        """Signs one session out; it would have ended at `over_at`, and need not be remembered any longer."""
        key = self._out_key
        self._link.pipeline(
            [(key, (b"ZREMRANGEBYSCORE", key, b"-inf", int(now))), (key, (b"ZADD", key, int(over_at) + 1, session))]
        )
        self._forget()

    def end_all_sessions(self, whose: str) -> None:
        """Signs out everywhere: whatever began until now is over, within a second on every worker."""
        self._link.call(self._epochs_key, b"HINCRBY", self._epochs_key, whose, 1)
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
        self._epochs = {bytes(name).decode(): int(value) for name, value in field_pairs(epochs)}
        self._out = frozenset(bytes(session).decode() for session in out)
