"""What the worker keeps in order beside Stripe's facts: figures told, entitlements counted, short lists kept short."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from service.use_cases.reporting.dashboard import Overview
from service.use_cases.reporting.entitlement_counts import Stocktaking
from service.use_cases.story_passes.gifts import Sharing
from service.use_cases.subscriptions.catch_up import CaughtUp
from service.use_cases.subscriptions.full_sync import Swept

COUNT_EVERY = 3_600.0
TIDY_EVERY = 3_600.0


class Housekeeping:
    """One a worker. Raises `StoreUnavailable`; what was not finished is begun again the next time."""

    def __init__(
        self,
        overview: Overview,
        stock: Stocktaking,
        sharing: Sharing,
        clock: Callable[[], float],
        *,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._activity = overview.activity
        self._attention = overview.attention
        self._stock = stock
        self._sharing = sharing
        self._ends = overview.ends
        self._clock = clock
        self._timer = timer
        self._next_count = self._next_tidy = 0.0
        self._counting: Iterator[None] | None = None

    def round(self, goes_on: Callable[[], bool]) -> None:
        """What is due, as far as there is time."""
        self._activity.tick()
        begun = self._timer()
        if begun >= self._next_tidy:
            self.tidy()
            self._next_tidy = begun + TIDY_EVERY
        if self._counting is None and begun >= self._next_count:
            self._next_count = begun + COUNT_EVERY
            self._counting = self._stock.steps(self._clock())
        while self._counting is not None and goes_on():
            counting, self._counting = self._counting, None  # A count that fails is not gone on with.
            if next(counting, self) is not self:
                self._counting = counting

    def everything(self) -> None:
        """All of it, whether it is due or not."""
        self.tidy()
        self._stock.run(self._clock())
        self._activity.flush()

    def caught_up(self, found: CaughtUp) -> None:
        """A catch-up ended."""
        self._attention.caught_up(found, self._clock())

    def swept(self, found: Swept) -> None:
        """A sweep ended."""
        self._attention.swept(found, self._clock())

    def tidy(self) -> None:
        """Takes out of the lists what is over."""
        now = self._clock()
        self._sharing.passes.tidy(now)
        self._ends.tidy(now)
        self._attention.tidy(now)
