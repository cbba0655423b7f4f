"""Test that the metrics page is rendered rarely, however often it is asked for, and that no process waits for another."""

from __future__ import annotations

import fcntl
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.adapters.observability.exposition import SharedExposition


class _Renderings(Collector):
    """A gauge that counts how often it was collected."""

    count = 0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        self.count += 1
        yield GaugeMetricFamily("renderings", "How often this was rendered.", self.count)


@pytest.fixture
def renderings() -> _Renderings:
    return _Renderings()


def test_page_is_rendered_at_most_once_a_second_by_all_processes(tmp_path: Path, renderings: _Renderings) -> None:
    processes = [SharedExposition(tmp_path, renderings) for _ in range(2)]
    registered, begun = renderings.count, time.monotonic()
    for _ in range(50):
        for process in processes:
            assert b"renderings" in process.read()
    assert renderings.count - registered <= 1 + math.ceil(time.monotonic() - begun)


def test_page_is_rendered_again_when_it_is_old(tmp_path: Path, renderings: _Renderings) -> None:
    exposition = SharedExposition(tmp_path, renderings)
    first = exposition.read()
    for age in (2.0, -3_600.0):  # An hour ahead: the clock was set back.
        os.utime(tmp_path / "page.txt", (time.time() - age, time.time() - age))
        second = exposition.read()
        assert second != first
        first = second


def test_old_page_is_shown_while_another_process_renders(tmp_path: Path, renderings: _Renderings) -> None:
    exposition = SharedExposition(tmp_path, renderings)
    first = exposition.read()
    os.utime(tmp_path / "page.txt", (0, 0))
    with (tmp_path / "page.lock").open("a") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        assert exposition.read() == first
