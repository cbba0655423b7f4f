"""Test large imports on a real service: duration, memory, checks meanwhile, and kills."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.running_service import ADMIN_KEY, Paywall, Serve
from tests.store_servers import Launch, wait_until
from tests.use_cases.grants.imports.conftest import HEADER, sheet

ROWS = 5_000
"""Enough to be killed in the middle."""
MOST_ROWS = 50_000
SECONDS = 20
"""For the most rows, on two cores and with no other load."""


def file_of(rows: int) -> bytes:
    return (HEADER + "".join(f"r-{n},vip,2099-01-01T00:00:00Z,press card {n % 9}\n" for n in range(rows))).encode()


FILE = file_of(ROWS)


def post(paywall: Paywall, body: bytes, **query: str) -> dict[str, Any]:
    answer = paywall.session.post(
        f"{paywall.url}/v1/grants/import",
        body,
        headers={**paywall.as_admin, "Content-Type": "text/csv"},
        params=query,
        timeout=120,
    )
    assert answer.status_code in (200, 202), answer.text
    found: dict[str, Any] = answer.json()
    return found


def get_import(paywall: Paywall, import_id: str) -> dict[str, Any]:
    answer = paywall.get(f"/v1/grants/import/{import_id}")
    found: dict[str, Any] = answer.json()
    # On a busy machine the store is sometimes slow, and the answer is a 503.
    return found if answer.status_code == 200 else {"state": "unknown", "progress": {"done": 0}}


def active(paywall: Paywall, *numbers: int) -> list[bool]:
    return [paywall.reader(f"r-{number}")["access"] for number in numbers]


def memory_of(paywall: Paywall) -> int:
    """Return the peak memory of the service's largest process, in MiB."""
    assert paywall.process is not None
    most, waiting = 0, [paywall.process.pid]
    while waiting:
        pid = waiting.pop()
        status = Path(f"/proc/{pid}/status").read_text()
        held = status.partition("VmHWM:")[2].split()  # A process that has just ended reports nothing.
        most = max(most, int(held[0]) // 1024 if held else 0)
        waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return most


class Checks:
    """Checks access repeatedly in a thread; `slowest(share)` returns seconds."""

    def __init__(self, paywall: Paywall) -> None:
        self.seconds: list[float] = []
        self._paywall = paywall
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Checks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.wait(0.005):
            begun = time.perf_counter()
            self._paywall.ask("s", reader=f"r-{len(self.seconds)}", count=False)
            self.seconds.append(time.perf_counter() - begun)

    def slowest(self, share: float) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * share)]


@pytest.mark.load
@pytest.mark.full
@pytest.mark.timeout(600)
def test_import_of_50000_rows_takes_less_than_20_seconds(serve: Serve) -> None:
    paywall, file = serve(), file_of(MOST_ROWS)
    before = memory_of(paywall)
    begun = time.monotonic()
    assert post(paywall, file, dry_run="true")["new"] == MOST_ROWS
    dry = time.monotonic() - begun
    with Checks(paywall) as checks:
        begun = time.monotonic()
        found = post(paywall, file)
        wait_until(lambda: get_import(paywall, found["id"])["state"] == "done", 120)
        took = time.monotonic() - begun
    assert active(paywall, 0, 777, MOST_ROWS - 1) == [True] * 3
    begun = time.monotonic()
    paywall.call("DELETE", f"/v1/grants/import/{found['id']}?reason=x", None, ADMIN_KEY)
    wait_until(lambda: get_import(paywall, found["id"])["state"] == "undone", 120)
    undo = time.monotonic() - begun
    assert get_import(paywall, found["id"])["undo"] == {"taken_back": MOST_ROWS, "left_alone": 0}
    assert active(paywall, 0, 777, MOST_ROWS - 1) == [False] * 3
    figures = {"dry": dry, "import": took, "undo": undo, "p50": checks.slowest(0.5), "p99": checks.slowest(0.99)}
    print({name: round(value, 4) for name, value in figures.items()})
    assert dry < SECONDS
    assert took < SECONDS
    assert memory_of(paywall) - before < 150


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("undoing", [False, True])
def test_killed_import_is_complete_after_restart(serve: Serve, undoing: bool) -> None:
    paywall = serve()
    found = post(paywall, FILE)
    if undoing:
        wait_until(lambda: get_import(paywall, found["id"])["state"] == "done", 120)
        paywall.call("DELETE", f"/v1/grants/import/{found['id']}?reason=x", None, ADMIN_KEY)
    progress = wait_until(lambda: get_import(paywall, found["id"])["progress"]["done"] >= 3)
    assert progress >= 0
    paywall.end(signal.SIGKILL, group=True)
    paywall.start()
    wait_until(lambda: get_import(paywall, found["id"])["state"] == ("undone" if undoing else "done"))
    assert active(paywall, 0, ROWS // 2, ROWS - 1) == [not undoing] * 3
    counts = get_import(paywall, found["id"])
    assert (counts["undo"]["taken_back"] if undoing else counts["new"]) == ROWS


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("words", [("worker", "--once"), ("worker",)], ids=" ".join)
def test_worker_alone_finishes_an_import_of_a_killed_service(
    serve: Serve, launch: Launch, words: tuple[str, ...]
) -> None:
    paywall = serve(REDIS_URL=launch("valkey", tcp=True).url)
    found = post(paywall, FILE)
    paywall.end(signal.SIGKILL, group=True)

    def state() -> Any:
        return json.loads(paywall.command("grants", "import-show", found["id"], "--json").stdout)["state"]

    assert state() == "applying"
    command = [sys.executable, "-m", "service.entrypoints.cli", *words]
    with subprocess.Popen(command, env=paywall.env, stdout=subprocess.DEVNULL) as worker:
        if "--once" in words:
            assert worker.wait(60) == 0
            assert state() == "done"
        else:
            wait_until(lambda: state() == "done")
            worker.terminate()
            assert worker.wait(60) == 0


@pytest.mark.full
def test_import_command_shows_progress_and_import_undo_revokes(serve: Serve, tmp_path: Path) -> None:
    paywall = serve()
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_bytes(sheet("r-1,vip,never,press", "r-2,vip,never,press"))
    bad.write_bytes(sheet("r-1,vip,never,press", "r-3,vip,,press"))
    dry = paywall.command("grants", "import", str(bad), "--dry-run")
    assert (dry.returncode, "line 3, until" in dry.stdout) == (1, True)
    refused = paywall.command("grants", "import", str(bad))
    assert (refused.returncode, "line 3, until" in refused.stderr, "Nothing was imported" in refused.stderr) == (
        1,
        True,
        True,
    )
    done = paywall.command("grants", "import", str(good))
    name = done.stdout.split()[0]
    assert (done.returncode, "2 new" in done.stdout, name in done.stderr) == (0, True, True), done.stderr
    assert active(paywall, 1, 2) == [True, True]
    shown = paywall.command("grants", "import-show", name, "--json")
    assert (shown.returncode, '"state": "done"' in shown.stdout) == (0, True)
    undone = paywall.command("grants", "import-undo", name, "--reason", "wrong file")
    assert (undone.returncode, "2 taken back" in undone.stdout) == (0, True)
    assert active(paywall, 1, 2) == [False, False]
    assert paywall.command("grants", "import", str(tmp_path / "none.csv")).returncode == 2
