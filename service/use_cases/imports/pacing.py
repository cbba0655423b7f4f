"""Pace bulk work in a process that also answers requests, and retry it while the store is unavailable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from service.domain.errors import StoreUnavailable

T = TypeVar("T")

_RETRY_PAUSE = 0.1


class Pace:
    """Rest `rest` seconds for each second of work; 0 never rests. Each thread needs its own.

    The default suits a web process, which answers checks beside the work. While one thread works, Python's other threads
    wait for the interpreter. Time spent waiting for the store or a core counts as rest.
    """

    MIN_WORK = 0.001
    """Seconds of work between two rests."""

    def __init__(self, rest: float = 1.0) -> None:
        self._rest = rest
        self._worked = time.thread_time()
        self._started = time.perf_counter()

    def step(self) -> None:
        """Rest if it is time to; call this between two pieces of work."""
        if not self._rest:
            return
        worked = time.thread_time() - self._worked
        if worked < self.MIN_WORK:
            return
        rested = time.perf_counter() - self._started - worked
        if (missing := worked * self._rest - rested) > 0:
            time.sleep(min(missing, 0.05))
        self._worked, self._started = time.thread_time(), time.perf_counter()


UNPACED = Pace(0)
"""For a process that answers no requests."""


def retry_while_unavailable(work: Callable[[], T], patience: float = 5.0) -> T:
    """Repeat idempotent `work` until it succeeds, or the store has been unavailable for `patience` seconds."""
    first = last = float("-inf")
    while True:
        try:
            return work()
        except StoreUnavailable:
            failed = time.monotonic()
            # A failure after a time without one starts a new outage: the work got further in between.
            first = failed if failed - last > patience else first
            last = failed
            if failed - first > patience:
                raise
        threading.Event().wait(_RETRY_PAUSE)
