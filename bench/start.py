"""Start of `paywall serve` with the embedded store and two web processes: `python -m bench.start [rounds]`; only Linux.

The time runs from the command to the first 200 of `/readyz`. The CPU time is that of all processes until then, and on a
busy machine it says more. Memory is the proportional set size (PSS) of all processes three seconds later, the store included:
it counts shared pages once.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.__main__ import HERE, TICK, free_port, processes
from bench.admin import CHUNK, Command, readers
from service.adapters.observability.logs import configure_logs
from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.link import Link
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.bootstrap import build
from service.settings.settings import load_settings

READERS = 100_000
GRANTS = 1_000
ADMIN_KEY = "bench-admin-key-of-one-run"
SETTLED_AFTER = 3.0


class Start(NamedTuple):
    """Seconds and seconds of CPU until ready, and MiB of memory."""

    seconds: float
    cpu: float
    memory: float


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PAYWALL_", "STRIPE_", "REDIS_"))}
    return {
        **kept,
        "PAYWALL_CONFIG": str(HERE.parent / "config"),
        "PAYWALL_DATA": str(folder),
        "PAYWALL_PORT": str(free_port()),
        "PAYWALL_WORKERS": "2",
        "PAYWALL_SITE_KEYS": "bench:bench-site-key-of-one-run",
        "PAYWALL_ADMIN_KEYS": f"bench:{ADMIN_KEY}",
        "PAYWALL_SECRETS": "bench-secret-of-32-characters-ok",
    }


@contextmanager
def started(env: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], float, float]]:
    """Yield the process once it is ready, with the seconds and the CPU time until then."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "service.entrypoints.cli", "serve"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    try:
        while not is_ready(env):
            if process.poll() is not None:
                raise SystemExit("the service ended")
            time.sleep(0.01)
        yield process, time.monotonic() - begun, sum(map(cpu_with_ended_children, processes(process.pid)))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def is_ready(env: dict[str, str]) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{env['PAYWALL_PORT']}/readyz", timeout=5):
            return True
    except OSError:
        return False


def cpu_with_ended_children(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


def memory(pid: int) -> float:
    """Return the memory of a process and its descendants in MiB, with each shared page counted once."""
    texts = [Path(f"/proc/{process}/smaps_rollup").read_text() for process in processes(pid)]
    return sum(int(text.split("\nPss:")[1].split()[0]) for text in texts) / 1024


def measured_start(env: dict[str, str]) -> Start:
    with started(env) as (process, seconds, cpu):
        time.sleep(SETTLED_AFTER)
        return Start(seconds, cpu, memory(process.pid))


def empty(folder: Path) -> Start:
    return measured_start(environment(folder))


def with_readers(seeded: Path, folder: Path) -> Start:
    shutil.copytree(seeded, folder, dirs_exist_ok=True)
    return measured_start(environment(folder))


def after_kill(folder: Path) -> Start:
    env = environment(folder)
    with started(env) as (process, _, _):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(partial(grant, env), range(GRANTS)))
        process.kill()
    while is_ready(env):  # Its web processes end a moment later.
        time.sleep(0.01)
    return measured_start(env)


def grant(env: dict[str, str], number: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{env['PAYWALL_PORT']}/v1/readers/r-{number}/grants",
        json.dumps({"plan": "vip", "reason": "press card", "until": None}).encode(),
        {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).read()


def seed(folder: Path) -> None:
    store = EmbeddedStore(folder)
    url = store.start()
    service, link = (
        build(load_settings({**environment(folder), "REDIS_URL": url}), url),
        Link(parse_address(url), timeout=60),
    )
    batch: list[Command] = []
    for command in readers(service, READERS, int(time.time())):
        batch.append(command)
        if len(batch) == 2 * CHUNK:
            link.pipeline(batch)
            batch = []
    link.close()
    store.stop()


def main() -> None:
    """Print the medians of each case, whose rounds alternate."""
    configure_logs(command=True)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as root:
        seeded = Path(root) / "seeded"
        seed(seeded)
        cases: dict[str, Callable[[Path], Start]] = {
            "empty store": empty,
            f"{READERS:,} readers": partial(with_readers, seeded),
            f"killed (SIGKILL) with {GRANTS:,} grants": after_kill,
        }
        found: dict[str, list[Start]] = {name: [] for name in cases}
        for round_ in range(rounds):
            for name, case in cases.items():
                folder = Path(root) / f"{round_}-{len(found[name])}-{list(cases).index(name)}"
                folder.mkdir()
                found[name].append(case(folder))
    print("| | ready after | CPU until then | memory |\n|---|---|---|---|")
    for name, starts in found.items():
        seconds, cpu, mebibytes = (statistics.median(values) for values in zip(*starts, strict=True))
        print(f"| {name} | {seconds:.2f} s | {cpu:.2f} s | {mebibytes:.0f} MiB |")


if __name__ == "__main__":
    main()
