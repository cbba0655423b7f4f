"""Test visitors who flood a small store, and a store that is full: whoever pays, works or sends webhooks notices nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import redis

from service.adapters.redis.embedded.folder_lock import read_owner
from service.domain.catalogue import Story
from service.use_cases.access.check import AccessQuestion
from tests.running_service import ADMIN_KEY, story_of
from tests.store_servers import Server, Until
from tests.stripe_fixtures import SECRET, Made

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp
    from tests.running_service import Serve

MEMORY = 16 * 2**20
SUPPORTERS = {"id": "s", "tier": "supporters"}


def fill(admin: redis.Redis, share: float) -> None:
    """Write keys of another application until so much of the memory is used."""
    while admin.info("memory")["used_memory"] < share * MEMORY - 115_000:
        admin.set(f"foreign:{os.urandom(8).hex()}", bytes(114_000))


def fill_up(admin: redis.Redis) -> None:
    """Write keys of another application until not even a small one fits in."""
    for size in (200_000, 10_000, 1_000):
        with suppress(redis.OutOfMemoryError):
            for number in count():
                admin.set(f"foreign:{size}:{number}", bytes(size))


def shown(answer: dict[str, Any]) -> tuple[str, str]:
    return answer["show"], answer["reason"]


class Newsroom:
    """What readers, staff and Stripe do all the time; each fails the test unless it is done."""

    def __init__(self, app: InProcessApp) -> None:
        self.app = app
        self._numbers = count()
        app.grant("payer")
        self.strange_stories = [app.ask(f"old-{number}", reader="stranger") for number in range(5)]
        app.ask("a", visitor="counted")

    def answer(self, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        answer = self.app.call(method, path, body, admin=True, **more)
        assert answer.status_code == status, answer.text
        return answer.get_json()

    def work(self) -> None:
        """Do everything once."""
        number = next(self._numbers)
        assert shown(self.app.ask("new", reader="payer")) == ("full", "grant")
        assert shown(self.app.ask("new", reader="stranger")) == ("upsell", "meter_used_up")
        assert shown(self.app.ask(SUPPORTERS, reader=f"nobody-{number}")) == ("upsell", "no_entitlement")
        assert shown(self.app.ask("a", visitor="counted")) == ("full", "metered")
        grant = self.app.grant(f"vip-{number}")
        assert self.app.reader(f"vip-{number}")["access"] is True
        assert shown(self.app.ask("new", reader=f"vip-{number}")) == ("full", "grant")
        self.answer("DELETE", f"/v1/readers/vip-{number}/grants/{grant['id']}?reason=over")
        assert shown(self.app.ask(SUPPORTERS, reader=f"vip-{number}")) == ("upsell", "no_entitlement")
        self.answer("DELETE", f"/v1/readers/vip-{number}?reason=gdpr")
        self.answer("POST", "/v1/keys", {"name": f"key-{number}", "role": "viewer"}, status=201)
        self.deliver(number)
        assert shown(self.app.ask("new", reader=f"buyer-{number}")) == ("full", "subscription")
        assert self.app.client.get("/readyz").status_code == 200
        assert self.app.service.store.link.available

    def deliver(self, number: int) -> None:
        now = int(self.app.clock())
        about = Made.subscription(
            id=f"sub_{number}", created=now, metadata={"reader_id": f"buyer-{number}"}, customer=f"cus_{number}"
        )
        about["items"]["data"][0] |= {"current_period_start": now, "current_period_end": now + 86_400}
        event = Made.event("customer.subscription.updated", about, id=f"evt_{number}", created=now)
        self.app.deliver(event)


@pytest.fixture(params=["valkey", "redis8"])
def small(request: pytest.FixtureRequest, launch: Any) -> Server:
    """Run a store with 16 MB of memory, which keeps its data in an append-only file."""
    server: Server = launch(
        request.param, maxmemory=str(MEMORY), maxmemory_policy="noeviction", appendonly="yes", appendfsync="no"
    )
    return server


@pytest.fixture
def newsroom(make_app: MakeApp, small: Server) -> Newsroom:
    return Newsroom(make_app(small.url, STRIPE_WEBHOOK_SECRETS=SECRET))


@contextmanager
def flood(app: InProcessApp) -> Iterator[list[str]]:
    """Send new visitors from four threads, and yield what they were answered: reason after reason."""
    stop, reasons, numbers = threading.Event(), list[str](), count()

    def send() -> None:
        while not stop.is_set():
            question = AccessQuestion(Story("a"), visitor=f"made-up-{next(numbers)}")
            reasons.append(app.service.access_check.check(question, time.time()).decision.reason)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield reasons
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_flood_of_visitors_stops_at_its_share_and_nothing_else_notices(
    newsroom: Newsroom, small: Server, until: Until
) -> None:
    admin, app = small.admin(), newsroom.app
    fill(admin, 0.78)
    with flood(app) as reasons:
        while reasons.count("store_unavailable") < 1_000:
            newsroom.work()
        assert admin.info("memory")["used_memory"] < 0.95 * MEMORY
        fill(admin, 0.85)  # so that it stays above the share, whatever the buffers of clients take
        until(lambda: app.service.store.link.memory().share > 0.83)
        keys, seen = admin.dbsize(), len(reasons)
        until(lambda: len(reasons) > seen + 1_000)
        assert admin.dbsize() - keys < 10, "no meter of a new visitor is written"
        newsroom.work()
    assert set(reasons) == {"metered", "store_unavailable"}
    admin.delete(*admin.keys("foreign:*"))
    until(lambda: not app.service.store.link.memory().is_filling)
    assert app.ask("a", visitor="after")["meter"]["counted"] is True
    newsroom.work()


def test_full_store_answers_as_usual_and_takes_what_must_be_written(
    newsroom: Newsroom, small: Server, until: Until
) -> None:
    admin, app = small.admin(), newsroom.app
    fill_up(admin)
    with pytest.raises(redis.OutOfMemoryError):
        admin.set("one-more", bytes(100_000))
    until(lambda: app.service.store.link.memory().is_filling)
    for _ in range(3):
        newsroom.work()
    fill_up(admin)  # the store has freed buffers since, and a meter would fit in there
    counted = app.ask("b", reader="new-reader")
    assert (shown(counted), counted["degraded"]) == (("full", "store_unavailable"), True)
    counted = app.ask("b", visitor="counted")
    assert (shown(counted), counted["degraded"]) == (("upsell", "store_unavailable"), True)
    assert shown(app.ask("b", reader="new-reader", count=False)) == ("full", "metered")
    app.service.maintenance.run_all()
    newsroom.work()
    outages = [line for line in app.service.metrics.exposition().splitlines() if b"paywall_store_outages_total" in line]
    assert [line for line in outages if line.endswith(b" 1.0")] == []
    admin.delete(*admin.keys("foreign:*"))
    assert shown(app.ask("b", reader="new-reader")) == ("full", "metered")


@pytest.mark.full
def test_embedded_store_that_is_full_serves_and_restarts(serve: Serve, until: Until) -> None:
    paywall = serve(PAYWALL_STORE_MEMORY="16mb", STRIPE_WEBHOOK_SECRETS=SECRET)
    paywall.grant("payer")
    for number in range(5):
        paywall.ask(f"old-{number}", reader="stranger")
    assert "of 16 MB is in use; new visitors are counted" in paywall.command("doctor").stdout
    socket = read_owner(paywall.data).url.removeprefix("unix://")
    with redis.Redis(unix_socket_path=socket) as admin:
        fill_up(admin)
    numbers = count()
    for _ in range(2):
        until(lambda: paywall.ask_once("a", visitor=f"new-{next(numbers)}")["reason"] == "store_unavailable")
        assert shown(paywall.ask("new", reader="payer")) == ("full", "grant")
        assert shown(paywall.ask("new", reader="stranger")) == ("upsell", "meter_used_up")
        grant = paywall.grant("vip")
        paywall.revoke("vip", grant["id"])
        assert paywall.get("/v1/readers/payer").status_code == 200
        assert paywall.call("DELETE", "/v1/readers/vip?reason=gdpr", None, ADMIN_KEY).status_code == 200
        assert paywall.get("/readyz").status_code == 200
        attention = paywall.get("/v1/attention").json()["items"]
        assert [item["count"] for item in attention if item["kind"] == "store_memory"] == [1]
        doctor = paywall.command("doctor")
        assert doctor.returncode == 1
        assert "new visitors are not counted. Raise PAYWALL_STORE_MEMORY" in doctor.stdout
        paywall.end()
        paywall.start()
    assert shown(paywall.ask(story_of("new"), reader="payer")) == ("full", "grant")
