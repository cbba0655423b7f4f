"""The queue of webhook deliveries, with their faults. It does no I/O; `delivery.py` sends.

Faults are drawn from one random source when an event is queued, so the same seed repeats them.
"""

from __future__ import annotations

import heapq
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import msgspec

from stripe_lookalike.errors import Json
from stripe_lookalike.validation import changed


class DeliverySettings(msgspec.Struct, forbid_unknown_fields=True):
    """How to deliver webhooks.

    - `mode`: normal; hold (send nothing until the mode is normal again); off (never send what is queued meanwhile).
    - `duplicates`, `drop`: the share of deliveries to send twice, and to lose (0 to 1).
    - `shuffle`: wait up to `spread` seconds at random before each delivery, which loses the order.
    - `retries`: seconds before each retry.
    """

    mode: Literal["normal", "hold", "off"] = "normal"
    duplicates: float = 0.0
    drop: float = 0.0
    shuffle: bool = False
    spread: float = 0.5
    retries: list[float] = msgspec.field(default_factory=lambda: [0.5, 1, 2, 4, 8, 15, 30, 60, 60, 60])
    seed: int | None = None


@dataclass(order=True)
class PendingDelivery:
    """One event for one endpoint. `due` is in seconds of the queue's timer."""

    due: float
    serial: int
    event: str = field(compare=False)
    endpoint: str = field(compare=False)
    attempts: int = field(compare=False, default=0)
    body: bytes | None = field(compare=False, default=None)  # sent in place of the event


class DeliveryQueue:
    """Pending deliveries in order of their time. `timer` returns monotonic seconds."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self.ready = threading.Condition()
        self.settings = DeliverySettings()
        self.outcomes: Counter[str] = Counter()
        self._timer = timer
        self._pending: list[PendingDelivery] = []
        self._serial = count()
        self._in_progress = 0
        self._closed = False
        self._random = random.Random()  # noqa: S311 - no secret depends on it

    def configure(self, changes: Json) -> None:
        """Change the settings named in `changes`. Raises: `ApiError` 400 for an unknown name or a wrong value."""
        with self.ready:
            self.settings = changed(self.settings, changes)
            if changes.get("seed") is not None:
                self._random.seed(changes["seed"])
            self.ready.notify_all()

    def enqueue(self, event: str, endpoint: str, body: bytes | None = None, exact: bool = False) -> None:
        """Queue a delivery. `exact`: deliver once and without delay, whatever the settings (except `hold`)."""
        with self.ready:
            settings, now = self.settings, self._timer()
            if exact:
                self._add(now, event, endpoint, body)
                return
            if settings.mode == "off" or self._random.random() < settings.drop:
                self.outcomes["lost"] += 1
                return
            copies = 2 if self._random.random() < settings.duplicates else 1
            for _ in range(copies):
                scatter = self._random.uniform(0, settings.spread) if settings.shuffle else 0.0
                self._add(now + scatter, event, endpoint, body)

    def _add(self, due: float, event: str, endpoint: str, body: bytes | None = None) -> None:
        heapq.heappush(self._pending, PendingDelivery(due, next(self._serial), event, endpoint, body=body))
        self.ready.notify()

    def wait_for_due(self, timeout: float) -> PendingDelivery | None:
        """Return the next due delivery, or `None` after `timeout` seconds without one."""
        deadline = self._timer() + timeout
        with self.ready:
            while not self._closed:
                now = self._timer()
                first = self._pending[0] if self._pending and self.settings.mode != "hold" else None
                if first is not None and first.due <= now:
                    self._in_progress += 1
                    return heapq.heappop(self._pending)
                if now >= deadline:
                    return None
                self.ready.wait(min(deadline, first.due if first else deadline) - now)
        return None

    def record_outcome(self, pending: PendingDelivery, outcome: str) -> None:
        """Record `delivered`, `failed` (retried until the last retry), or `gone` (the endpoint no longer exists)."""
        with self.ready:
            self._in_progress -= 1
            self.outcomes[outcome] += 1
            if outcome != "failed":
                return
            pending.attempts += 1
            if pending.attempts > len(self.settings.retries):
                self.outcomes["given_up"] += 1
                return
            pending.due = self._timer() + self.settings.retries[pending.attempts - 1]
            heapq.heappush(self._pending, pending)
            self.ready.notify()

    def close(self) -> None:
        """Release the threads that wait in `wait_for_due`."""
        with self.ready:
            self._closed = True
            self.ready.notify_all()

    def clear(self) -> None:
        """Remove what is queued, and restore the default settings."""
        with self.ready:
            self._pending.clear()
            self.settings = DeliverySettings()
            self.outcomes.clear()

    def state(self) -> Json:
        """Return the settings, the number of pending deliveries, and the outcomes of the others."""
        with self.ready:
            return {
                **msgspec.structs.asdict(self.settings),
                "pending": len(self._pending) + self._in_progress,
                "outcomes": dict(self.outcomes),
            }
