"""CPU time of a request to Unleash, a feature-flag server that some sites use to decide who sees what.

`python -m bench.unleash` needs wrk, npm, PostgreSQL and Node.js 22. `BENCH_DATABASE` is the URL of an empty database;
`BENCH_NODE` is the program of Node.js, if it is not `node`. npm installs Unleash. Its API answers whether a flag is on for a
user, from memory. The flag names 250 users, the most that Unleash takes; it has no meter, no Stripe, and no audit log of what
it answered. The ratio is to case (b) of `python -m bench`, in alternating rounds.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from bench.__main__ import CONNECTIONS, HERE, ROUNDS, SECONDS, load, server
from bench.running import cpu_of_all, free_port
from service.adapters.redis.embedded.embedded_store import EmbeddedStore

VERSION, USERS = "7.5.1", 250
ADMIN, FRONTEND = "*:*.bench-admin-token-0123456789", "default:development.bench-site-token-0123456789"
START = "import { start } from 'unleash-server'; await start({});"
LUA = f"""
function request() return wrk.format("GET", "/api/frontend?userId=r-" .. math.random({USERS})) end
wrk.headers["Authorization"] = "{FRONTEND}"
"""


@contextmanager
def unleash(folder: Path, port: int) -> Iterator[int]:
    """Run Unleash with one flag, and yield its process."""
    (folder / "start.mjs").write_text(START)
    (folder / "package.json").write_text("{}")
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", f"unleash-server@{VERSION}"], cwd=folder, check=True)
    env = {
        **os.environ,
        "DATABASE_URL": os.environ["BENCH_DATABASE"],
        "DATABASE_SSL": "false",
        "INIT_ADMIN_API_TOKENS": ADMIN,
        "INIT_FRONTEND_API_TOKENS": FRONTEND,
        "HTTP_PORT": str(port),
        "LOG_LEVEL": "warn",
        "CHECK_VERSION": "false",
        "SEND_TELEMETRY": "false",
        "NODE_ENV": "production",
    }
    process = subprocess.Popen([os.environ.get("BENCH_NODE", "node"), "start.mjs"], cwd=folder, env=env)
    try:
        _make_flag(f"http://127.0.0.1:{port}", process)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _make_flag(url: str, process: subprocess.Popen[bytes]) -> None:
    session, flags = requests.Session(), f"{url}/api/admin/projects/default/features"
    session.headers["Authorization"] = ADMIN
    while True:
        try:
            session.post(flags, json={"name": "notebook", "type": "release"}, timeout=30).raise_for_status()
            break
        except requests.ConnectionError:
            if process.poll() is not None:
                raise SystemExit("Unleash did not start; it needs Node.js 22 and an empty database") from None
            time.sleep(0.2)
    users = {"contextName": "userId", "operator": "IN", "values": [f"r-{number}" for number in range(1, USERS + 1)]}
    development = f"{flags}/notebook/environments/development"
    strategy = {"name": "default", "constraints": [users], "parameters": {}}
    session.post(f"{development}/strategies", json=strategy, timeout=30).raise_for_status()
    session.post(f"{development}/on", timeout=30).raise_for_status()
    session.headers["Authorization"] = FRONTEND
    while not session.get(f"{url}/api/frontend?userId=r-1", timeout=30).json()["toggles"]:
        time.sleep(0.2)
    if session.get(f"{url}/api/frontend?userId=x", timeout=30).json()["toggles"]:
        raise SystemExit("the flag is on for everybody")


def main() -> None:
    ratios, times = [], []
    with tempfile.TemporaryDirectory() as name:
        folder, port, bare = Path(name), free_port(), free_port()
        (folder / "flags.lua").write_text(LUA)
        (folder / "unleash").mkdir()
        store = EmbeddedStore(folder / "store")
        env = {**os.environ, "BENCH_SOCKET": store.start().removeprefix("unix://")}
        command = [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{SECONDS}s",
            "-s",
            str(folder / "flags.lua"),
            f"http://127.0.0.1:{port}",
        ]
        with unleash(folder / "unleash", port) as pid, server(["bench.baseline", str(bare)], env, bare) as baseline:
            for number in range(ROUNDS):
                before = cpu_of_all(pid)
                output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE).stdout
                spent = cpu_of_all(pid) - before
                times.append(spent / int(re.search(r"(\d+) requests in", output)[1]))  # type: ignore[index]  # wrk prints it
                ratios.append(times[-1] / load(f"http://127.0.0.1:{bare}/get", "entitled", str(number), baseline).cpu)
                print(f"round {number + 1}: {times[-1] * 1e6:.0f} µs, {ratios[-1]:.2f}", file=sys.stderr)
        store.stop()
    print(f"Unleash {VERSION}: {statistics.median(times) * 1e6:.0f} µs a request", end=", ")
    print(f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) × (b)")


if __name__ == "__main__":
    main()
