"""A thread that keeps the index of readers and grants up to date. Of all processes, the one that holds the turn works."""

from __future__ import annotations

import time
from collections.abc import Callable

from service.adapters.background_thread import BackgroundThread
from service.adapters.redis.service_state.coordination import LeaderElection
from service.domain.errors import StoreUnavailable
from service.use_cases.lists.index_updates import IndexUpdates

ROUND = 0.7
"""Seconds between two rounds: the contract allows two from a change until it is listed."""
TURN = 1.0
"""Seconds after which the turn of a dead process expires."""
LONG_IMPORT = 10.0
"""Seconds after which the readers of an import are indexed although it goes on."""


class _Stopped(Exception):
    """The process ends; another one builds the index."""


class IndexTask(BackgroundThread):
    """One per process. It also builds the index where it is missing, old, or of another policy."""

    def __init__(self, updates: IndexUpdates, turn: LeaderElection, report: Callable[[str, str], None]) -> None:
        super().__init__("reader-index", self._round)
        self._updates = updates
        self._turn = turn
        self._report = report
        self._next_settling = 0.0
        self._policy_compared = False
        self._imported = 0
        self._imported_since = time.monotonic()

    def _round(self) -> float:
        try:
            if self._turn.acquire():
                self._update()
        except (StoreUnavailable, _Stopped):
            pass  # The next round, or another process, repeats what was not finished.
        except Exception as error:  # A failed round must not end the thread.
            self._report("index_failed", type(error).__name__)
        return ROUND

    def _update(self) -> None:
        if self._updates.is_due(compare_policy=not self._policy_compared):
            self._updates.rebuild(self._between_steps)
        # Later on another policy is that of a process that started later, and has built the index for its own.
        self._policy_compared = True
        self._updates.settle(self._keep_turn, imported=self._import_pauses())

    def _import_pauses(self) -> bool:
        """Return whether no import has changed readers since the last round, or one goes on for long.

        Each round that indexes them writes most partitions of the index.
        """
        before, self._imported = self._imported, self._updates.count_imported()
        now = time.monotonic()
        if self._imported <= before or now - self._imported_since >= LONG_IMPORT:
            self._imported, self._imported_since = 0, now
            return True
        return False

    def _keep_turn(self) -> None:
        if self.is_stopping:
            raise _Stopped
        self._turn.acquire()

    def _between_steps(self) -> None:
        """Index what changes while the index is built."""
        self._keep_turn()
        if time.monotonic() >= self._next_settling:
            self._updates.settle(self._keep_turn, imported=False)
            self._next_settling = time.monotonic() + ROUND
