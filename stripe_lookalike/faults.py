"""A fault on request: API calls that fail, hang or are rate limited, for tests of error handling."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Literal

import msgspec

from stripe_lookalike.errors import ApiError


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """What happens to requests whose path begins with `match`."""

    match: str = "/v1/"
    status: int | None = None
    fail_rate: float = 1.0  # the share of these requests that it happens to
    hang: float = 0.0  # seconds
    when: Literal["before", "after"] = "before"  # after: the call has its effect, and only the response is lost
    times: int | None = None  # at most this many times


class Faults:
    """The active fault. Changing it also releases the requests that hang."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._fault: Fault | None = None
        self._random = random.Random()  # noqa: S311 - no secret depends on it

    def set(self, fault: Fault | None, seed: int | None = None) -> None:
        """Replace the fault; `None` removes it."""
        with self._changed:
            self._fault = fault
            if seed is not None:
                self._random.seed(seed)
            self._changed.notify_all()

    def apply(self, path: str, when: str) -> None:
        """Hang or fail if the fault matches this request. `when` is `before` or `after` the call.

        Raises: `ApiError` for a fault with a status.
        """
        with self._changed:
            fault = self._fault
            if fault is None or not self._hits(fault, path, when):
                return
            if fault.hang:  # with the lock released
                self._changed.wait_for(lambda: self._fault is not fault, timeout=fault.hang)
        if fault.status is not None:
            raise _failure(fault.status, "global-rate")

    def _hits(self, fault: Fault, path: str, when: str) -> bool:
        fits = path.startswith(fault.match) and fault.when == when
        if not fits or fault.times == 0 or self._random.random() >= fault.fail_rate:
            return False
        if fault.times is not None:
            fault.times -= 1
        return True


def _failure(status: int, reason: str) -> ApiError:
    if status == 429:
        headers = {"Stripe-Rate-Limited-Reason": reason}
        return ApiError(429, "Request rate limit exceeded.", code="rate_limit", headers=headers)
    kind = "api_error" if status >= 500 else "invalid_request_error"
    return ApiError(status, "An unknown error occurred: a fault is set in the look-alike.", kind=kind)


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """Requests a second, in total and for each endpoint. `burst` is the bucket's size, by default one second's requests."""

    per_second: float | None = None
    endpoint_per_second: float | None = None
    burst: float | None = None


class RateLimit:
    """Token buckets: one for all requests, and one for each endpoint (method and path). Off at first."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._lock = threading.Lock()
        self._rules: dict[str, tuple[float, float]] = {}
        self._buckets: dict[str, tuple[float, float]] = {}

    def set(self, limits: Limits) -> None:
        """Replace the limits and start with full buckets."""
        with self._lock:
            given = {"global-rate": limits.per_second, "endpoint-rate": limits.endpoint_per_second}
            self._rules = {name: (rate, limits.burst or rate) for name, rate in given.items() if rate}
            self._buckets = {}

    def check(self, endpoint: str) -> None:
        """Take a token. Raises: `ApiError` 429 with Stripe's reason if a bucket is empty."""
        with self._lock:
            now = self._timer()
            for name, (rate, most) in self._rules.items():
                key = name if name == "global-rate" else f"{name} {endpoint}"
                tokens, at = self._buckets.get(key, (most, now))
                tokens = min(most, tokens + (now - at) * rate)
                if tokens < 1:
                    self._buckets[key] = (tokens, now)
                    raise _failure(429, name)
                self._buckets[key] = (tokens - 1, now)
