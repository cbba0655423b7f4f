"""Count what this process answers and receives, and send the counts to the store in batches that count once.

A check appends one entry to a queue, which takes no lock; flushing does the rest. During an outage of the store the counts
stay here, added up by hour, so that no figure is lost and little memory is used.

Only for signed-in readers can a subscription be attributed to an upsell box. A reader who sees the box in a counting read
is remembered (by their hash) for seven days, and is one case; a subscription of theirs that begins within them is a hit.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import tzinfo
from functools import cached_property
from os import urandom

from service.adapters.observability.metrics import Metrics
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.reporting.usage_counts import UsageBatch, UsageBucket, UsageStore
from service.domain.errors import StoreUnavailable
from service.domain.sources import Reason
from service.use_cases.access.check import AccessAnswer

EVERY = 5.0
"""Seconds between two flushes."""
DELAYS = (1, 2, 5, 15, 60, 300, 3_600)
"""Seconds: a delivery's delay is counted by the first that it does not exceed."""

_AGREED = {show: (f"a:{show}", 1) for show in ("full", "upsell")}
_DIFFERENCE = "i:"
_MOST_WAITING = 500_000
_MOST_SHOWN = 20_000
_BATCH = 500
"""Readers in one batch: no script runs long enough to delay a check."""
_REMEMBERED = 3_600.0
"""Seconds for which this process does not send the same reader again."""


class UsageCounters:
    """The counters of one process; threads share them. No method raises `StoreUnavailable`."""

    def __init__(self, store: UsageStore, metrics: Metrics, zone: tzinfo, clock: Callable[[], float]) -> None:
        self.store = store
        self._metrics = metrics
        self._zone = zone
        self._clock = clock
        # A deque's append is atomic under the interpreter's lock; a full one drops its oldest entry.
        self._answers: deque[tuple[str, Reason, bool, str | None]] = deque(maxlen=_MOST_WAITING)
        self._others: deque[tuple[str, int]] = deque(maxlen=_MOST_WAITING)
        self._dated: deque[tuple[str, float]] = deque(maxlen=_MOST_WAITING)
        self._begun: deque[tuple[str, int]] = deque(maxlen=_MOST_SHOWN)
        self._lock = threading.Lock()
        self._counts: dict[UsageBucket, Counter[str]] = {}
        self._shown: dict[bytes, int] = {}
        self._sent: dict[bytes, float] = {}
        self._batches: deque[UsageBatch] = deque()
        self._number = 0
        self._next = 0.0

    @cached_property
    def _process(self) -> str:
        return urandom(8).hex()  # Drawn at the first use, so after any fork.

    def count_answer(self, answer: AccessAnswer) -> None:
        """Count an answer of the access route."""
        decision, question = answer.decision, answer.question
        box = decision.show == "upsell" and question.count
        reader = (question.reader or "") if box else None
        self._answers.append((decision.show, decision.reason, decision.degraded, reader))

    def count_comparison(self, show: str, incumbent: str, reason: Reason) -> None:
        """Count an answer beside what the incumbent paywall showed."""
        agreed = show == incumbent
        self._others.append(_AGREED[show] if agreed else (f"{_DIFFERENCE}{show}:{incumbent}:{reason}", 1))
        self._next = 0.0  # Whoever compares looks at the figures soon after.

    def count_delivery(self, outcome: str, delay: float | None = None) -> None:
        """Count a delivery from Stripe; `delay`: seconds after the event was created, for a first delivery."""
        self._others.append((f"w:{outcome}", 1))
        if delay is not None:
            late = max(0.0, delay)
            within = next((str(most) for most in DELAYS if late <= most), "inf")
            self._others.append((f"d:{within}", 1))
            self._others.append(("d:sum", round(late * 1000)))

    def count_started_subscription(self, reader: str, at: int) -> None:
        """Count a subscription of this reader that began at `at` (epoch seconds)."""
        self._begun.append((reader, at))
        self._dated.append(("started", at))

    def count_canceled_subscription(self, at: float) -> None:
        """Count a subscription that ended at `at` (epoch seconds)."""
        self._dated.append(("canceled", at))

    def tick(self) -> None:
        """Add up the queue, or flush if that is due; called often, so that no check waits for a long run."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            self.flush()
        else:
            self.add_up()

    def add_up(self) -> None:
        """Add up the queue, also for Prometheus; the store is not needed."""
        with self._lock:
            self._drain(self._clock())

    def flush(self) -> bool:
        """Send the counts to the store. Return whether all were sent; the next call sends the rest."""
        with self._lock:
            now = self._clock()
            self._drain(now)
            try:
                # A batch with an unknown result is sent again unchanged, before a new one is made.
                while self._batches or self._make_batches():
                    self.store.add_batch(self._process, self._batches[0], UsageBucket.at(now, self._zone).day, now)
                    self._batches.popleft()
            except StoreUnavailable:
                return False
            return True

    def _drain(self, now: float) -> None:
        """Add up the queue; its entries count for the current hour, or for their own."""
        for _ in range(len(self._dated)):
            name, at = self._dated.popleft()
            self._counts.setdefault(UsageBucket.at(at, self._zone), Counter())[name] += 1
        if not (self._answers or self._others):
            return
        counts = self._counts.setdefault(UsageBucket.at(now, self._zone), Counter())
        shown: Counter[tuple[str, Reason, bool]] = Counter()
        answers = Counter([self._answers.popleft() for _ in range(len(self._answers))])
        for (show, reason, degraded, reader), number in answers.items():
            shown[show, reason, degraded] += number
            if reader is not None:
                counts["upsells"] += number
                if reader:
                    self._note_shown(reader_hash(reader), now)
        for (show, reason, degraded), number in shown.items():
            counts[f"c:{show}:{reason}"] += number
            self._metrics.decisions.labels(show, reason).inc(number)
            if degraded:
                self._metrics.degraded.inc(number)
        for _ in range(len(self._others)):
            name, number = self._others.popleft()
            counts[name] += number
            if name.startswith(_DIFFERENCE):
                self._metrics.comparisons.labels(*name.split(":")[1:]).inc(number)

    def _note_shown(self, tag: bytes, now: float) -> None:
        if now - self._sent.get(tag, 0.0) < _REMEMBERED or len(self._shown) >= _MOST_SHOWN:
            return
        if len(self._sent) >= _MOST_SHOWN:
            self._sent.clear()
        self._sent[tag] = now
        self._shown[tag] = int(now)

    def _make_batches(self) -> bool:
        """Make numbered batches of the counts. Return whether there are any."""
        if not (self._counts or self._shown or self._begun):
            return False
        shown = list(self._shown.items())
        begun = [(reader_hash(reader), at) for reader, at in (self._begun.popleft() for _ in range(len(self._begun)))]
        for start in range(0, max(len(shown), 1), _BATCH):
            self._number += 1
            last = start + _BATCH >= len(shown)
            counts = self._counts if start == 0 else {}
            # Subscriptions come last, after the readers who saw the box in the same seconds.
            part = UsageBatch(self._number, counts, shown[start : start + _BATCH], begun if last else [])
            self._batches.append(part)
        self._counts, self._shown = {}, {}
        return True
