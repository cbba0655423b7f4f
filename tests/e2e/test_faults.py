"""Test faults under load: what readers see, that nothing acknowledged is lost, and that all is normal again afterwards.

docs/explanation/faults.md has a row for each of these tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.store_servers import wait_until
from tests.stripe_fixtures import SECRET, Made, delivery

if TYPE_CHECKING:
    from tests.running_service import Paywall, Serve

pytestmark = pytest.mark.full

HOUR, DAY = 3_600, 86_400
SUBSCRIBERS = [f"subscriber-{number}" for number in range(8)]


@dataclass
class Load:
    """Checks of entitled readers and grants to new ones, sent until `stop`; each request opens a connection of its own."""

    paywall: Paywall
    checks: list[tuple[float, float, str]] = field(default_factory=list)
    """When each check was sent, the seconds to its answer, and the reason in it, or why there was none."""
    granted: list[str] = field(default_factory=list)
    """Readers whose grants were acknowledged."""
    refused: list[str] = field(default_factory=list)
    """What each other grant got: 503, or why there was no answer."""
    locked_out: int = 0
    """How often an entitled reader did not get the whole story."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def run_checks(self, reader: str) -> None:
        while not self._stop.wait(0.04):
            sent = time.monotonic()
            body = {"story": {"id": "a"}, "reader": reader, "count": False}
            try:
                answer = requests.post(
                    f"{self.paywall.url}/v1/access", json=body, headers=self.paywall.as_site, timeout=60
                )
                found = str(answer.json()["reason"]) if answer.ok else str(answer.status_code)
                self.locked_out += answer.ok and "notebook" not in answer.json()["features"]
            except requests.RequestException as error:
                found = type(error).__name__
            self.checks.append((sent, time.monotonic() - sent, found))

    def run_grants(self) -> None:
        number = 0
        while not self._stop.wait(0.2):
            number += 1
            body = {"plan": "vip", "reason": "press card", "until": None}
            url = f"{self.paywall.url}/v1/readers/granted-{number}/grants"
            try:
                answer = requests.post(url, json=body, headers=self.paywall.as_admin, timeout=60)
            except requests.RequestException as error:
                self.refused.append(type(error).__name__)
                continue
            if answer.status_code == 201:
                self.granted.append(f"granted-{number}")
            else:
                assert answer.status_code == 503, answer.text
                self.refused.append("503")

    def outcomes(self, since: float = 0.0) -> dict[str, int]:
        """Return how many checks sent since then had each outcome."""
        found: dict[str, int] = {}
        for sent, _, outcome in list(self.checks):
            if sent >= since:
                found[outcome] = found.get(outcome, 0) + 1
        return found

    def assert_few_failed(self, *expected: str) -> None:
        """Assert that at most one check of twenty had another outcome."""
        found = self.outcomes()
        assert sum(found.get(outcome, 0) for outcome in expected) >= 0.95 * sum(found.values()), found

    def assert_all_granted_are_there(self) -> None:
        assert self.granted
        for reader in self.granted:
            wait_until(partial(self.is_granted, reader))

    def is_granted(self, reader: str) -> bool:
        """Return whether the grant is there; `False` while a busy store does not answer."""
        answer = self.paywall.get(f"/v1/readers/{reader}")
        return answer.ok and [source["type"] for source in answer.json()["sources"]] == ["grant"]


@contextmanager
def load_on(paywall: Paywall) -> Iterator[Load]:
    """Send about 200 checks and five grants a second while the block runs."""
    for reader in SUBSCRIBERS:
        paywall.grant(reader)
        assert paywall.ask("a", reader=reader)["reason"] == "grant"
    load = Load(paywall)
    threads = [threading.Thread(target=load.run_checks, args=(reader,)) for reader in SUBSCRIBERS]
    threads.append(threading.Thread(target=load.run_grants))
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load._stop.set()
        for thread in threads:
            thread.join()
        print(f"{len(load.granted)} grants; the others got: {Counter(load.refused)}")  # pytest shows it with a failure


def kill_one(paywall: Paywall, kind: str) -> None:
    """Kill a process of this kind as soon as there is one."""
    wait_until(lambda: paywall.processes()[kind])
    os.kill(paywall.processes()[kind][-1], signal.SIGKILL)


@dataclass
class SmallDisk:
    """A file system of 8 MiB that a test fills and frees."""

    folder: Path

    def fill(self) -> None:
        with (self.folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(4096))

    def free(self) -> None:
        (self.folder / "filler").unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own for this test needs root")
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_full_disk_keeps_entitled_readers_in_until_it_is_freed(serve: Serve, small_disk: SmallDisk) -> None:
    paywall = serve(PAYWALL_DATA=str(small_disk.folder / "data"))
    with load_on(paywall) as load:
        wait_until(lambda: len(load.granted) > 2)
        small_disk.fill()
        wait_until(lambda: len(load.refused) > 2)
        # Processes that start now have no memory of their own, and can't create a file.
        (server,) = paywall.processes()["web server"]
        os.kill(server, signal.SIGKILL)
        wait_until(lambda: server not in paywall.processes()["web server"])
        wait_until(lambda: len(paywall.processes()["web process"]) == 2)
        full = time.monotonic()
        wait_until(lambda: sum(load.outcomes(full).values()) > 200)
        small_disk.free()
        acknowledged = len(load.granted)
        wait_until(lambda: len(load.granted) > acknowledged)
        freed = time.monotonic()
        wait_until(lambda: load.outcomes(freed).get("grant", 0) > 100)
    assert set(load.outcomes(full)) <= {"grant", "store_unavailable"}
    load.assert_few_failed("grant", "store_unavailable")  # The kill cuts checks that were being answered.
    assert load.locked_out == 0
    load.assert_all_granted_are_there()


@pytest.mark.parametrize(("kills", "every"), [(5, 1.5), pytest.param(20, 3.0, marks=pytest.mark.load)])
def test_processes_killed_one_after_another_fail_few_checks_and_lose_nothing(
    serve: Serve, kills: int, every: float
) -> None:
    paywall, pause = serve(worker=True), threading.Event()
    kinds = ["web server", "web process", "store", "worker", "web server"] * (kills // 5)
    Random(7).shuffle(kinds)
    with load_on(paywall) as load:
        for kind in kinds:
            kill_one(paywall, kind)
            pause.wait(every)
        struck = time.monotonic()
        wait_until(lambda: load.outcomes(struck).get("grant", 0) > 100)
    load.assert_few_failed("grant", "store_unavailable")
    load.assert_all_granted_are_there()


def replace_newest_web_process(paywall: Paywall) -> None:
    """Kill it, and wait until another one has its place."""
    before = paywall.processes()["web process"]
    os.kill(before[-1], signal.SIGKILL)

    def is_replaced() -> bool:
        now = paywall.processes()["web process"]
        return len(now) == len(before) and before[-1] not in now

    wait_until(is_replaced)


def test_web_process_killed_again_and_again_leaves_the_others_serving(serve: Serve) -> None:
    """Granian alone ends all of them when one ends twice within 5.5 seconds."""
    paywall = serve()
    (server,) = paywall.processes()["web server"]
    with load_on(paywall) as load:
        for _ in range(4):
            replace_newest_web_process(paywall)
        struck = time.monotonic()
        wait_until(lambda: load.outcomes(struck).get("grant", 0) > 100)
    assert paywall.processes()["web server"] == [server]
    ended = [json.loads(line) for line in paywall.log.splitlines() if '"process_ended"' in line]
    assert [(line["process"], line["status"]) for line in ended] == [("web process", -signal.SIGKILL)] * 4
    load.assert_few_failed("grant")


def subscription_of(reader: str, now: int) -> dict[str, Any]:
    found: dict[str, Any] = Made.subscription(id=f"sub_{reader}", created=now, metadata={"reader_id": reader})
    found["items"]["data"][0] |= {"current_period_start": now, "current_period_end": now + 30 * DAY}
    return found


def deliver(paywall: Paywall, subscription: dict[str, Any], at: int) -> int:
    """Deliver a subscription as Stripe does at this time, again if a busy store is the cause, and return the status."""
    name = subscription["id"].replace("sub", "evt")
    event = Made.event("customer.subscription.created", subscription, id=name, created=at)
    while True:
        answer = requests.post(f"{paywall.url}/v1/stripe/webhook", **delivery(event, at=at), timeout=60)
        if answer.status_code != 503 or not answer.json()["type"].endswith(":store-unavailable"):
            return answer.status_code


def has_read_twice(control: Any, path: str) -> bool:
    return len([request for request in control.asked() if request == ("GET", path)]) > 1


def is_confirmed(paywall: Paywall, reader: str, expected: bool) -> bool:
    """Return whether what the reader bought is confirmed, or is not; `False` while a busy store does not answer."""
    answer = paywall.get(f"/v1/readers/{reader}")
    return answer.ok and [source["confirmed"] for source in answer.json()["sources"]] == [expected]


def test_clock_set_forward_and_back_delays_nothing(serve: Serve, lookalike: Any, control: Any, tmp_path: Path) -> None:
    """The demo's clock is the switch. What Stripe could not confirm before is confirmed soon after the clock went back."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    stripe = {"STRIPE_API_KEY": "sk_test_x", "STRIPE_API_BASE": lookalike.url, "STRIPE_WEBHOOK_SECRETS": SECRET}
    paywall = serve(worker=True, PAYWALL_DEMO_CLOCK=str(clock), **stripe)
    with load_on(paywall) as load:
        for ahead, reader in ((HOUR, "buyer-1"), (40 * DAY, "buyer-2")):
            clock.write_text(str(ahead))
            control.ask("POST", "/faults", {"status": 500})
            moment = int(time.time()) + ahead
            bought = subscription_of(reader, moment)
            control.put(bought)
            assert deliver(paywall, bought, moment) == 200
            wait_until(partial(is_confirmed, paywall, reader, False))
            # The worker has read its clock, and failed to read the subscription.
            wait_until(partial(has_read_twice, control, f"/v1/subscriptions/{bought['id']}"))
            clock.write_text("0")
            control.ask("DELETE", "/faults")
            wait_until(partial(is_confirmed, paywall, reader, True))
    assert set(load.outcomes()) <= {"grant", "store_unavailable"}
    assert load.locked_out == 0
    load.assert_all_granted_are_there()


def test_hanging_stripe_delays_neither_checks_nor_webhooks(serve: Serve) -> None:
    """Buyers get a 503 with Retry-After; webhooks are recorded, and their payloads count."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as hanging, ThreadPoolExecutor(120) as pool:
        base = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        paywall = serve(STRIPE_API_KEY="sk_test_x", STRIPE_API_BASE=base, STRIPE_WEBHOOK_SECRETS=SECRET)

        def deliver_one(number: int) -> int:
            now = int(time.time())
            return deliver(paywall, subscription_of(f"buyer-{number}", now), now)

        def order(number: int) -> tuple[int, bool]:
            body = {"reader": f"r-{number}", "price": "price_month", "return_url": "https://www.example.news/"}
            answer = requests.post(f"{paywall.url}/v1/checkout", json=body, headers=paywall.as_site, timeout=60)
            return answer.status_code, "Retry-After" in answer.headers

        with load_on(paywall) as load:
            orders = [pool.submit(order, number) for number in range(20)]
            delivered = [pool.submit(deliver_one, number) for number in range(100)]
            assert {each.result() for each in delivered} == {200}
            assert {each.result() for each in orders} == {(503, True)}
    assert set(load.outcomes()) <= {"grant", "store_unavailable"}
    assert load.locked_out == 0
