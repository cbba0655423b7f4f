"""What has to be done without anybody asking: unfinished events, unread objects, unshown copies, what is due by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from service.use_cases.subscriptions.processor import EventProcessor
from service.use_cases.subscriptions.recheck_schedule import NEVER, RETRY, next_look

AGAIN_AFTER = 60.0
"""Seconds until an object that could not be read is tried again."""
BEHIND_FOR = 5.0
"""Seconds after which copies that are behind were left by somebody, not just about to be put."""
ALL = float("inf")


class ScheduledJobs:
    """Raises `StoreUnavailable`. With `everything` no back-off counts: what is unfinished is tried now."""

    def __init__(self, processor: EventProcessor) -> None:
        self._processor = processor
        self._away = False

    def run(
        self,
        now: float,
        *,
        everything: bool = False,
        away: bool = False,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> int:
        """Everything that is due, as far as there is time. Gives how many objects were taken up.

        `away`: Stripe has just been found out of reach. It is not asked again for each of what may be hundreds.
        """
        self._away = away
        marks, inbox = self._processor.pending_work, self._processor.inbox
        done = 0
        names: Callable[[], Sequence[str]]
        for names, work in (
            (lambda: inbox.list_abandoned(now, all_of_them=everything), partial(self._finish, by_hand=everything)),
            (lambda: marks.list_to_refresh(ALL if everything else now), partial(self._read, by_hand=everything)),
            (lambda: marks.list_to_fan_out(ALL if everything else now - BEHIND_FOR), self._spread),
            (lambda: marks.list_to_recheck(now), self._look),
        ):
            taken: set[str] = set()
            # A place gives some hundreds at a time; what could not be done now is not taken up again.
            while goes_on() and (fresh := [name for name in names() if name not in taken]):
                taken.update(fresh)
                done += self._each(fresh, work, now, goes_on)
        return done

    def _each(
        self, names: Sequence[str], work: Callable[[str, float], bool], now: float, goes_on: Callable[[], bool]
    ) -> int:
        done = 0
        for name in names:
            if not goes_on():
                break
            work(name, now)
            done += 1
        return done

    def _finish(self, name: str, now: float, by_hand: bool) -> bool:
        return self._processor.work([name], now, "worker", force=True, gives_up=by_hand, away=self._away) == 1

    def _read(self, name: str, now: float, by_hand: bool) -> bool:
        """Without a key nothing can be read; without Stripe it is tried again after a while."""
        if self._processor.gateway is None:
            return False
        done = self._processor.work([name], now, "worker", force=True, gives_up=by_hand, away=self._away) == 1
        self._processor.pending_work.postpone_refresh(name, now + AGAIN_AFTER)
        return done

    def _spread(self, name: str, now: float) -> bool:
        return self._processor.object_refresh.spread([name], self._processor.errand(now, "worker"))

    def _look(self, name: str, now: float) -> bool:
        """A look at Stripe before access changes by itself; what has long ended is put away."""
        processor = self._processor
        if not name.startswith("session:") and processor.gateway is not None:
            processor.work([name], now, "boundary", force=True, away=self._away)
        processor.objects.request_fan_out(name, now)
        done = processor.object_refresh.spread([name], processor.errand(now, "boundary"))
        stored = processor.objects.load(name)
        facts = stored.facts
        ahead = next_look(facts, processor.catalogue, now) if facts else NEVER
        processor.pending_work.schedule_recheck(
            name, ahead if stored.confirmed or facts is None else min(ahead, now + RETRY)
        )
        return done
