"""Test that the metrics page is rendered rarely, however often it is asked for, and that no process waits for another."""

from __future__ import annotations

import fcntl
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.adapters.observability.exposition import MOST_ENDED, SharedExposition
from service.adapters.observability.metrics import RequestSeconds


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


def test_many_amounts_at_once_are_as_one_after_another() -> None:
    registries = CollectorRegistry(), CollectorRegistry()
    one, all_at_once = (RequestSeconds("taken", "Seconds.", ["route"], registry=each) for each in registries)
    amounts = [0.0, 0.005, 0.0050001, 0.3, 10.0, 11.0, 0.005]
    for amount in amounts:
        one.labels("/v1/access").observe(amount)
    all_at_once.labels("/v1/access").observe_all(amounts)
    pages = [re.sub(rb".*_created.*", b"", generate_latest(each)) for each in registries]
    assert pages[0] == pages[1]
    assert b'taken_bucket{le="0.005",route="/v1/access"} 3.0' in pages[0]


def test_old_page_is_shown_while_another_process_renders(tmp_path: Path, renderings: _Renderings) -> None:
    exposition = SharedExposition(tmp_path, renderings)
    first = exposition.read()
    os.utime(tmp_path / "page.txt", (0, 0))
    with (tmp_path / "page.lock").open("a") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        assert exposition.read() == first


def test_page_that_cannot_be_kept_is_shown_all_the_same(tmp_path: Path, renderings: _Renderings) -> None:
    exposition = SharedExposition(tmp_path, renderings)
    (tmp_path / "page.new").mkdir()  # As with a full disk, the page cannot be written.
    assert b"renderings" in exposition.read()
    assert b"renderings" in exposition.read()


def test_counts_of_many_ended_processes_are_added_up_in_one_file(tmp_path: Path, renderings: _Renderings) -> None:
    code = (
        "from prometheus_client import Counter, Histogram\n"
        "Counter('checks', 'Checks.', ['show']).labels('full').inc(2)\n"
        "Histogram('seconds', 'Seconds.', buckets=(1, 5)).observe(3)\n"
    )

    def run_processes() -> None:
        for _ in range(MOST_ENDED + 1):
            env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
            subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=60)

    exposition = SharedExposition(tmp_path, renderings)
    for total in (MOST_ENDED + 1, 2 * (MOST_ENDED + 1)):
        run_processes()
        (tmp_path / "page.txt").unlink(missing_ok=True)
        lines = exposition.read().decode().splitlines()
        assert f'checks_total{{show="full"}} {total * 2:.1f}' in lines
        assert f'seconds_bucket{{le="5.0"}} {total:.1f}' in lines
        assert f"seconds_count {total:.1f}" in lines
        assert sorted(file.name for file in tmp_path.glob("*.db")) == ["counter_archive.db", "histogram_archive.db"]


def test_page_is_shown_after_the_folder_was_removed(tmp_path: Path, renderings: _Renderings) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    exposition = SharedExposition(folder, renderings)
    exposition.read()
    shutil.rmtree(folder)
    assert b"renderings" in exposition.read()
    SharedExposition(folder / "of-a-new-process", renderings)
    assert (folder / "of-a-new-process").is_dir()
