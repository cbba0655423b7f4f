"""Run the service in the test's process, with a clock that the test sets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from service.adapters.observability.metrics import Metrics
from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.keys import Keys
from service.adapters.redis.client.link import Link
from service.bootstrap import Service, assemble
from service.settings.settings import Settings, load_settings
from tests.rsgi_bridge import Bridge, event_loop
from tests.running_service import ADMIN_KEY, POLICY, SITE_KEY, environment, story_of
from tests.stripe_fixtures import delivery


class Clock:
    """A clock that a test sets: `clock.at("2026-12-01T05:00:00Z")`."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def at(self, moment: str) -> float:
        self.now = datetime.fromisoformat(moment).timestamp()
        return self.now


class UnreadBody(BytesIO):
    """A request body that must not be read: a test sends it as `input_stream`, and reading it is a 500."""

    def readinto(self, _: Any, /) -> int:
        raise AssertionError("the body was read")


def service_over(settings: Settings, url: str, clock: Clock, timeout: float = 5.0) -> Service:
    """Assemble the service on the store at `url`. `timeout` is in seconds, and long, so that a busy machine is no outage."""
    metrics, probe_key = Metrics(), Keys(settings.prefix).shared("probe")
    link = Link(parse_address(url), timeout=timeout, on_change=metrics.report_store_change, probe_key=probe_key)
    return assemble(settings, link, clock, metrics)


@dataclass
class InProcessApp:
    """The service's app in this process. `call` uses the access route, or Flask's view with `hot=False`."""

    service: Service
    clock: Clock

    @cached_property
    def bridge(self) -> Bridge:
        """Build the routes when a test first sends a request: that takes longer than many a test of a use case."""
        return Bridge(self.service)

    @cached_property
    def client(self) -> Client:
        return Client(self.bridge)

    def close(self) -> None:
        if "bridge" in vars(self):
            self.bridge.close()
        self.service.close()

    def call(
        self, method: str, path: str, body: Any = None, *, hot: bool = True, admin: bool = False, **more: Any
    ) -> TestResponse:
        scheme = "Bearer" if hot else "bearer"
        headers = {"Authorization": f"{scheme} {ADMIN_KEY if admin else SITE_KEY}", **more.pop("headers", {})}
        if body is not None:
            more |= {"data": json.dumps(body), "content_type": "application/json"}
        return self.client.open(path, method=method, headers=headers, **more)

    def ask(self, story: str | dict[str, Any], **more: Any) -> dict[str, Any]:
        named = story if isinstance(story, dict) else story_of(story)
        answer = self.call("POST", "/v1/access", {"story": named, **more})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    def deliver(self, event: dict[str, Any]) -> Any:
        """Deliver an event as Stripe does, to an app with `STRIPE_WEBHOOK_SECRETS=SECRET`, and return the answer."""
        answer = self.client.post("/v1/stripe/webhook", **delivery(event, at=self.clock()))
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def grant(self, reader: str, **more: Any) -> dict[str, Any]:
        body = {"plan": "vip", "reason": "press card", "until": None, **more}
        if "features" in more:
            del body["plan"]
        answer = self.call("POST", f"/v1/readers/{reader}/grants", body, admin=True)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    def reader(self, reader: str, at: str | None = None) -> dict[str, Any]:
        query = {} if at is None else {"at": at}
        answer = self.call("GET", f"/v1/readers/{reader}", admin=True, query_string=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.get_json()
        return found


AllAtOnce = Callable[[int, Callable[[int], Any]], list[Any]]
MakeApp = Callable[..., InProcessApp]


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[MakeApp]:
    """Make apps that close after the test: `make_app(store_url, policy=…)`."""
    made: list[InProcessApp] = []

    def make(
        url: str, policy: str = POLICY, *, clock: Clock | None = None, patience: float = 5.0, **env: str
    ) -> InProcessApp:
        folder = tmp_path / f"desk{len(made)}"
        folder.mkdir()
        settings = load_settings(environment(folder, policy, {"REDIS_URL": url, **env}))
        clock = clock or Clock()
        made.append(InProcessApp(service_over(settings, url, clock, patience), clock))
        made[-1].service.store.link.use_loop(event_loop())
        made[-1].service.start()
        assert made[-1].service.store.link.wait(60)
        return made[-1]

    yield make
    for app in made:
        app.close()


@pytest.fixture
def service_app(make_app: MakeApp, store_url: str) -> InProcessApp:
    """Return an app over an empty store; the test runs on Valkey and on Redis 8."""
    return make_app(store_url)


@pytest.fixture
def valkey_app(make_app: MakeApp, valkey_url: str) -> InProcessApp:
    """Return an app over an empty Valkey, for tests that do not depend on the store."""
    return make_app(valkey_url)


@pytest.fixture
def all_at_once() -> AllAtOnce:
    """Run a function in many threads at the same moment and return the results."""

    def run(times: int, work: Callable[[int], Any]) -> list[Any]:
        found: list[Any] = [None] * times
        barrier = threading.Barrier(times)

        def one(number: int) -> None:
            barrier.wait(60)
            try:
                found[number] = work(number)
            except BaseException as error:
                found[number] = error

        threads = [threading.Thread(target=one, args=(number,)) for number in range(times)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return found

    return run
