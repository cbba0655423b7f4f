"""Log and count every request, whether the access route or Flask answers it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from os import urandom
from typing import Any

from service.adapters.observability.logs import log
from service.adapters.observability.metrics import Metrics

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods with a metric of their own; any other is `other`, so that callers cannot create metrics."""

FAILED = (500, 503)
"""The statuses that an alert counts, for each route."""

_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """Logs and counts requests. A route is a pattern, never a path, which can contain a reader's ID."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = log().bind()
        self._requests: dict[tuple[str, str, int], Any] = {}
        self._seconds: dict[str, Any] = {}

    def declare(self, route: str, method: str, statuses: Iterable[int]) -> None:
        """Create the metrics of a route at 0: Prometheus would not see the first request of a counter that starts with it."""
        self._seconds[route] = self._metrics.seconds.labels(route)
        for status in (*statuses, *FAILED):
            self._requests[route, method, status] = self._metrics.requests.labels(route, method, str(status))

    @staticmethod
    def begin() -> float:
        """Return the start time to pass to `end`."""
        return time.perf_counter()

    def end(
        self, begun: float, route: str, method: str, status: int, given: str | None, **more: str | bool | None
    ) -> str:
        """Log the request and return its ID: the caller's X-Request-Id if it is valid, else a new one."""
        seconds = time.perf_counter() - begun
        request_id = given if given and _GIVEN.fullmatch(given) else urandom(8).hex()
        method = method if method in METHODS else "other"
        key = (route, method, status)
        counter = self._requests.get(key)
        if counter is None:
            # The histogram first: another thread that finds the counter also needs the histogram.
            self._seconds[route] = self._metrics.seconds.labels(route)
            counter = self._requests[key] = self._metrics.requests.labels(route, method, str(status))
        counter.inc()
        self._seconds[route].observe(seconds)
        self._log.info(
            "request",
            request_id=request_id,
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            **more,
        )
        return request_id
