"""Faults on request: API calls that fail, hang or are rate limited, for tests of error handling."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from stripe_lookalike.errors import ApiError, Json
from stripe_lookalike.validation import validate_fields


@dataclass
class Fault:
    """One kind of fault, for requests whose path begins with `match` and, if set, that have this `method`."""

    match: str = "/v1/"
    method: str | None = None
    status: int | None = None
    fail_rate: float = 1.0
    hang: float = 0.0  # seconds
    when: str = "before"  # before: the call has no effect; after: it has its effect, and only the response is lost
    times: int | None = None  # at most this many times
    reason: str | None = None  # the Stripe-Rate-Limited-Reason of a 429


class Faults:
    """The active faults. Changing them also releases the requests that hang."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._faults: list[Fault] = []
        self._epoch = 0
        self._random = random.Random()  # noqa: S311 - no secret depends on it

    def set(self, rules: list[Json], seed: int | None = None) -> None:
        """Replace all faults. An empty list removes them."""
        made = [Fault(**validate_fields(Fault, rule)) for rule in rules]
        with self._lock:
            self._faults = made
            self._epoch += 1
            if seed is not None:
                self._random.seed(seed)
            self._lock.notify_all()

    def apply(self, method: str, path: str, when: str) -> None:
        """Hang or fail if a fault matches this request. `when` is `before` or `after` the call.

        Raises: `ApiError` for a fault with a status.
        """
        with self._lock:
            hit = [fault for fault in self._faults if self._hits(fault, method, path, when)]
            if not hit:
                return
            for fault in hit:
                if fault.hang:
                    self._hang(fault.hang)
        for fault in hit:
            if fault.status is not None:
                raise _failure(fault.status, fault.reason)

    def _hang(self, seconds: float) -> None:
        """Wait, with the lock released, until the time is up or the faults change."""
        epoch = self._epoch
        self._lock.wait_for(lambda: self._epoch != epoch, timeout=seconds)

    def _hits(self, fault: Fault, method: str, path: str, when: str) -> bool:
        fits = path.startswith(fault.match) and fault.method in (None, method) and fault.when == when
        if not fits or fault.times == 0 or self._random.random() >= fault.fail_rate:
            return False
        if fault.times is not None:
            fault.times -= 1
        return True


def _failure(status: int, reason: str | None = None) -> ApiError:
    if status == 429:
        return ApiError(
            429,
            "Request rate limit exceeded.",
            kind="invalid_request_error",
            code="rate_limit",
            headers={"Stripe-Rate-Limited-Reason": reason or "global-rate"},
        )
    kind = "api_error" if status >= 500 else "invalid_request_error"
    return ApiError(status, "An unknown error occurred: a fault is set in the look-alike.", kind=kind)


@dataclass
class Limits:
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
