"""Test the restarts of child processes; the time is an argument."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial

from service.entrypoints.processes.supervisor import LONGEST_PAUSE, LONGEST_PAUSE_OF_WEB, Child

ENDS_AT_ONCE = partial(subprocess.Popen, [sys.executable, "-c", "raise SystemExit(1)"])


class Timer:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def restart(child: Child, timer: Timer, until: Callable[..., float]) -> float:
    """Wait until a child has ended, and return the seconds until its restart."""
    until(lambda: child.ended)
    ended, process = timer.now, child.process
    child.restart_if_due()
    while child.process is process:
        timer.now += 0.25
        child.restart_if_due()
    return timer.now - ended


def test_pause_before_a_restart_doubles_up_to_the_longest(until: Callable[..., float]) -> None:
    timer = Timer()
    worker = Child("worker", ENDS_AT_ONCE, timer=timer)
    web = Child("web", ENDS_AT_ONCE, longest_pause=LONGEST_PAUSE_OF_WEB, timer=timer)
    for child in (worker, web):
        child.start()
    assert [restart(worker, timer, until) for _ in range(6)] == [1, 2, 4, 8, 16, LONGEST_PAUSE]
    assert [restart(web, timer, until) for _ in range(3)] == [0, 1, 1]
    for child in (worker, web):
        child.stop(60)


def test_child_that_waits_for_its_restart_delays_no_other(until: Callable[..., float]) -> None:
    timer = Timer()
    worker, web = (Child(name, ENDS_AT_ONCE, timer=timer) for name in ("worker", "web"))
    worker.start()
    for _ in range(5):
        restart(worker, timer, until)
    until(lambda: worker.ended)
    web.start()
    until(lambda: web.ended)
    waiting, died, ended = worker.process, web.process, timer.now
    while web.process is died:
        for child in (worker, web):
            child.restart_if_due()
        timer.now += 0.25
    assert timer.now - ended <= 1.5
    assert worker.process is waiting
    for child in (worker, web):
        child.stop(60)
