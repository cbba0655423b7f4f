"""How often Stripe may be asked: a token bucket for all threads of a process, which a 429 closes for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PER_SECOND = 10.0
BURST = 20
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Seconds after a first 429, and at most; it doubles from one to the next."""
LONGEST_RETRY_AFTER = 60.0
"""Seconds that Stripe's own `Retry-After` is followed, at most."""


class RateLimit:
    """Far below Stripe's own limits (100 a second, 25 for each endpoint), for there may be many processes."""

    def __init__(
        self, per_second: float = PER_SECOND, burst: int = BURST, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._most, self._timer = per_second, float(burst), timer
        self._lock = threading.Lock()
        self._tokens, self._at = self._most, timer()
        self._closed_until, self._pause = self._at, 0.0

    def take(self, patience: float) -> float | None:
        """Seconds to wait before asking; `None` if that is longer than `patience`, and nothing is taken."""
        with self._lock:
            now = self._timer()
            self._refill(now)
            wait = max(self._closed_until - now, (1 - self._tokens) / self._rate, 0.0)
            if wait > patience:
                return None
            self._tokens -= 1
            return wait

    def wait(self) -> float:
        """Seconds until there is room again."""
        with self._lock:
            now = self._timer()
            self._refill(now)
            return max(self._closed_until - now, (1 - self._tokens) / self._rate, 0.0)

    def refused(self, retry_after: float = 0.0) -> float:
        """Stripe answered 429: nobody asks for a while, at least the seconds that it told. Seconds until then."""
        with self._lock:
            now = self._timer()
            if now >= self._closed_until:  # Of many that were under way only the first one counts.
                self._pause = min(max(self._pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
                self._closed_until = now + self._pause
            self._closed_until = max(self._closed_until, now + min(retry_after, LONGEST_RETRY_AFTER))
            return self._closed_until - now

    def answered(self) -> None:
        """Stripe answered: the next pause, if there is one, begins small again."""
        with self._lock:
            if self._timer() >= self._closed_until:
                self._pause = 0.0

    def _refill(self, now: float) -> None:
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
