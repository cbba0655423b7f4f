"""Webhooks at a steady rate: `python -m bench.webhooks [per second] [seconds]`.

It runs the real service with its worker and the embedded store, and the Stripe look-alike with Stripe's limit of 25 reads a
second. Each webhook reports a new subscription of another reader. It prints how many webhooks were acknowledged and how
fast, and how many readers have access, and are confirmed, right after the last webhook.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import multiprocessing
import os
import queue
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from bench.__main__ import HERE, free_port
from stripe_lookalike import serve_lookalike
from stripe_lookalike.faults import Limits

SECRET, SITE, ADMIN = "whsec_bench_of_one_run", "bench-site-key-of-one-run", "bench-admin-key-of-one-run"
SENDERS = 16


def subscription(number: int, now: int) -> dict[str, Any]:
    """Return a new subscription of its own reader, as Stripe sends it."""
    price = {"id": "price_month", "object": "price", "lookup_key": None, "product": "prod_supporter"}
    item = {"id": f"si_{number}", "object": "subscription_item", "price": price, "quantity": 1}
    item |= {"current_period_start": now, "current_period_end": now + 2_592_000}
    return {
        "id": f"sub_bench{number:08}",
        "object": "subscription",
        "status": "active",
        "customer": f"cus_bench{number:08}",
        "created": now,
        "livemode": False,
        "items": {"object": "list", "data": [item], "has_more": False},
        "cancel_at": None,
        "cancel_at_period_end": False,
        "trial_end": None,
        "metadata": {"reader_id": f"r-bench-{number}"},
    }


def signed(number: int, obj: dict[str, Any], now: int) -> tuple[bytes, str]:
    """Return a delivery's body and signature header."""
    event = {"id": f"evt_bench{number:08}", "object": "event", "type": "customer.subscription.created", "created": now}
    event |= {"livemode": False, "api_version": "2026-10-28.endive", "data": {"object": obj}}
    body = json.dumps(event).encode()
    mark = hmac.new(SECRET.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return body, f"t={now},v1={mark}"


@contextmanager
def serving(folder: str, stripe: str) -> Iterator[int]:
    """Run the service with its worker, and yield its port."""
    port = free_port()
    env = {
        **os.environ,
        "PAYWALL_DATA": folder,
        "PAYWALL_CONFIG": str(HERE.parent / "config"),
        "PAYWALL_PORT": str(port),
        "PAYWALL_SITE_KEYS": f"bench:{SITE}",
        "PAYWALL_ADMIN_KEYS": f"bench:{ADMIN}",
        "PAYWALL_SECRETS": "bench-secret-of-32-characters-ok",
        "STRIPE_API_KEY": "sk_test_bench",
        "STRIPE_API_BASE": stripe,
        "STRIPE_WEBHOOK_SECRETS": SECRET,
    }
    command = [sys.executable, "-m", "service.entrypoints.cli", "serve"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                if fetch(port, "GET", "/readyz")[0] == 200:
                    break
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise SystemExit("the service did not start")
            time.sleep(0.05)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def fetch(port: int, method: str, path: str, key: str = "") -> tuple[int, Any]:
    """Send one request on a new connection; return the status and the JSON body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"Authorization": f"Bearer {key}"} if key else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, json.loads(body or b"null")


def run_lookalike(count: int, ready: SimpleQueue[int]) -> None:
    """Run the look-alike with all subscriptions and Stripe's rate limit, and put its port into `ready`."""
    with serve_lookalike() as stripe:
        stripe.lookalike.rate_limit.set(Limits(endpoint_per_second=25))
        now = int(time.time())
        for number in range(count):
            stripe.lookalike.world.add(subscription(number, now))
        ready.put(stripe.port)
        signal.pause()


@contextmanager
def lookalike(count: int) -> Iterator[int]:
    """Run the look-alike in another process, and yield its port."""
    context = multiprocessing.get_context("spawn")
    ready = context.SimpleQueue()
    process = context.Process(target=run_lookalike, args=(count, ready), daemon=True)
    process.start()
    try:
        yield ready.get()
    finally:
        process.kill()
        process.join()


def send(port: int, waiting: queue.Queue[tuple[float, int] | None], took: list[float], failed: list[int]) -> None:
    """Send each webhook when it is due, and record how long it takes and which ones fail."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    while (due := waiting.get()) is not None:
        at, number = due
        time.sleep(max(0.0, at - time.monotonic()))
        body, mark = signed(number, subscription(number, int(time.time())), int(time.time()))
        started = time.monotonic()
        connection.request("POST", "/v1/stripe/webhook", body, {"Stripe-Signature": mark})
        answer = connection.getresponse()
        answer.read()
        took.append(time.monotonic() - started)
        if answer.status != 200:
            failed.append(number)


def access(port: int, number: int) -> dict[str, Any]:
    """Return the reader's entitlements from the admin API."""
    fields: dict[str, Any] = fetch(port, "GET", f"/v1/readers/r-bench-{number}", ADMIN)[1]
    return fields


def confirmed(port: int, numbers: range) -> int:
    """Count the readers whose sources were all read from Stripe."""
    return sum(all(source["confirmed"] for source in access(port, number)["sources"]) for number in numbers)


def deliver(port: int, rate: int, count: int) -> tuple[list[float], list[int], float]:
    """Send all webhooks at their time; return the seconds of each, which ones failed, and the seconds in total."""
    waiting: queue.Queue[tuple[float, int] | None] = queue.Queue()
    took: list[float] = []
    failed: list[int] = []
    started = time.monotonic() + 0.5
    for number in range(count):
        waiting.put((started + number / rate, number))
    senders = [threading.Thread(target=send, args=(port, waiting, took, failed)) for _ in range(SENDERS)]
    for sender in senders:
        waiting.put(None)
        sender.start()
    for sender in senders:
        sender.join()
    return took, failed, time.monotonic() - started


def main() -> None:
    """Print the results."""
    rate, seconds = (int(word) for word in (sys.argv[1:3] + ["200", "60"][len(sys.argv) - 1 :]))
    count = rate * seconds
    with (
        tempfile.TemporaryDirectory() as folder,
        lookalike(count) as stripe,
        serving(str(Path(folder, "data")), f"http://127.0.0.1:{stripe}") as port,
    ):
        took, failed, lasted = deliver(port, rate, count)
        ranked = sorted(took)
        middle, high, longest = (ms * 1e3 for ms in (statistics.median(took), ranked[int(count * 0.99)], ranked[-1]))
        print(f"{count} webhooks in {lasted:.1f} s ({count / lasted:.0f} a second), {len(failed)} not acknowledged")
        print(f"acknowledged after {middle:.0f} ms (median), {high:.0f} ms (p99), {longest:.0f} ms (longest)")
        sample = range(0, count, max(1, count // 500))
        open_now, sure = sum(access(port, number)["access"] for number in sample), confirmed(port, sample)
        print(f"right after the last one {open_now} of {len(sample)} sampled readers have access, {sure} confirmed")


if __name__ == "__main__":
    main()
