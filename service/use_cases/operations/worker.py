"""The worker: catch-up, sweep, boundaries, unfinished and unconfirmed, audit entries and merges left behind.

Many may run, one works: the lead lies in the store. All that it does can be done twice, or by the web processes at the
same time. Without a Stripe key it finishes what payloads allow.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from service.adapters.redis.service_state.coordination import LeaderElection
from service.adapters.stripe.errors import UNREACHABLE
from service.domain.errors import StoreUnavailable, StripeFailure
from service.use_cases.subscriptions.administration import Admin
from service.use_cases.subscriptions.catch_up import EVERY, CatchUp, CaughtUp
from service.use_cases.subscriptions.full_sync import Sweep, Swept
from service.use_cases.subscriptions.processor import Engine
from service.use_cases.subscriptions.scheduled_jobs import Chores

TICK = 1.0
"""Seconds between two rounds, and between two bids for the lead."""
KEEP_EVERY = 4.0
"""Seconds between two renewals of the lead."""
ROUND = 4.0
"""Seconds that the parts of a round may take together, where they can be interrupted."""
SWEEP_AGAIN = 60.0
"""Seconds until a sweep that Stripe broke off begins again."""
TRIM_EVERY = 600.0


@dataclass(frozen=True, slots=True)
class Round:
    """What a round has done: objects taken up, audit entries and merges moved on, what catch-up and sweep found."""

    objects: int = 0
    audit: int = 0
    merges: int = 0
    caught_up: CaughtUp | None = None
    swept: Swept | None = None
    """`None`: it was not due."""
    left: int = 0
    """Objects that have still to be read from Stripe."""
    trouble: str | None = None
    """Why Stripe could not be asked."""


class Aside(Protocol):
    """What is kept in order beside Stripe's facts, and hears what was found."""

    def round(self, goes_on: Callable[[], bool]) -> None:
        """Does what is due, as far as there is time."""

    def everything(self) -> None:
        """Does all of it."""

    def caught_up(self, found: CaughtUp) -> None:
        """A catch-up ended."""

    def swept(self, found: Swept) -> None:
        """A sweep ended."""


class Worker:
    """One a process. `settle_audit` moves audit entries that were left behind; `prices_changed` is told of price events."""

    def __init__(
        self,
        engine: Engine,
        admin: Admin,
        catch_up: CatchUp,
        leader: LeaderElection,
        *,
        settle_audit: Callable[[], int],
        clock: Callable[[], float],
        aside: Aside | None = None,
        prices_changed: Callable[[], None] = lambda: None,
        report: Callable[[str, str], None] = lambda what, why: None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._admin = admin
        self._catch_up = catch_up
        self._leader = leader
        self._chores = Chores(engine)
        self._sweep = Sweep(engine)
        self._settle_audit = settle_audit
        self._clock = clock
        self._aside = aside
        self._prices_changed = prices_changed
        self._report = report
        self._timer = timer
        self._next_catch_up = self._next_trim = self._next_sweep = 0.0
        self._sweeping: Iterator[None] | None = None
        self._swept = Swept()
        self._stop = threading.Event()
        self._leads = threading.Event()

    def run(self) -> None:
        """Works until `stop`, whenever it leads."""
        keeper = threading.Thread(target=self._keep_lead, name="lead", daemon=True)
        keeper.start()
        while not self._stop.is_set():
            try:
                if self._leads.is_set():
                    self._round()
            except StoreUnavailable:
                pass  # It is told of elsewhere; the next round finds out whether it is back.
            except Exception as error:  # One round's fault must not end the worker.
                self._report("worker_failed", type(error).__name__)
            self._stop.wait(TICK)
        keeper.join(KEEP_EVERY)
        try:
            self._leader.release()
        except StoreUnavailable:
            return  # The lead runs off by itself.

    def _keep_lead(self) -> None:
        """Keeps the lead also while a round takes long, as a first catch-up does."""
        while not self._stop.is_set():
            try:
                leads = self._leader.acquire()
            except StoreUnavailable:
                leads = False
            except Exception as error:  # Without this thread the worker would lead for ever, or never again.
                self._report("worker_failed", type(error).__name__)
                leads = False
            if leads:
                self._leads.set()
            else:
                self._leads.clear()
                self._next_catch_up = 0.0  # Who takes over begins with what was missed.
            self._stop.wait(KEEP_EVERY if leads else TICK)

    def stop(self) -> None:
        """Ends `run` after the object under way."""
        self._stop.set()

    def run_once(self) -> Round:
        """Everything that is due, recorded or unconfirmed, whatever its back-off; with a key also a catch-up, and the sweep
        where it is due. Needs no lead.

        Raises `StoreUnavailable`.
        """
        now = self._clock()
        caught_up, trouble = self._caught_up()
        swept = None
        if trouble is None and self._sweep.is_due(now):
            swept, trouble = self._swept_once()
        unread = set(self._engine.marks.list_to_refresh(float("inf")))
        merges, objects = self._admin.finish_merges(now), self._all_chores(now, trouble)
        self._engine.ledger.trim(now)
        audit = self._settle_audit()
        if self._aside is not None:
            self._aside.everything()
        left = (
            0
            if self._engine.gateway is None
            else len(unread.intersection(self._engine.marks.list_to_refresh(float("inf"))))
        )
        return Round(objects, audit, merges, caught_up, swept, left, trouble)

    def catch_up(self, *, dry_run: bool = False) -> CaughtUp | None:
        """Only the catch-up; `None` without a key. Raises `StripeFailure`, `StoreUnavailable`."""
        if self._engine.gateway is None:
            return None
        now = self._clock()
        found = self._catch_up.run(self._engine.gateway, now, dry_run=dry_run)
        if self._aside is not None and not dry_run:
            self._aside.caught_up(found)
        return found

    def sweep(self, *, dry_run: bool = False) -> Swept | None:
        """Only a sweep; `None` without a key. Raises `StripeFailure`, `StoreUnavailable`."""
        if self._engine.gateway is None:
            return None
        found = self._sweep.run(self._engine.gateway, self._clock(), dry_run=dry_run)
        if self._aside is not None and not dry_run:
            self._aside.swept(found)
        return found

    def _round(self) -> None:
        begun = self._timer()
        now = self._clock()
        if begun >= self._next_catch_up:
            self._next_catch_up = begun + EVERY
            self._caught_up()
        self._settle_audit()
        self._admin.finish_merges(now)
        self._chores.run(now, goes_on=lambda: self._goes_on(begun))
        if begun >= self._next_trim:
            self._next_trim = begun + TRIM_EVERY
            self._engine.ledger.trim(now)
        self._sweep_on(begun)
        if self._aside is not None:
            self._aside.round(lambda: self._goes_on(begun))

    def _goes_on(self, begun: float) -> bool:
        return not self._stop.is_set() and self._timer() - begun < ROUND

    def _caught_up(self) -> tuple[CaughtUp | None, str | None]:
        try:
            found = self.catch_up()
        except StripeFailure as trouble:
            self._report("catch_up_failed", trouble.why)
            return None, trouble.why
        if found is not None and found.prices:
            self._prices_changed()
        return found, None

    def _all_chores(self, now: float, trouble: str | None) -> int:
        return self._chores.run(now, everything=True, away=trouble == UNREACHABLE)

    def _swept_once(self) -> tuple[Swept | None, str | None]:
        try:
            return self.sweep(), None
        except StripeFailure as trouble:
            self._report("sweep_failed", trouble.why)
            return None, trouble.why

    def _sweep_on(self, begun: float) -> None:
        """A part of the nightly sweep, as far as there is time in this round."""
        gateway, now = self._engine.gateway, self._clock()
        if gateway is None or begun < self._next_sweep:
            return
        if self._sweeping is None:
            if not self._sweep.is_due(now):
                return
            self._swept = Swept()
            self._sweeping = self._sweep.steps(gateway, now, self._swept)
        try:
            while self._goes_on(begun):
                if next(self._sweeping, self) is self:
                    self._sweeping = None
                    if self._aside is not None:
                        self._aside.swept(self._swept)
                    return
        except StripeFailure as trouble:
            self._sweeping, self._next_sweep = None, begun + SWEEP_AGAIN
            self._report("sweep_failed", trouble.why)
