"""CPU time of a request, and requests a second: the access check compared with bare Flask views, on one worker.

`python -m bench` needs wrk. All cases use the same server and store, in alternating rounds, so that a change of the
machine's speed affects all of them. The results are medians, and ratios to case (b).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.adapters.observability.logs import configure_logs
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.bootstrap import build
from service.domain.sources import Item, Subscription
from service.settings.settings import load_settings

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")
SECONDS, ROUNDS, CONNECTIONS = int(os.environ.get("BENCH_SECONDS", "4")), int(os.environ.get("BENCH_ROUNDS", "5")), 8

CASES = (
    ("a", "bare Flask view, a constant", "constant", "baseline", "/constant"),
    ("b", "bare Flask view, one Redis GET", "constant", "baseline", "/get"),
    ("c", "/v1/access, entitled reader", "entitled", "service", "/v1/access"),
    ("d", "/v1/access, used-up meter", "used_up", "service", "/v1/access"),
    ("e", "/v1/access, counted read", "fresh", "service", "/v1/access"),
)


@dataclass(frozen=True)
class Measured:
    """One round of one case."""

    cpu: float
    """CPU seconds of a request, in all processes of the server."""
    rate: float
    """Requests a second."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(inner for child in children for inner in processes(int(child)))]


def cpu_of(pid: int) -> float:
    total = 0
    for process in processes(pid):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


@contextmanager
def server(arguments: list[str], env: dict[str, str], port: int) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-m", *arguments], env=env, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 1):
                    break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise SystemExit(f"{arguments[0]} did not start") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def load(url: str, kind: str, run: str, pid: int) -> Measured:
    before = cpu_of(pid)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(HERE / "check.lua"), url, "--", kind, run]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = cpu_of(pid) - before
    requests = int(re.search(r"(\d+) requests in", output)[1])  # type: ignore[index]  # wrk always prints it
    if "Non-2xx" in output:
        raise SystemExit(f"{kind}: not every response was a 2xx\n{output}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])  # type: ignore[index]  # wrk always prints it
    return Measured(spent / requests, rate)


def seed(url: str, env: dict[str, str]) -> None:
    """Write an entitled reader."""
    settings = load_settings({**env, "REDIS_URL": url})
    service = build(settings, url)
    now = time.time()
    item = Item("price_month", None, "prod_supporter", 1, int(now) - 86_400, int(now) + 29 * 86_400)
    subscription = Subscription("sub_1MowQVLkdIwHu7ixraBm864M", "active", (item,), int(now))
    service.readers.write_source("r-entitled", subscription, 1, rule="higher", ended=False, now=now, cause="bench")
    service.close()


def use_up(port: int) -> None:
    for number in range(8):
        story = {"id": f"old-{number}", "tier": "metered", "parts": ["facts", "notebook"]}
        body = json.dumps({"story": story, "reader": "r-used-up", "visitor": "v-2"})
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/access",
            body.encode(),
            {"Authorization": "Bearer bench-site-key-of-one-run", "Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).read()


def table(results: dict[str, list[Measured]]) -> str:
    median = {case: statistics.median(m.cpu for m in measured) for case, measured in results.items()}
    rates = {case: statistics.median(m.rate for m in measured) for case, measured in results.items()}
    lines = ["| | case | CPU a request | × (b) | requests/s |", "|---|---|---|---|---|"]
    for letter, name, *_ in CASES:
        ratio = statistics.median(
            mine.cpu / other.cpu for mine, other in zip(results[letter], results["b"], strict=True)
        )
        lines.append(f"| {letter} | {name} | {median[letter] * 1e6:.0f} µs | {ratio:.2f} | {rates[letter]:.0f} |")
    return "\n".join(lines)


def main() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed; on Debian: apt-get install wrk")
    configure_logs(command=True)
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore(Path(folder))
        url = store.start()
        ports = {"baseline": free_port(), "service": free_port()}
        env = {
            **os.environ,
            "PAYWALL_DATA": folder,
            "PAYWALL_SITE_KEYS": "bench:bench-site-key-of-one-run",
            "PAYWALL_CONFIG": str(HERE.parent / "config"),
            "PAYWALL_PORT": str(ports["service"]),
            "PAYWALL_WORKERS": "1",
            "PAYWALL_SECRETS": "bench-secret-of-32-characters-ok",
            "REDIS_URL": url,
            "BENCH_SOCKET": url.removeprefix("unix://"),
        }
        seed(url, env)
        metrics = Path(folder, "metrics")
        metrics.mkdir()
        service_env = {**env, "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        with (
            server(["bench.baseline", str(ports["baseline"])], env, ports["baseline"]) as baseline,
            server(["service.entrypoints.processes.web_server"], service_env, ports["service"]) as service,
        ):
            use_up(ports["service"])
            pids = {"baseline": baseline, "service": service}
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
