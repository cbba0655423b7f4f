"""Test how fast `paywall serve` starts, and how much memory its processes have."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.running_service import descendants

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.running_service import Paywall, Serve

SECONDS = 1.0
SECONDS_AFTER_KILL = 1.5
GRANTS = 1_000
MEBIBYTES = 130


def seconds_to_start(paywall: Paywall) -> float:
    begun = time.monotonic()
    paywall.start()
    return time.monotonic() - begun


def memory(pid: int) -> float:
    """Return the memory of a process and its descendants in MiB, with each shared page counted once."""
    texts = [Path(f"/proc/{process}/smaps_rollup").read_text() for process in (pid, *descendants(pid))]
    return sum(int(text.split("\nPss:")[1].split()[0]) for text in texts) / 1024


@pytest.mark.load
@pytest.mark.full
def test_service_starts_fast_also_after_a_kill(serve: Serve) -> None:
    paywall = serve(worker=True, start=False, PAYWALL_SECRETS="sealing-secret-0123456789abcdef01")
    assert seconds_to_start(paywall) < SECONDS
    for number in range(GRANTS):
        paywall.grant(f"r-{number}")
    assert paywall.process is not None
    paywall.process.kill()
    paywall.process.wait()
    assert seconds_to_start(paywall) < SECONDS_AFTER_KILL


@pytest.mark.full
def test_processes_share_the_memory_of_what_they_import(serve: Serve, until: Callable[..., float]) -> None:
    paywall = serve(worker=True, PAYWALL_WORKERS="2", PAYWALL_SECRETS="sealing-secret-0123456789abcdef01")
    assert paywall.process is not None
    pid = paywall.process.pid
    until(lambda: len([pid, *descendants(pid)]) == 6)
    assert memory(pid) < MEBIBYTES
