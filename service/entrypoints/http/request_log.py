"""Log and count every request, whether the access route or Flask answers it."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from random import getrandbits
from typing import Any

from service.adapters.observability.logs import log_together
from service.adapters.observability.metrics import Metrics

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods with a metric of their own; any other is `other`, so that callers cannot create metrics."""

NO_ROUTE = "unknown"
"""The route of a request that none matches."""

FAILED = (500, 503)
"""The statuses that an alert counts, for each route."""

_WRITE_EVERY = 0.1
"""Seconds."""
_MOST_WAITING = 100_000

_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """Logs and counts requests. A route is a pattern, never a path, which can contain a reader's ID.

    After `start` a thread writes what ended in the last tenth of a second: lines and counts cost a third if they are many,
    and no request waits for a standard output that nobody reads. Without it each request is logged at its end.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._requests: dict[tuple[str, str, int], Any] = {}
        self._seconds: dict[str, Any] = {}
        # A deque's append is atomic under the interpreter's lock; a full one drops its oldest entry.
        self._ended: deque[tuple[float, float, dict[str, Any]]] = deque(maxlen=_MOST_WAITING)
        self._flushing = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, also: Callable[[], object]) -> None:
        """Start the thread, which also calls `also` each time. Call it once a process, after the fork."""
        self._thread = threading.Thread(target=self._write_on, args=(also,), name="request-log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is still to be written; later requests are logged at their end."""
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join(timeout=2)
        self.flush()

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
        request_id = given if given and _GIVEN.fullmatch(given) else getrandbits(64).to_bytes(8, "big").hex()
        fields = {"request_id": request_id, "method": method, "route": route, "status": status, "ms": 0.0, **more}
        self._ended.append((time.time(), seconds, fields))
        if self._thread is None:
            self.flush()
        return request_id

    def flush(self) -> None:
        """Write and count what has ended."""
        with self._flushing:
            ended = [self._ended.popleft() for _ in range(len(self._ended))]
            counts: Counter[tuple[str, str, int]] = Counter()
            taken: dict[str, list[float]] = {}
            for _, seconds, fields in ended:
                fields["ms"] = round(seconds * 1000, 2)
                if fields["method"] not in METHODS:
                    fields["method"] = "other"
                route = fields["route"]
                counts[route, fields["method"], fields["status"]] += 1
                taken.setdefault(route, []).append(seconds)
            for route, amounts in taken.items():
                if route not in self._seconds:
                    self._seconds[route] = self._metrics.seconds.labels(route)
                self._seconds[route].observe_all(amounts)
            for key, count in counts.items():
                if key not in self._requests:
                    self._requests[key] = self._metrics.requests.labels(key[0], key[1], str(key[2]))
                self._requests[key].inc(count)
            log_together("request", [(at, fields) for at, _, fields in ended])

    def _write_on(self, also: Callable[[], object]) -> None:
        while not self._stop.wait(_WRITE_EVERY):
            also()
            self.flush()
