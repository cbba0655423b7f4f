"""An import beside access checks: `python -m bench.imports [links|grants] [rows] [stored]`; the default is `links 50000`.

The service runs with its worker and its embedded store. A dry run, the import and its undo are timed, while 200 checks a
second are asked on one connection. `stored`: so many of the linked customers have an unassigned subscription, which the
service has from webhooks without access to Stripe. Memory is the peak of the largest process of the service, and of the store.
The seconds of CPU tell a slow import from a busy machine.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

from bench.running import (
    SITE_KEY,
    cpu_of,
    environment,
    processes,
    send,
    serving,
    subscription,
    wait_until,
    webhook,
)

SENDERS = 8
EVERY = 0.005
"""Seconds between two checks."""
PATIENCE = 1_800
"""Seconds for an import of half a million rows on a busy machine."""


def file_of(kind: str, rows: int) -> bytes:
    if kind == "grants":
        lines = (f"r-{number},supporter,2099-01-01,press card\n" for number in range(rows))
        return ("reader,plan,until,reason\n" + "".join(lines)).encode()
    return ("reader,customer\n" + "".join(f"r-{n},cus_bench{n:010}\n" for n in range(rows))).encode()


def deliver(port: int, number: int, now: int) -> None:
    """Send the webhook of a subscription without a reader."""
    body, signature = webhook(number, subscription(number, now, {}))
    send(port, "POST", "/v1/stripe/webhook", body, **signature)


class Checks:
    """Checks access in a thread, 200 times a second."""

    def __init__(self, port: int) -> None:
        self.seconds: list[float] = []
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Checks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.wait(EVERY):
            body = json.dumps({"reader": f"r-{len(self.seconds)}", "story": {"id": "s"}, "count": False})
            headers = {"Authorization": f"Bearer {SITE_KEY}", "Content-Type": "application/json"}
            began = time.perf_counter()
            self._connection.request("POST", "/v1/access", body, headers)
            self._connection.getresponse().read()
            self.seconds.append(time.perf_counter() - began)

    def shares(self) -> str:
        """Return the median and the 99th percentile, in milliseconds."""
        found = sorted(self.seconds)
        return " / ".join(f"{found[int(len(found) * share)] * 1000:.1f} ms" for share in (0.5, 0.99))


def peaks(pid: int) -> tuple[int, int]:
    """Return the peak memory of the largest process of the service, and of the store, in MiB."""
    service, store = 0, 0
    for process in processes(pid):
        held = int(Path(f"/proc/{process}/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024
        is_store = "python" not in Path(f"/proc/{process}/comm").read_text() and process != pid
        service, store = (service, max(store, held)) if is_store else (max(service, held), store)
    return service, store


def cpu(pid: int) -> str:
    """Return the seconds of CPU that the service and the store have taken."""
    taken = {"python": 0.0, "store": 0.0}
    for process in processes(pid):
        is_store = "python" not in Path(f"/proc/{process}/comm").read_text() and process != pid
        taken["store" if is_store else "python"] += cpu_of(process)
    return " ".join(f"{name} {seconds:.1f} s" for name, seconds in taken.items())


def run(port: int, pid: int, kind: str, rows: int) -> None:
    """Time a dry run, the import and its undo, and print the figures."""
    path, body, csv = f"/v1/{kind}/import", file_of(kind, rows), {"Content-Type": "text/csv"}
    before = peaks(pid)
    with Checks(port) as quiet:
        time.sleep(3)
    began = time.monotonic()
    _, found = send(port, "POST", f"{path}?dry_run=true", body, **csv)
    print(f"dry run          {time.monotonic() - began:6.1f} s   {found['new']} new")
    print(f"CPU              {cpu(pid)}")
    with Checks(port) as beside:
        began = time.monotonic()
        _, found = send(port, "POST", path, body, **csv)
        print(f"committed after  {time.monotonic() - began:6.1f} s")
        one = f"{path}/{found['id']}"
        wait_until(lambda: send(port, "GET", one)[1]["state"] == "done", PATIENCE)
        print(f"in force after   {time.monotonic() - began:6.1f} s   CPU {cpu(pid)}")
    print(f"checks           {beside.shares()} (median / p99); without an import {quiet.shares()}")
    began = time.monotonic()
    send(port, "DELETE", f"{one}?reason=bench")
    wait_until(lambda: send(port, "GET", one)[1]["state"] == "undone", PATIENCE)
    print(f"undone after     {time.monotonic() - began:6.1f} s   {send(port, 'GET', one)[1]['undo']}   CPU {cpu(pid)}")
    after = peaks(pid)
    print(f"memory           +{after[0] - before[0]} MiB in the service, +{after[1] - before[1]} MiB in the store")


def main(kind: str = "links", rows: str = "50000", stored: str = "0") -> None:
    with tempfile.TemporaryDirectory() as folder, serving(environment(Path(folder))) as (port, process):
        now = int(time.time())
        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(lambda number: deliver(port, number, now), range(int(stored))))
        print(f"{rows} rows of {kind}, {stored} of customers with an unassigned subscription")
        run(port, process.pid, kind, int(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
