"""Keeping out of the way: bulk work in a process that answers requests rests as long as it works, in short turns."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from service.domain.errors import StoreUnavailable

T = TypeVar("T")

_PATIENCE = 5.0
_PAUSE = 0.1


class Pace:
    """`rest` seconds of rest for each second of work; 0 never rests. A turn is about a millisecond. One for a thread.

    While a thread works, Python's other threads wait for the interpreter: up to five milliseconds, a check's whole time.
    Waiting for the store, or for a core, is rest already.
    """

    TURN = 0.001

    def __init__(self, rest: float) -> None:
        self._rest = rest
        self._worked = time.thread_time()
        self._begun = time.perf_counter()

    def step(self) -> None:
        """Between two pieces of work."""
        if not self._rest:
            return
        worked = time.thread_time() - self._worked
        if worked < self.TURN:
            return
        rested = time.perf_counter() - self._begun - worked
        if (missing := worked * self._rest - rested) > 0:
            time.sleep(min(missing, 0.05))
        self._worked, self._begun = time.thread_time(), time.perf_counter()


_SHORT = 0.0002
"""Seconds after which a thread that waits for the interpreter is given it; Python's own are 5 ms, of which a check has many."""
_lock = threading.Lock()
_at_work: list[float] = []


@contextmanager
def short_turns() -> Iterator[None]:
    """While bulk work goes on in this process, its other threads wait for the interpreter a moment only."""
    with _lock:
        _at_work.append(sys.getswitchinterval())
        sys.setswitchinterval(_SHORT)
    try:
        yield
    finally:
        with _lock:
            before = _at_work.pop()
            if not _at_work:
                sys.setswitchinterval(before)


HASTE = Pace(0)
"""For a process that answers nobody."""


def patiently(work: Callable[[], T], patience: float = _PATIENCE) -> T:
    """Work that may be repeated, once more while the store is away for a moment: it is one of thousands of steps."""
    first = last = float("-inf")
    while True:
        try:
            return work()
        except StoreUnavailable:
            failed = time.monotonic()
            # What went well for a while before it failed again has got further meanwhile.
            first = failed if failed - last > patience else first
            last = failed
            if failed - first > patience:
                raise
        threading.Event().wait(_PAUSE)
