"""Test that processes which share the metrics of one parent count in files of their own, and that the page adds them up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.adapters.observability.exposition import SharedExposition
from service.adapters.observability.state_gauges import StateGauges

BUILD = """
import os, shutil, sys
from service.adapters.observability.metrics import Metrics

metrics = Metrics()
files = os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])
assert not files, files  # A process that only builds them leaves nothing, and no disk can be too full for it.

def in_a_fork(count, kind="web", before=lambda: None):
    child = os.fork()
    if not child:
        before()
        metrics.start(kind, has_stripe=False)
        count()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.fixture
def page_after(tmp_path: Path) -> Callable[[str], list[str]]:
    """Return the lines of the page after a process has built the metrics and run a program with them."""

    def run(program: str) -> list[str]:
        env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", BUILD + program], env=env, check=True, timeout=60)
        return SharedExposition(tmp_path, StateGauges()).read().decode().splitlines()

    return run


def test_forks_of_one_parent_count_for_themselves_and_add_up(page_after: Callable[[str], list[str]]) -> None:
    page = page_after(
        "in_a_fork(lambda: metrics.count_sign_in('key', 'failed'))\n"
        "in_a_fork(lambda: [metrics.count_sign_in('key', 'failed') for _ in range(2)])\n"
        "in_a_fork(lambda: metrics.seconds.labels('/new').observe_all([0.003] * 4), 'worker')\n"
    )
    assert 'paywall_sign_ins_total{method="key",outcome="failed"} 3.0' in page
    assert 'paywall_sign_ins_total{method="link",outcome="failed"} 0.0' in page
    assert 'paywall_request_seconds_bucket{le="0.005",route="/new"} 4.0' in page
    assert 'paywall_request_seconds_sum{route="/new"} 0.012' in page


def test_more_label_values_than_there_is_room_for_are_counted(page_after: Callable[[str], list[str]]) -> None:
    page = page_after(
        "in_a_fork(lambda: [metrics.requests.labels(f'/{n:0200}', 'GET', '200').inc(n) for n in range(1_000)])\n"
    )
    for number in (1, 999):
        assert f'paywall_requests_total{{method="GET",route="/{number:0200}",status="200"}} {number:.1f}' in page


def test_process_with_the_number_of_an_ended_one_adds_to_its_counts(page_after: Callable[[str], list[str]]) -> None:
    page = page_after(
        "in_a_fork(lambda: metrics.requests.labels('/new', 'GET', '200').inc(2))\n"
        "def inherit():\n"
        "    folder = os.environ['PROMETHEUS_MULTIPROC_DIR']\n"
        "    (name,) = (name for name in os.listdir(folder) if name.startswith('counter'))\n"
        "    os.rename(f'{folder}/{name}', f'{folder}/counter_{os.getpid()}.db')\n"
        "in_a_fork(lambda: metrics.requests.labels('/new', 'GET', '200').inc(3), before=inherit)\n"
    )
    assert 'paywall_requests_total{method="GET",route="/new",status="200"} 5.0' in page


def test_fork_counts_after_the_folder_was_removed(page_after: Callable[[str], list[str]]) -> None:
    """The system removes a user's files in /dev/shm when they log out, also those of a service that still runs."""
    removed = "shutil.rmtree(os.environ['PROMETHEUS_MULTIPROC_DIR'])\n"
    page = page_after(removed + "in_a_fork(lambda: metrics.crashes.inc(3))\n")
    assert "paywall_crashes_total 3.0" in page
