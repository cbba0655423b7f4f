"""The journal of API requests, for tests that count them and for debugging what the service asks of Stripe."""

from __future__ import annotations

import threading
from collections import Counter, deque

from stripe_lookalike.errors import Json

_KEPT = 100_000


class Journal:
    """The latest requests, and counts of all requests since the last `clear`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: deque[Json] = deque(maxlen=_KEPT)
        self._routes: Counter[str] = Counter()
        self._paths: Counter[str] = Counter()

    def record(self, row: Json) -> None:
        """Record a request: `row` has method, path, route, params, status, at (epoch seconds) and ms."""
        with self._lock:
            self._rows.append(row)
            self._routes[f"{row['method']} {row['route']}"] += 1
            self._paths[f"{row['method']} {row['path']}"] += 1

    def read(self, path: str = "", method: str = "", limit: int = 1000) -> Json:
        """Return all counts, and the latest `limit` requests with this method whose path begins with `path`."""
        with self._lock:
            rows = [row for row in self._rows if row["path"].startswith(path) and method in ("", row["method"])]
            return {
                "total": sum(self._paths.values()),
                "counts": dict(self._routes),
                "paths": dict(self._paths),
                "matching": len(rows),
                "requests": rows[-limit:],
            }

    def clear(self) -> None:
        with self._lock:
            self._rows.clear()
            self._routes.clear()
            self._paths.clear()
