"""How many threads of a process may wait for Stripe at once, so that enough are left for whoever reads a story."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.domain.errors import StripeUnavailable

SLOW = 0.5
"""Seconds without an answer after which it is no use to wait for a line that is taken."""


class ConcurrencyLimit:
    """`most` at once. Who finds all of them taken waits a little, unless Stripe is slow: then not at all."""

    def __init__(self, most: int, timer: Callable[[], float] = time.monotonic) -> None:
        self._most, self._timer = most, timer
        self._free = threading.Condition()
        self._begun: dict[object, float] = {}

    @contextmanager
    def one(self, patience: float, *, slow: float = SLOW) -> Iterator[None]:
        """A line of one's own. Raises `StripeUnavailable` where none is free within `patience` seconds."""
        mine = object()
        with self._free:
            if not self._free.wait_for(lambda: self._is_free() or self._is_slow(slow), patience) or not self._is_free():
                raise StripeUnavailable("busy")
            self._begun[mine] = self._timer()
        try:
            yield
        finally:
            with self._free:
                del self._begun[mine]
                self._free.notify()

    def _is_free(self) -> bool:
        return len(self._begun) < self._most

    def _is_slow(self, slow: float) -> bool:
        return self._timer() - min(self._begun.values(), default=self._timer()) > slow
