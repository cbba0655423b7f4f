"""Webhooks at a steady rate: `python -m bench.webhooks [per second] [seconds]`.

It runs the real service with its worker and the embedded store, and the Stripe look-alike with Stripe's limit of 25 reads a
second. Each webhook reports a new subscription of another reader. It prints how many webhooks were acknowledged and how
fast, and how many readers have access, and are confirmed, right after the last webhook.
"""

from __future__ import annotations

import multiprocessing
import queue
import signal
import statistics
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

from bench.running import environment, send, serving, subscription, webhook
from stripe_lookalike import serve_lookalike
from stripe_lookalike.faults import Limits

SENDERS = 16


def new_subscription(number: int) -> dict[str, Any]:
    """Return a new subscription of its own reader."""
    return subscription(number, int(time.time()), {"reader_id": f"r-bench-{number}"})


def run_lookalike(count: int, ready: SimpleQueue[int]) -> None:
    """Run the look-alike with all subscriptions and Stripe's rate limit, and put its port into `ready`."""
    with serve_lookalike() as stripe:
        stripe.lookalike.rate_limit.set(Limits(endpoint_per_second=25))
        for number in range(count):
            stripe.lookalike.world.add(new_subscription(number))
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


def send_due(port: int, waiting: queue.Queue[tuple[float, int] | None], took: list[float], failed: list[int]) -> None:
    """Send each webhook when it is due, and record how long it takes and which ones fail."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    while (due := waiting.get()) is not None:
        at, number = due
        time.sleep(max(0.0, at - time.monotonic()))
        body, signature = webhook(number, new_subscription(number))
        started = time.monotonic()
        connection.request("POST", "/v1/stripe/webhook", body, signature)
        answer = connection.getresponse()
        answer.read()
        took.append(time.monotonic() - started)
        if answer.status != 200:
            failed.append(number)


def settings(folder: Path, stripe: int) -> dict[str, str]:
    return environment(folder, STRIPE_API_KEY="sk_test_bench", STRIPE_API_BASE=f"http://127.0.0.1:{stripe}")


def access(port: int, number: int) -> dict[str, Any]:
    """Return the reader's entitlements from the admin API."""
    fields: dict[str, Any] = send(port, "GET", f"/v1/readers/r-bench-{number}")[1]
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
    senders = [threading.Thread(target=send_due, args=(port, waiting, took, failed)) for _ in range(SENDERS)]
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
        serving(settings(Path(folder, "data"), stripe)) as (port, _),
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
