"""CPU time of a request, and requests a second: the access check compared with bare Flask views, on one worker.

`python -m bench` needs wrk. The checks are about 1,500 readers and 120 stories. The bare views run as their author would run
them, with one thread. All cases use the same store, in alternating rounds, so that a change of the machine's speed affects
all of them. The results are medians, and ratios to case (b) of the same round with their least and most.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.running import CONFIG, cpu_of_all, environment, free_port, running, status_of, wait_until
from service.adapters.observability.logs import configure_logs
from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.keys import Keys, reader_hash
from service.adapters.redis.client.link import Link
from service.adapters.redis.client.scripts import ScriptCall
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.adapters.redis.readers import meters, source_codec
from service.domain.sources import Item, Subscription
from service.settings.settings import load_settings

HERE = Path(__file__).parent
SECONDS, ROUNDS, CONNECTIONS = int(os.environ.get("BENCH_SECONDS", "4")), int(os.environ.get("BENCH_ROUNDS", "5")), 16
READERS, STORIES, FREE = 1_500, 120, 6

CASES = (
    ("a", "bare Flask view, a constant", "constant", "baseline", "/constant"),
    ("b", "bare Flask view, one Redis GET", "constant", "baseline", "/get"),
    ("c", "/v1/access, entitled reader", "entitled", "service", "/v1/access"),
    ("d", "/v1/access, used-up meter of a reader", "used_up", "service", "/v1/access"),
    ("e", "/v1/access, used-up meter of a visitor", "visitor_used_up", "service", "/v1/access"),
    ("f", "/v1/access, counted read of a new reader", "counted", "service", "/v1/access"),
    ("g", "/v1/access, counted read of a new visitor", "visitor_counted", "service", "/v1/access"),
    ("h", "/v1/access/batch of 20, entitled reader", "batch", "service", "/v1/access/batch"),
    ("i", "/v1/access, entitled reader, incumbent agrees", "compared", "service", "/v1/access"),
    ("j", "as (d), with metered plans in the catalogue", "used_up", "metered_plans", "/v1/access"),
)

METERED_PLAN = """
[plans.reader]
name = "Reader"
features = []
prices = ["price_reader"]
meters = { stories = 20 }
"""
"""Of six stories read, the readers may read five: this plan would open the next one, so `next` names it."""


@dataclass(frozen=True)
class Measured:
    """One round of one case."""

    cpu: float
    """CPU seconds of a request, in all processes of the server."""
    rate: float
    """Requests a second."""


@contextmanager
def server(arguments: list[str], env: dict[str, str], port: int) -> Iterator[int]:
    """Run a web server for the block, and yield its process once it answers, whatever the status."""
    with running(arguments, env) as process:
        wait_until(lambda: status_of(port, "/readyz") is not None, 60, process)
        yield process.pid


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed; on Debian: apt-get install wrk")


def load(url: str, kind: str, run: str, pid: int) -> Measured:
    before = cpu_of_all(pid)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(HERE / "check.lua"), url, "--", kind, run]
    command += [str(READERS), str(STORIES)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = cpu_of_all(pid) - before
    requests = int(re.search(r"(\d+) requests in", output)[1])  # type: ignore[index]  # wrk always prints it
    if "Non-2xx" in output:
        raise SystemExit(f"{kind}: not every response was a 2xx\n{output}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])  # type: ignore[index]  # wrk always prints it
    return Measured(spent / requests, rate)


def seed(url: str, env: dict[str, str]) -> None:
    """Write entitled readers, and readers and visitors who have used up their meters."""
    settings = load_settings({**env, "REDIS_URL": url})
    link = Link(parse_address(url), timeout=30)
    link.wait(30)
    now = time.time()
    item = Item("price_month", None, "prod_supporter", 1, int(now) - 86_400, int(now) + 29 * 86_400)
    keys, frame = Keys(settings.prefix), meters.frame_at(settings.catalogue.meters["stories"], now)
    calls: list[ScriptCall] = []
    for number in range(1, READERS + 1):
        reader = keys.reader(reader_hash(f"r-entitled-{number}"))
        source = Subscription(f"sub_1MowQVLkdIwHu7ixraBm8{number}", "active", (item,), int(now))
        link.call_key(b"HSET", reader, source_codec.field_of(source), source_codec.encode(source, 1))
        for old in range(FREE):
            calls.append(meters.count_for_reader(keys, frame, f"r-used-up-{number}", f"old-{old}", FREE, {}))
            calls.append(meters.count_for_visitor(keys, frame, f"v-used-up-{number}", f"old-{old}", FREE))
    for start in range(0, len(calls), 200):
        link.run_all(calls[start : start + 200])
    link.close()


def write_metered_plans(folder: Path) -> str:
    """Write the sample policy with a metered plan in its offer, and return its folder."""
    policy = (CONFIG / "paywall.toml").read_text("utf-8")
    folder.mkdir()
    sold = policy.replace('plans = ["supporter", "day_pass"]', 'plans = ["supporter", "day_pass", "reader"]')
    (folder / "paywall.toml").write_text(sold + METERED_PLAN, "utf-8")
    return str(folder)


def table(results: dict[str, list[Measured]]) -> str:
    median = {case: statistics.median(m.cpu for m in measured) for case, measured in results.items()}
    rates = {case: statistics.median(m.rate for m in measured) for case, measured in results.items()}
    lines = ["| | case | CPU a request | × (b) | requests/s |", "|---|---|---|---|---|"]
    for letter, name, *_ in CASES:
        ratios = [mine.cpu / other.cpu for mine, other in zip(results[letter], results["b"], strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        lines.append(f"| {letter} | {name} | {median[letter] * 1e6:.0f} µs | {ratio} | {rates[letter]:.0f} |")
    return "\n".join(lines)


def main() -> None:
    require_wrk()
    configure_logs(command=True)
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore(Path(folder))
        url = store.start()
        ports = {name: free_port() for name in ("baseline", "service", "metered_plans")}
        env = environment(Path(folder), PAYWALL_PORT=str(ports["service"]), PAYWALL_WORKERS="1", REDIS_URL=url)
        env["BENCH_SOCKET"] = url.removeprefix("unix://")
        seed(url, env)
        of_plans = {
            "PAYWALL_PORT": str(ports["metered_plans"]),
            "PAYWALL_CONFIG": write_metered_plans(Path(folder, "c")),
        }
        envs = {name: {**env, "PROMETHEUS_MULTIPROC_DIR": f"{folder}/{name}"} for name in ports}
        envs["metered_plans"] |= of_plans
        for name in ports:
            Path(folder, name).mkdir()
        web_server = ["service.entrypoints.processes.programs"]
        with (
            server(["bench.baseline", str(ports["baseline"])], env, ports["baseline"]) as baseline,
            server(web_server, envs["service"], ports["service"]) as service,
            server(web_server, envs["metered_plans"], ports["metered_plans"]) as metered_plans,
        ):
            pids = {"baseline": baseline, "service": service, "metered_plans": metered_plans}
            results: dict[str, list[Measured]] = {letter: [] for letter, *_ in CASES}
            for number in range(ROUNDS):
                for letter, _, kind, where, path in CASES:
                    address = f"http://127.0.0.1:{ports[where]}{path}"
                    results[letter].append(load(address, kind, f"{number}", pids[where]))
                    print(f"round {number + 1}, {letter}: {results[letter][-1]}", file=sys.stderr)
        store.stop()
    print(table(results))


if __name__ == "__main__":
    main()
