"""What the benchmarks share: a service to measure, requests to it, and what its processes take. Linux only."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from stripe_lookalike.delivery import signature_header

CONFIG = Path(__file__).parents[1] / "config"
SITE_KEY, ADMIN_KEY = "bench-site-key-of-one-run", "bench-admin-key-of-one-run"
WEBHOOK_SECRET = "whsec_bench_of_one_run"
SIGNATURE = "Stripe-Signature"
TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the variables of a service with its data in `folder`, on a free port; `more` are further settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PAYWALL_", "STRIPE_", "REDIS_"))}
    return {
        **kept,
        "PAYWALL_CONFIG": str(CONFIG),
        "PAYWALL_DATA": str(folder),
        "PAYWALL_PORT": str(free_port()),
        "PAYWALL_SITE_KEYS": f"bench:{SITE_KEY}",
        "PAYWALL_ADMIN_KEYS": f"bench:{ADMIN_KEY}",
        "PAYWALL_SECRETS": "bench-secret-of-32-characters-ok",
        "STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
        **more,
    }


@contextmanager
def serving(env: dict[str, str], *arguments: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run `paywall serve` with these arguments, and yield its port and process once it is ready."""
    port = int(env["PAYWALL_PORT"])
    with running(["service.entrypoints.cli", "serve", *arguments], env) as process:
        wait_until(lambda: is_ready(port), 60, process)
        yield port, process


@contextmanager
def running(arguments: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module as a process for the block."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], env=env, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def is_ready(port: int) -> bool:
    """Return whether `/readyz` is a 200."""
    return status_of(port, "/readyz") == 200


def status_of(port: int, path: str) -> int | None:
    """Return the status of a GET; `None` while nothing answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def wait_until(is_so: Callable[[], bool], seconds: float, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait for a condition. Raises: `SystemExit` after `seconds`, or once `process` has ended."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if process is not None and process.poll() is not None:
            raise SystemExit("the process that is measured has ended")
        if time.monotonic() > deadline:
            raise SystemExit("that took too long")
        time.sleep(0.01)


def send(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """Send one request of an admin on a new connection; return the status and the JSON body.

    On a busy machine the store can be slow: what may be repeated is then sent again.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request(method, path, body, {"Authorization": f"Bearer {ADMIN_KEY}", **headers})
    answer = connection.getresponse()
    found = answer.read()
    connection.close()
    if answer.status == 503 and (method == "GET" or SIGNATURE in headers):
        time.sleep(0.1)
        return send(port, method, path, body, **headers)
    if answer.status >= 400:
        raise SystemExit(f"{method} {path}: {answer.status} {found.decode()}")
    return answer.status, json.loads(found or b"null")


def subscription(number: int, now: int, metadata: dict[str, str]) -> dict[str, Any]:
    """Return a new subscription, as Stripe sends it."""
    price = {"id": "price_month", "object": "price", "lookup_key": None, "product": "prod_supporter"}
    item = {"id": f"si_{number}", "object": "subscription_item", "price": price, "quantity": 1}
    item |= {"current_period_start": now, "current_period_end": now + 2_592_000}
    return {
        "id": f"sub_bench{number:010}",
        "object": "subscription",
        "status": "active",
        "customer": f"cus_bench{number:010}",
        "created": now,
        "livemode": False,
        "items": {"object": "list", "data": [item], "has_more": False},
        "cancel_at": None,
        "cancel_at_period_end": False,
        "trial_end": None,
        "metadata": metadata,
    }


def webhook(number: int, obj: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Return the body and the signature of a webhook about a new object, signed now."""
    event: dict[str, Any] = {"id": f"evt_bench{number:010}", "object": "event", "type": "customer.subscription.created"}
    event |= {"created": obj["created"], "livemode": False, "api_version": "2026-10-28.endive", "data": {"object": obj}}
    body = json.dumps(event).encode()
    return body, {SIGNATURE: signature_header(body, WEBHOOK_SECRET, int(time.time()))}


def processes(pid: int) -> list[int]:
    """Return a process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(inner for child in children for inner in processes(int(child)))]


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU of one process and its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


def cpu_of_all(pid: int) -> float:
    """Return the seconds of CPU of a process and all its descendants."""
    return sum(map(cpu_of, processes(pid)))
