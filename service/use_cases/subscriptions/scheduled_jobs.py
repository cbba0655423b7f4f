"""The jobs that the worker runs by itself: unfinished events, objects to read, copies that are behind, due rechecks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.use_cases.subscriptions.event_processor import EventProcessor
from service.use_cases.subscriptions.object_refresh import Job
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
        pending, inbox, refresh = self._processor.pending_work, self._processor.inbox, self._processor.object_refresh

        def new_job(cause: str, *, limit_attempts: bool = False) -> Job:
            return Job(now, cause, force=True, limit_attempts=limit_attempts, stripe_unavailable=stripe_unavailable)

        def finish(name: str) -> None:
            self._processor.refresh_object(name, new_job("worker", limit_attempts=everything))

        def read(name: str) -> None:
            if self._processor.gateway is not None:  # Without a Stripe key nothing can be read.
                finish(name)
                pending.postpone_refresh(name, now + READ_AGAIN_AFTER)

        done = 0
        names: Callable[[], Sequence[str]]
        for names, work in (
            (lambda: inbox.list_abandoned(now, all_of_them=everything), finish),
            (lambda: pending.list_to_refresh(ALL if everything else now), read),
            (
                lambda: pending.list_to_fan_out(ALL if everything else now - BEHIND_FOR),
                lambda name: refresh.fan_out_object(name, Job(now, "worker")),
            ),
            (lambda: pending.list_to_recheck(now), lambda name: self._recheck(name, new_job("boundary"))),
        ):
            seen: set[str] = set()
            # A list has some hundreds of names at a time; what could not be done now is not tried twice.
            while goes_on() and (fresh := [name for name in names() if name not in seen]):
                seen.update(fresh)
                for name in fresh:
                    if not goes_on():
                        break
                    work(name)
                    done += 1
        return done

    def _recheck(self, name: str, job: Job) -> None:
        """Read an object before access changes by itself; what has long expired leaves the hot record."""
        processor, now = self._processor, job.now
        if not name.startswith("session:") and processor.gateway is not None:
            processor.refresh_object(name, job)
        processor.objects.request_fan_out(name, now)
        processor.object_refresh.fan_out_object(name, Job(now, job.cause))
        stored = processor.objects.load(name)
        due = next_recheck(stored.facts, processor.catalogue, now) if stored.facts else NEVER
        if stored.facts is not None and not stored.confirmed:
            due = min(due, now + RECHECK_AGAIN_AFTER)
        processor.pending_work.schedule_recheck(name, due)
