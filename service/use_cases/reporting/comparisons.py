"""Compare mode: how often this service and the paywall in charge (the incumbent) showed the same, and where they differ.

A check only appends to queues, and its answer is never changed. The usage counters count each comparison, and a background
task writes the answers that differ, of which the store keeps the last 1,000.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from typing import Literal

from service.adapters.redis.reporting.comparison_samples import MOST, ComparisonSample, ComparisonSamples, pack_sample
from service.adapters.redis.reporting.usage_counts import UsageStore
from service.domain.errors import StoreUnavailable
from service.use_cases.access.check import AccessAnswer
from service.use_cases.reporting.statistics import Period, Point, load_period
from service.use_cases.reporting.usage_counters import UsageCounters

DAYS = 7
"""The days that a summary covers, today included."""

Show = Literal["full", "upsell"]
Difference = tuple[str, str, str]
"""What this service showed, what the incumbent showed, and this service's reason."""


class Comparisons:
    """The comparisons of one process; threads share them."""

    def __init__(self, samples: ComparisonSamples, usage: UsageCounters, clock: Callable[[], float]) -> None:
        self.samples = samples
        self._usage = usage
        self._clock = clock
        # A deque's append is atomic under the interpreter's lock; a full one drops its oldest entry.
        self._differing: deque[ComparisonSample] = deque(maxlen=MOST)
        self._unwritten: list[bytes] = []

    def compare(self, incumbent: Show, answer: AccessAnswer, decision_id: str | None) -> None:
        """Note an answer beside what the incumbent showed."""
        decision = answer.decision
        self._usage.count_comparison(decision.show, incumbent, decision.reason)
        if decision.show != incumbent:
            story = answer.question.story.id
            sample = ComparisonSample(answer.at, decision_id, decision.show, incumbent, decision.reason.value, story)
            self._differing.append(sample)

    def write_samples(self) -> None:
        """Write the answers that differed since the last call. Raises: StoreUnavailable; the next call then writes them."""
        noted = [pack_sample(self._differing.popleft()) for _ in range(len(self._differing))]
        # A write with an unknown result is repeated with the same members, which adds nothing twice.
        self._unwritten = (self._unwritten + noted)[-MOST:]
        if self._unwritten:
            self.samples.add(self._unwritten, self._clock())
            self._unwritten = []

    def close(self) -> None:
        """Write what is left, if the store is available."""
        with suppress(StoreUnavailable):
            self.write_samples()


@dataclass(frozen=True, slots=True)
class ComparisonSummary:
    """How many answers were compared, how many agreed by what both showed, and how the others differed."""

    agreed_by_show: Mapping[str, int]
    differences: Mapping[Difference, int]

    @property
    def agreed(self) -> int:
        return sum(self.agreed_by_show.values())

    @property
    def compared(self) -> int:
        return self.agreed + sum(self.differences.values())

    @property
    def by_reason(self) -> dict[Difference, int]:
        """Return the differences, the most frequent first."""
        return dict(sorted(self.differences.items(), key=lambda row: (-row[1], row[0])))

    def count(self, ours: str, theirs: str) -> int:
        """Return how often this service showed the one and the incumbent the other."""
        if ours == theirs:
            return self.agreed_by_show.get(ours, 0)
        return sum(number for (own, other, _), number in self.differences.items() if (own, other) == (ours, theirs))


def load_compared_days(store: UsageStore, zone: tzinfo, now: float) -> list[Point]:
    """Return the last seven days, today included. Raises: StoreUnavailable."""
    return load_period(store, Period.last_days(DAYS, zone, now))


def summarize(points: Sequence[Point]) -> ComparisonSummary:
    """Return the comparisons of some days."""
    agreed, differences = Counter[str](), Counter[Difference]()
    for point in points:
        agreed.update(point.agreed)
        differences.update(point.differences)
    return ComparisonSummary(agreed, differences)
