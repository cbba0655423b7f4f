"""Speed of access checks while the store is down or hangs: `python -m bench.outage [seconds]`; needs wrk.

It runs the real service, with a process for each core. The store is killed or stopped (SIGSTOP) during a first load, in
which the circuit breaker opens; its longest wait is the last column. The other figures are of the load after it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from bench.__main__ import CONNECTIONS, HERE, require_wrk, seed
from bench.running import environment, serving
from service.adapters.observability.logs import configure_logs
from service.adapters.redis.embedded.embedded_store import EmbeddedStore

CASES = {"store available": None, "store killed": signal.SIGKILL, "store hangs": signal.SIGSTOP}


def measured(port: int, seconds: int) -> tuple[str, str, str, str]:
    """Return requests a second, and the wait for a response: median, p99, longest."""
    url = f"http://127.0.0.1:{port}/v1/access"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(HERE / "check.lua"), url]
    output = subprocess.run([*command, "--", "entitled"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output:
        raise SystemExit(f"not every response was a 200\n{output}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    waits = [re.search(rf"\n\s+{share}%\s+(\S+)", output) for share in (50, 99)]
    longest = re.search(r"Latency\s+\S+\s+\S+\s+(\S+)", output)
    rate_text, median, p99, most = (found[1] if found else "?" for found in (rate, *waits, longest))
    return rate_text, median, p99, most


def measure_case(name: str, strike: signal.Signals | None, seconds: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore(Path(folder) / "store-of-its-own")
        url = store.start()
        pid = int((Path(folder) / "store-of-its-own" / "store" / "pid").read_text())
        env = environment(Path(folder), REDIS_URL=url)
        seed(url, env)
        try:
            with serving(env, "--no-worker") as (port, _):
                timer = threading.Timer(1.0, lambda: os.kill(pid, strike) if strike is not None else None)
                timer.start()
                *_, opening = measured(port, 3)
                return f"| {name} | {' | '.join((*measured(port, seconds), opening))} |"
        finally:
            os.kill(pid, signal.SIGCONT if strike is signal.SIGSTOP else 0) if strike is not signal.SIGKILL else None
            store.stop()


def main() -> None:
    """Print a row for each state of the store."""
    require_wrk()
    configure_logs(command=True)
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    print("| | requests/s | median | p99 | longest | longest at the start |\n|---|---|---|---|---|---|")
    for name, strike in CASES.items():
        print(measure_case(name, strike, seconds))


if __name__ == "__main__":
    main()
