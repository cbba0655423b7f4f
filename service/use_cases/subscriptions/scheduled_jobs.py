"""The jobs that the worker runs by itself: unfinished events, objects to read, copies that are behind, due rechecks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from service.use_cases.subscriptions.event_processor import EventProcessor
from service.use_cases.subscriptions.projections import NEVER, next_recheck

READ_AGAIN_AFTER = 60.0
"""Seconds until an object that could not be read is read again."""
BEHIND_FOR = 5.0
"""Seconds after which copies that are behind were abandoned; until then another process may be about to write them."""
RECHECK_AGAIN_AFTER = 300.0
"""Seconds until a recheck that failed is repeated."""
ALL = float("inf")


class ScheduledJobs:
    """Runs what is due. Raises: StoreUnavailable."""

    def __init__(self, processor: EventProcessor) -> None:
        self._processor = processor
        self._stripe_unavailable = False

    def run_due(
        self,
        now: float,
        *,
        everything: bool = False,
        stripe_unavailable: bool = False,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> int:
        """Run all jobs that are due while `goes_on`. Return how many objects were processed.

        With `everything` no pause counts: what is unfinished is tried now. With `stripe_unavailable` Stripe is not read
        again for each of what may be hundreds of objects.
        """
        self._stripe_unavailable = stripe_unavailable
        pending, inbox = self._processor.pending_work, self._processor.inbox
        done = 0
        names: Callable[[], Sequence[str]]
        for names, job in (
            (lambda: inbox.list_abandoned(now, all_of_them=everything), partial(self._finish, by_command=everything)),
            (lambda: pending.list_to_refresh(ALL if everything else now), partial(self._read, by_command=everything)),
            (lambda: pending.list_to_fan_out(ALL if everything else now - BEHIND_FOR), self._fan_out),
            (lambda: pending.list_to_recheck(now), self._recheck),
        ):
            seen: set[str] = set()
            # A list has some hundreds of names at a time; what could not be done now is not tried twice.
            while goes_on() and (fresh := [name for name in names() if name not in seen]):
                seen.update(fresh)
                for name in fresh:
                    if not goes_on():
                        break
                    job(name, now)
                    done += 1
        return done

    def _finish(self, name: str, now: float, by_command: bool) -> None:
        self._processor.refresh_objects(
            [name],
            now,
            "worker",
            force=True,
            limit_attempts=by_command,
            stripe_unavailable=self._stripe_unavailable,
        )

    def _read(self, name: str, now: float, by_command: bool) -> None:
        """Read an object. Without a Stripe key nothing can be read; after a failure it is read again later."""
        if self._processor.gateway is not None:
            self._finish(name, now, by_command)
            self._processor.pending_work.postpone_refresh(name, now + READ_AGAIN_AFTER)

    def _fan_out(self, name: str, now: float) -> None:
        processor = self._processor
        processor.object_refresh.fan_out_objects([name], processor.new_job(now, "worker"))

    def _recheck(self, name: str, now: float) -> None:
        """Read an object before access changes by itself; what has long expired leaves the hot record."""
        processor = self._processor
        if not name.startswith("session:") and processor.gateway is not None:
            processor.refresh_objects([name], now, "boundary", force=True, stripe_unavailable=self._stripe_unavailable)
        processor.objects.request_fan_out(name, now)
        processor.object_refresh.fan_out_objects([name], processor.new_job(now, "boundary"))
        stored = processor.objects.load(name)
        due = next_recheck(stored.facts, processor.catalogue, now) if stored.facts else NEVER
        if stored.facts is not None and not stored.confirmed:
            due = min(due, now + RECHECK_AGAIN_AFTER)
        processor.pending_work.schedule_recheck(name, due)
