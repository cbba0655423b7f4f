"""An import beside access checks: `python -m bench.imports [links|grants] [rows] [stored]`; the default is `links 50000`.

The service runs with its worker and its embedded store. A dry run, the import and its undo are timed, while 200 checks a
second are asked on one connection. `stored`: so many of the linked customers have an unassigned subscription, which the
service has from webhooks without access to Stripe. Memory is the peak of the largest process of the service, and of the store.
The seconds of CPU tell a slow import from a busy machine.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from bench.__main__ import HERE, free_port, processes

SECRET, SITE, ADMIN = "whsec_bench_of_one_run", "bench-site-key-of-one-run", "bench-admin-key-of-one-run"
SECRET_HEADER = "Stripe-Signature"
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


@contextmanager
def serving(folder: str, config: Path = HERE.parent / "config") -> Iterator[tuple[int, int]]:
    """Run the service with its worker, and yield its port and process."""
    port = free_port()
    env = {
        **os.environ,
        "PAYWALL_DATA": folder,
        "PAYWALL_CONFIG": str(config),
        "PAYWALL_PORT": str(port),
        "PAYWALL_SITE_KEYS": f"bench:{SITE}",
        "PAYWALL_ADMIN_KEYS": f"bench:{ADMIN}",
        "PAYWALL_SECRETS": "bench-secret-of-32-characters-ok",
        "STRIPE_WEBHOOK_SECRETS": SECRET,
    }
    command = [sys.executable, "-m", "service.entrypoints.cli", "serve"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port), 60)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def answers(port: int) -> bool:
    try:
        return send(port, "GET", "/readyz")[0] == 200
    except OSError:
        return False


def wait_until(is_so: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit("that took too long")
        time.sleep(0.05)


def send(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """Send one request on a new connection; return the status and the JSON body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request(method, path, body, {"Authorization": f"Bearer {ADMIN}", **headers})
    answer = connection.getresponse()
    found = answer.read()
    connection.close()
    if answer.status == 503 and (method == "GET" or SECRET_HEADER in headers):  # On a busy machine the store is slow.
        time.sleep(0.1)
        return send(port, method, path, body, **headers)
    if answer.status >= 400:
        raise SystemExit(f"{method} {path}: {answer.status} {found.decode()}")
    return answer.status, json.loads(found or b"null")


def deliver(port: int, number: int, now: int) -> None:
    """Send the webhook of a subscription without a reader."""
    item: dict[str, Any] = {"id": f"si_{number}", "object": "subscription_item", "quantity": 1}
    item |= {"price": {"id": "price_month", "object": "price", "lookup_key": None, "product": "prod_supporter"}}
    item |= {"current_period_start": now, "current_period_end": now + 2_592_000}
    obj: dict[str, Any] = {
        "id": f"sub_bench{number:010}",
        "object": "subscription",
        "status": "active",
        "created": now,
        "metadata": {},
    }
    obj |= {"customer": f"cus_bench{number:010}", "items": {"object": "list", "data": [item], "has_more": False}}
    obj |= {"livemode": False, "cancel_at": None, "cancel_at_period_end": False, "trial_end": None}
    event: dict[str, Any] = {"id": f"evt_bench{number:010}", "object": "event", "type": "customer.subscription.created"}
    event |= {"created": now, "livemode": False, "api_version": "2026-10-28.endive", "data": {"object": obj}}
    body = json.dumps(event).encode()
    signed_at = int(time.time())  # Not `now`: fifty thousand of them take longer than a signature counts.
    mark = hmac.new(SECRET.encode(), f"{signed_at}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {SECRET_HEADER: f"t={signed_at},v1={mark}"}
    send(port, "POST", "/v1/stripe/webhook", body, **headers)


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
            headers = {"Authorization": f"Bearer {SITE}", "Content-Type": "application/json"}
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
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        is_store = "python" not in Path(f"/proc/{process}/comm").read_text() and process != pid
        taken["store" if is_store else "python"] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
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
    with tempfile.TemporaryDirectory() as folder, serving(folder) as (port, pid):
        now = int(time.time())
        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(lambda number: deliver(port, number, now), range(int(stored))))
        print(f"{rows} rows of {kind}, {stored} of customers with an unassigned subscription")
        run(port, pid, kind, int(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
