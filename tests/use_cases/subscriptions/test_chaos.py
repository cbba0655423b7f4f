"""Test random orders with duplicates, losses, two workers and kills: one catch-up makes it right."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from service.use_cases.subscriptions.catch_up import CatchUp
from service.use_cases.subscriptions.scheduled_jobs import ScheduledJobs
from tests.stepped_link import Killed, Step, SteppedLink

Stepped = Callable[[Step], SteppedLink]


class Lockstep:
    """Runs several jobs at once, one step at a time, in an order that a seed decides.

    Each thread stops before every operation on the store; then the seed decides who goes on, and who is killed right
    there. So one seed is one interleaving, and can be repeated.
    """

    def __init__(self, random: Random, kills: float) -> None:
        self._random = random
        self._kills = kills
        self._turn = threading.Condition()
        self._running: int | None = None
        self._alive: set[int] = set()
        self._failure: BaseException | None = None
        self._me = threading.local()
        self.killed = 0

    def step(self, name: str = "") -> None:
        """Let another thread continue first, or be killed here."""
        me: int | None = getattr(self._me, "number", None)
        if me is None:
            return
        with self._turn:
            self._pass_on()
            while self._running != me:
                self._turn.wait()
            if self._random.random() < self._kills:
                self.killed += 1
                raise Killed

    def run(self, works: list[Callable[[], None]]) -> None:
        threads = [threading.Thread(target=self._work, args=(n, work)) for n, work in enumerate(works)]
        self._alive = set(range(len(works)))
        for thread in threads:
            thread.start()
        with self._turn:
            self._pass_on()
        for thread in threads:
            thread.join(60)
        if self._failure is not None:
            raise self._failure

    def _pass_on(self) -> None:
        self._running = self._random.choice(sorted(self._alive)) if self._alive else None
        self._turn.notify_all()

    def _work(self, number: int, work: Callable[[], None]) -> None:
        self._me.number = number
        try:
            with self._turn:
                while self._running != number:
                    self._turn.wait()
            work()
        except BaseException as error:
            self._failure = error
        finally:
            with self._turn:
                self._alive.discard(number)
                self._pass_on()


class Run:
    """One run; a seed decides everything. A smooth run loses nothing and kills nothing, but all workers are slow."""

    def __init__(self, stage: Any, story: dict[str, Any], seed: int, *, smooth: bool) -> None:
        self.stage, self.story, self.smooth = stage, story, smooth
        self.random = Random(seed)
        kills = 0.0 if smooth else self.random.choice([0.0, 0.005, 0.02])
        self.away = 0.0 if smooth else self.random.choice([0.0, 0.3, 0.9])
        self.lockstep = Lockstep(self.random, kills)
        self.clock = float(story["events"][-1]["created"])
        self.events = list(story["events"])
        self.happened = 0
        # Seconds between deliveries; after a lease expires the others read as well.
        self.leaps = [10, 70] if smooth else self.random.choice([[0, 0, 1, 5, 70], [10, 70]])
        self.ahead = [0] if smooth else self.random.choice([[0], [0, 0, 3, 100]])
        self.todo = self._deliveries(0.0 if smooth else self.random.choice([0.0, 0.2, 0.6]))

    def _deliveries(self, lost: float) -> list[dict[str, Any]]:
        """Return the events in random order: some lost, some repeated."""
        kept = [event for event in self.events if self.random.random() >= lost]
        again = [event for event in kept if self.random.random() < 0.3]
        order = kept + again
        mixed = self.random.choice(["nearly", "in order"] if self.smooth else ["shuffled", "nearly", "in order"])
        if mixed == "shuffled":
            self.random.shuffle(order)
        elif mixed == "nearly":
            order.sort(key=lambda event: self.events.index(event) + self.random.uniform(0, 5))
        else:
            order.sort(key=self.events.index)
        return order

    def play(self, stepped: Stepped) -> None:
        link = stepped(self.lockstep.step)
        self.stage.stripe.on_read = lambda name: self._slow_answer()
        self.lockstep.run([lambda: self.one_process(link)] * (3 if self.smooth else 2))
        self.stage.stripe.on_read = lambda name: None
        link.close()

    def _slow_answer(self) -> None:
        """Let a read be outdated when it arrives."""
        for _ in range(self.random.choice([1, 1, 5, 60])):
            self.lockstep.step()

    def one_process(self, link: SteppedLink) -> None:
        processor = self.stage.make(link)
        while self.todo:
            event = self.todo.pop(0)
            self.clock += self.random.choice(self.leaps)
            self._happen(self.events.index(event))
            self.stage.stripe.away = self.random.random() < self.away
            try:
                self.stage.deliver(event, self.clock, processor)
            except Killed:
                processor = self.stage.make(link)

    def _happen(self, upto: int) -> None:
        """Advance Stripe's state at least to this event; often it is further."""
        further = self.random.choice(self.ahead) + upto
        while self.happened <= min(further, len(self.events) - 1):
            self.stage.stripe.happen(self.events[self.happened])
            self.happened += 1

    def recover(self) -> None:
        """Make Stripe available and run the worker once."""
        self._happen(len(self.events) - 1)
        self.stage.stripe.away = False
        processor = self.stage.make()
        self.clock += 61
        CatchUp(processor).catch_up(self.stage.stripe, self.clock)
        ScheduledJobs(processor).run_due(self.clock, everything=True)

    def check(self) -> None:
        stage, now = self.stage, self.story["events"][-1]["created"] + 1
        assert stage.held(self.story["reader"], now) == stage.expected(self.story, now)
        counts = stage.make().pending_work.count()
        assert (counts["pending"], counts["unread"], counts["unspread"], counts["dead"]) == (0, 0, 0, 0)
        states = {entry.state for entry in stage.make().ledger.load_page(100)[0]}
        assert states <= {"applied", "stale", "ignored"}
        assert all(source.confirmed for source in stage.readers.load_all(self.story["reader"]))


def play(stage: Any, stepped: Stepped, story: dict[str, Any], seed: int, *, smooth: bool) -> None:
    run = Run(stage, story, seed, smooth=smooth)
    try:
        run.play(stepped)
        if not smooth:  # Otherwise there is nothing to recover from: the sequence numbers alone must be enough.
            run.recover()
        run.check()
    except BaseException as error:
        raise AssertionError(f"story {story['name']}, seed {seed}, smooth {smooth}") from error


def play_all(stage_of: Any, stepped: Stepped, stories: dict[str, Any], seeds: range, *, smooth: bool) -> None:
    for seed in seeds:
        for story in stories.values():
            play(stage_of(), stepped, story, seed, smooth=smooth)


def test_any_order_with_losses_and_crashes_is_right_after_one_catch_up(
    stage_of: Any, stepped: Stepped, stories: Any
) -> None:
    play_all(stage_of, stepped, stories, range(5), smooth=False)


@pytest.mark.full
def test_concurrent_slow_workers_need_no_catch_up(stage_of: Any, stepped: Stepped, stories: Any) -> None:
    play_all(stage_of, stepped, stories, range(5), smooth=True)


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize(
    ("store_url", "seeds"), [("valkey", range(1000, 1050)), ("redis8", range(1050, 1060))], indirect=["store_url"]
)
def test_hundreds_of_orders_losses_and_crashes_end_right(
    stage_of: Any, stepped: Stepped, stories: Any, seeds: range, smooth: bool
) -> None:
    play_all(stage_of, stepped, stories, seeds, smooth=smooth)
