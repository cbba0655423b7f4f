"""What is to be delivered when: the plan of the deliveries, with their mishaps. No I/O; `delivery.py` sends.

Mishaps are drawn when an event is handed over, from one seeded source, so that a seed repeats them.
"""

from __future__ import annotations

import heapq
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.validation import checked

MODES = ("normal", "hold", "off")


@dataclass
class Conduct:
    """How deliveries behave.

    `mode`: normal; hold (nothing is sent until it is normal again); off (what arises meanwhile is never sent).
    `duplicates`, `drop`: the share of deliveries sent twice, and never. `delay`: seconds before each. `shuffle`: each
    also waits a random part of `spread` seconds, so that the order is lost. `retries`: seconds before each next try.
    """

    mode: str = "normal"
    duplicates: float = 0.0
    drop: float = 0.0
    delay: float = 0.0
    shuffle: bool = False
    spread: float = 0.5
    timeout: float = 10.0
    retries: list[float] = field(default_factory=lambda: [0.5, 1, 2, 4, 8, 15, 30, 60, 60, 60])
    seed: int | None = None


@dataclass(order=True)
class Letter:
    """One event for one endpoint."""

    due: float
    serial: int
    event: str = field(compare=False)
    endpoint: str = field(compare=False)
    attempts: int = field(compare=False, default=0)
    body: bytes | None = field(compare=False, default=None)  # instead of the event: sent as it is


class Mailbag:
    """Letters in order of their time. `timer` is monotonic."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self.ready = threading.Condition()
        self.conduct = Conduct()
        self.outcomes: Counter[str] = Counter()
        self._timer = timer
        self._letters: list[Letter] = []
        self._serial = count()
        self._under_way = 0
        self._closed = False
        self._random = random.Random()  # noqa: S311 - mishaps for tests, not secrets

    def behave(self, wishes: Json) -> None:
        """Set some of the conduct's fields; the others stay as they are."""
        checked(Conduct, wishes)
        if wishes.get("mode", "normal") not in MODES:
            raise invalid(f"mode must be one of {', '.join(MODES)}", "mode")
        with self.ready:
            for name, value in wishes.items():
                setattr(self.conduct, name, value)
            if wishes.get("seed") is not None:
                self._random.seed(wishes["seed"])
            self.ready.notify_all()

    def post(self, event: str, endpoint: str, body: bytes | None = None, faithful: bool = False) -> None:
        """Hand a letter over. `faithful`: exactly once and at once, whatever the conduct (but for hold)."""
        with self.ready:
            conduct, now = self.conduct, self._timer()
            if faithful:
                self._put(now, event, endpoint, body)
                return
            if conduct.mode == "off" or self._random.random() < conduct.drop:
                self.outcomes["lost"] += 1
                return
            copies = 2 if self._random.random() < conduct.duplicates else 1
            for _ in range(copies):
                scatter = self._random.uniform(0, conduct.spread) if conduct.shuffle else 0.0
                self._put(now + conduct.delay + scatter, event, endpoint, body)

    def _put(self, due: float, event: str, endpoint: str, body: bytes | None = None) -> None:
        heapq.heappush(self._letters, Letter(due, next(self._serial), event, endpoint, body=body))
        self.ready.notify()

    def take(self, patience: float) -> Letter | None:
        """The next letter that is due, waiting up to `patience` seconds for one."""
        deadline = self._timer() + patience
        with self.ready:
            while not self._closed:
                now = self._timer()
                first = self._letters[0] if self._letters and self.conduct.mode != "hold" else None
                if first is not None and first.due <= now:
                    self._under_way += 1
                    return heapq.heappop(self._letters)
                if now >= deadline:
                    return None
                self.ready.wait(min(deadline, first.due if first else deadline) - now)
        return None

    def done(self, letter: Letter, outcome: str) -> None:
        """`delivered`, `failed` (again later, or given up after the last retry), `gone` (the endpoint is)."""
        with self.ready:
            self._under_way -= 1
            self.outcomes[outcome] += 1
            if outcome != "failed":
                return
            letter.attempts += 1
            if letter.attempts > len(self.conduct.retries):
                self.outcomes["given_up"] += 1
                return
            letter.due = self._timer() + self.conduct.retries[letter.attempts - 1]
            heapq.heappush(self._letters, letter)
            self.ready.notify()

    def close(self) -> None:
        """Nobody waits for a letter any more."""
        with self.ready:
            self._closed = True
            self.ready.notify_all()

    def clear(self) -> None:
        """Forget what waits, and how to behave."""
        with self.ready:
            self._letters.clear()
            self.conduct = Conduct()
            self.outcomes.clear()

    def state(self) -> Json:
        """What waits and what became of the rest."""
        with self.ready:
            return {
                **vars(self.conduct),
                "waiting": len(self._letters),
                "under_way": self._under_way,
                "pending": len(self._letters) + self._under_way,
                "outcomes": dict(self.outcomes),
            }
