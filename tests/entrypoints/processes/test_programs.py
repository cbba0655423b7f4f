"""Test that what is built before the forks gives each of them a name of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection

from service.entrypoints.processes.programs import Programs
from service.settings.settings import load_settings


def draw_names(programs: Programs, names: Connection) -> None:
    service = programs._service
    names.send((service.usage_counters._process, service.imports.runner._holder, service.worker._leader._me))


def in_a_fork(run: Callable[[Connection], None]) -> tuple[str, ...]:
    """Return what `run` sends in a fork of this process."""
    mine, theirs = multiprocessing.Pipe()
    fork = multiprocessing.get_context("fork").Process(target=run, args=(theirs,))
    fork.start()
    theirs.close()
    found: tuple[str, ...] = mine.recv()
    fork.join()
    return found


def test_forks_count_import_and_lead_under_names_of_their_own() -> None:
    """With one name for two processes, the store would drop the counts of one as a repeat, and both would lead."""
    programs = Programs(load_settings({"PAYWALL_CONFIG": "config"}), "redis://127.0.0.1:1")
    first, second = (in_a_fork(lambda names: draw_names(programs, names)) for _ in range(2))
    assert all(ours != theirs for ours, theirs in zip(first, second, strict=True))
