"""A clock that runs with the wall and can be moved; and what is due when."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path


class Clock:
    """The wall clock plus an offset, both in whole seconds since 1970; or, frozen, a moment that stays.

    `told`: a file that says by how many seconds it is ahead, for others who go by this clock, such as a demo's service.
    """

    def __init__(self, wall: Callable[[], float] = time.time, told: Path | None = None) -> None:
        self._wall = wall
        self._told = told
        self._frozen: int | None = None
        self._put(0)

    def now(self) -> int:
        return int(self._wall()) + self._offset if self._frozen is None else self._frozen

    def set(self, moment: int) -> None:
        """From here on the clock runs from `moment`; a frozen one stands there."""
        self._put(moment - int(self._wall()))
        if self._frozen is not None:
            self._frozen = moment

    def freeze(self, stands: bool) -> None:
        """Stand still from now on, or run on from here."""
        now = self.now()
        self._frozen = now if stands else None
        self._put(now - int(self._wall()))

    def stamp(self) -> int:
        """What time it is for whom webhooks are sent to: they go by the wall, unless they follow this clock."""
        return int(self._wall()) + (self._offset if self._told else 0)

    def _put(self, offset: int) -> None:
        self._offset = offset
        if self._told:
            fresh = self._told.with_suffix(".new")
            fresh.write_text(f"{offset}\n", "ascii")
            os.replace(fresh, self._told)  # nobody ever reads half a number


class Agenda:
    """What falls due, in order of its time. An entry names a kind of work and an object; the work itself looks whether
    it is still called for, so an entry that was overtaken is harmless and none has to be taken back."""

    # Of entries that are due in the same second, a scheduled end comes before the renewal that it prevents.
    _ORDER = ("end", "trial_will_end", "resume_collection", "renew")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, str, str]] = []
        self._serial = count()
        self._known: set[tuple[int, str, str]] = set()

    def plan(self, at: int, kind: str, object_id: str) -> None:
        if (at, kind, object_id) in self._known:
            return
        self._known.add((at, kind, object_id))
        rank = self._ORDER.index(kind) if kind in self._ORDER else len(self._ORDER)
        heapq.heappush(self._heap, (at, rank, next(self._serial), kind, object_id))

    def pop(self, until: int) -> tuple[int, str, str] | None:
        """The earliest entry that is due at `until`: its time, kind and object; `None` when there is none."""
        if not self._heap or self._heap[0][0] > until:
            return None
        at, _, _, kind, object_id = heapq.heappop(self._heap)
        self._known.discard((at, kind, object_id))
        return at, kind, object_id

    def upcoming(self) -> int | None:
        """When the next entry is due."""
        return self._heap[0][0] if self._heap else None
