"""Start of `paywall serve` with the embedded store and two web processes: `python -m bench.start [rounds]`; only Linux.

The time runs from the command to the first 200 of `/readyz`. The CPU time is that of all processes until then, and on a
busy machine it says more. Memory is the proportional set size (PSS) of all processes three seconds later, the store included:
it counts shared pages once.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.admin import readers, write
from bench.running import cpu_of_all, environment, is_ready, processes, send, serving, wait_until
from service.adapters.observability.logs import configure_logs
from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.link import Link
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.bootstrap import build
from service.settings.settings import load_settings

READERS = 100_000
GRANTS = 1_000
SETTLED_AFTER = 3.0


class Start(NamedTuple):
    """Seconds and seconds of CPU until ready, and MiB of memory."""

    seconds: float
    cpu: float
    memory: float


@contextmanager
def started(env: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], float, float]]:
    """Yield the process once it is ready, with the seconds and the CPU time until then."""
    begun = time.monotonic()
    with serving(env) as (_, process):
        yield process, time.monotonic() - begun, cpu_of_all(process.pid)


def memory(pid: int) -> float:
    """Return the memory of a process and its descendants in MiB, with each shared page counted once."""
    texts = [Path(f"/proc/{process}/smaps_rollup").read_text() for process in processes(pid)]
    return sum(int(text.split("\nPss:")[1].split()[0]) for text in texts) / 1024


def measured_start(env: dict[str, str]) -> Start:
    with started(env) as (process, seconds, cpu):
        time.sleep(SETTLED_AFTER)
        return Start(seconds, cpu, memory(process.pid))


def settings(folder: Path) -> dict[str, str]:
    return environment(folder, PAYWALL_WORKERS="2")


def empty(folder: Path) -> Start:
    return measured_start(settings(folder))


def with_readers(seeded: Path, folder: Path) -> Start:
    shutil.copytree(seeded, folder, dirs_exist_ok=True)
    return measured_start(settings(folder))


def after_kill(folder: Path) -> Start:
    env = settings(folder)
    port = int(env["PAYWALL_PORT"])
    with started(env) as (process, _, _):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(partial(grant, port), range(GRANTS)))
        process.kill()
    wait_until(lambda: not is_ready(port), 60)  # Its web processes end a moment later.
    return measured_start(env)


def grant(port: int, number: int) -> None:
    body = json.dumps({"plan": "vip", "reason": "press card", "until": None}).encode()
    send(port, "POST", f"/v1/readers/r-{number}/grants", body, **{"Content-Type": "application/json"})


def seed(folder: Path) -> None:
    store = EmbeddedStore(folder)
    url = store.start()
    service, link = (
        build(load_settings(environment(folder, REDIS_URL=url)), url),
        Link(parse_address(url), timeout=60),
    )
    write(link, readers(service, READERS, int(time.time())))
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
