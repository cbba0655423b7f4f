"""Test that a mixed load leaves memory, files, threads and keys as they were."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.stripe_fixtures import SECRET, Made, delivery

if TYPE_CHECKING:
    from tests.running_service import Serve

SECONDS = 120.0
NAMES = 40
"""Readers, visitors and subscriptions that the requests are about: caches hold them all after the first seconds."""


@dataclass(frozen=True)
class Use:
    """What the web processes use."""

    kilobytes: int
    files: int
    threads: int


def use_of(pids: list[int]) -> Use:
    status = [dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()) for pid in pids]
    return Use(
        kilobytes=sum(int(one["RssAnon"].split()[0]) for one in status),
        files=sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
        threads=sum(int(one["Threads"]) for one in status),
    )


@pytest.mark.load
@pytest.mark.full
def test_mixed_load_leaves_memory_files_threads_and_keys_flat(serve: Serve, launch: Any) -> None:
    store = launch("valkey")
    paywall = serve(worker=True, REDIS_URL=store.url, STRIPE_WEBHOOK_SECRETS=SECRET)
    stop, events = threading.Event(), count()

    def deliver(session: requests.Session, number: int) -> requests.Response:
        now = int(time.time())
        bought = Made.subscription(id=f"sub_{number % NAMES}", metadata={"reader_id": f"r-{number % NAMES}"})
        event = Made.event("customer.subscription.updated", bought, id=f"evt_{next(events)}", created=now)
        return session.post(f"{paywall.url}/v1/stripe/webhook", **delivery(event, at=now), timeout=60)

    def check(session: requests.Session, number: int) -> requests.Response:
        reader, visitor = {"reader": f"r-{number % NAMES}"}, {"visitor": f"v-{number % NAMES}"}
        body = {"story": {"id": f"s-{number % 5}"}, **(reader if number % 2 else visitor)}
        return session.post(f"{paywall.url}/v1/access", json=body, headers=paywall.as_site, timeout=60)

    def grant_and_revoke(session: requests.Session, number: int) -> requests.Response:
        url = f"{paywall.url}/v1/readers/r-{number % NAMES}/grants"
        body = {"plan": "vip", "reason": "press card", "until": None}
        given = session.post(url, json=body, headers=paywall.as_admin, timeout=60)
        assert given.status_code == 201, given.text
        return session.delete(f"{url}/{given.json()['id']}?reason=over", headers=paywall.as_admin, timeout=60)

    def look(session: requests.Session, number: int) -> requests.Response:
        path = ("/v1/audit?limit=20", f"/v1/readers/r-{number % NAMES}", "/metrics")[number % 3]
        return session.get(paywall.url + path, headers=paywall.as_admin, timeout=60)

    def send(request: Callable[[requests.Session, int], requests.Response]) -> None:
        with requests.Session() as session:
            session.trust_env = False
            for number in count():
                if stop.is_set():
                    return
                assert request(session, number).status_code == 200

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(send, request) for request in (check, check, check, check, deliver, grant_and_revoke, look)]
        try:
            pause = threading.Event()
            pause.wait(SECONDS / 2)
            pids = paywall.processes()["web process"]
            before, keys, seen = use_of(pids), store.admin().dbsize(), next(events)
            pause.wait(SECONDS)
            after, recorded = use_of(pids), next(events) - seen - 1
        finally:
            stop.set()
        for job in jobs:
            job.result()
    assert abs(store.admin().dbsize() - keys - recorded) < 10, "an event is one key; nothing else is new"
    assert paywall.processes()["web process"] == pids
    assert after.files <= before.files + 4
    assert after.threads <= before.threads + 2
    assert after.kilobytes <= before.kilobytes + 8 * 1024
