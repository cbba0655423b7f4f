"""A clock that can be moved, and the schedule of due work."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path


class Clock:
    """The system clock plus an offset, in whole epoch seconds; or, while frozen, one fixed moment.

    `offset_file` holds the offset in seconds for processes that follow this clock, such as the demo's service.
    """

    def __init__(self, wall: Callable[[], float] = time.time, offset_file: Path | None = None) -> None:
        self._wall = wall
        self._offset_file = offset_file
        self._frozen: int | None = None
        self._set_offset(0)

    def now(self) -> int:
        return int(self._wall()) + self._offset if self._frozen is None else self._frozen

    def set(self, moment: int) -> None:
        """Set the clock to `moment`. A frozen clock stays there; a running one continues from there."""
        self._set_offset(moment - int(self._wall()))
        if self._frozen is not None:
            self._frozen = moment

    def freeze(self, frozen: bool) -> None:
        """Stop the clock, or let it continue from where it stopped."""
        now = self.now()
        self._frozen = now if frozen else None
        self._set_offset(now - int(self._wall()))

    def signing_time(self) -> int:
        """Return the time for webhook signatures: the system's, unless receivers follow this clock by its file."""
        return int(self._wall()) + (self._offset if self._offset_file else 0)

    def _set_offset(self, offset: int) -> None:
        self._offset = offset
        if self._offset_file:
            fresh = self._offset_file.with_suffix(".new")
            fresh.write_text(f"{offset}\n", "ascii")
            os.replace(fresh, self._offset_file)  # atomic: no process reads half a number


class Schedule:
    """Due work in order of time. An entry names a kind of work and an object.

    Entries are never removed. The work checks when it runs whether it still applies, so an outdated entry is harmless.
    """

    # In the same second, a scheduled cancellation runs before the renewal that it prevents.
    _ORDER = ("end", "trial_will_end", "resume_collection", "renew")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, str, str]] = []
        self._serial = count()
        self._known: set[tuple[int, str, str]] = set()

    def add(self, at: int, kind: str, object_id: str) -> None:
        if (at, kind, object_id) in self._known:
            return
        self._known.add((at, kind, object_id))
        rank = self._ORDER.index(kind) if kind in self._ORDER else len(self._ORDER)
        heapq.heappush(self._heap, (at, rank, next(self._serial), kind, object_id))

    def pop_due(self, until: int) -> tuple[int, str, str] | None:
        """Remove and return the earliest entry due by `until` as (time, kind, object ID); `None` without one."""
        if not self._heap or self._heap[0][0] > until:
            return None
        at, _, _, kind, object_id = heapq.heappop(self._heap)
        self._known.discard((at, kind, object_id))
        return at, kind, object_id

    def next_due(self) -> int | None:
        """Return the time of the earliest entry."""
        return self._heap[0][0] if self._heap else None
