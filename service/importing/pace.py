"""Keeping out of the way: bulk work in a process that answers requests rests as long as it works, in short turns."""

from __future__ import annotations

import time


class Pace:
    """`rest` seconds of rest for each second of work; 0 never rests. A turn is about a millisecond.

    While a thread works, Python's other threads wait for the interpreter: up to five milliseconds, a check's whole time.
    """

    TURN = 0.001

    def __init__(self, rest: float) -> None:
        self._rest = rest
        self._begun = time.perf_counter()

    def step(self) -> None:
        """Between two pieces of work."""
        if not self._rest:
            return
        worked = time.perf_counter() - self._begun
        if worked >= self.TURN:
            time.sleep(min(worked * self._rest, 0.05))
            self._begun = time.perf_counter()


HASTE = Pace(0)
"""For a process that answers nobody."""
