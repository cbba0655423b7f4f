"""What all tests share: real stores, the service as a process of its own, and the service within the test's process.

`paywall` is the real `paywall serve`, two workers, over real HTTP; `serve` starts more of them, each set up as a test
wants. `desk_app` is the same WSGI app within this process, for what depends on the time: its clock is an argument.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from werkzeug.test import Client

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that tests may import what they share, as `tests.…`

from service.bootstrap import Service
from service.entrypoints.http.wsgi import wsgi
from service.settings.settings import load_settings
from tests.adapters.redis import conftest as stores
from tests.serving import POLICY, Paywall, Raw, Serve, environment, serving
from tests.within import Clock, DeskApp, MakeDesk, service_over

short_folder, launch, until = stores.short_folder, stores.launch, stores.until
valkey, redis8, valkey_url, redis8_url = stores.valkey, stores.redis8, stores.valkey_url, stores.redis8_url
store_url = stores.store_url


settings.register_profile(
    "quick", max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("full", settings.get_profile("quick"), max_examples=1_000)
settings.register_profile("random", settings.get_profile("full"), max_examples=5_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "quick")
"""`quick` and `full` try the same examples each time; `random` looks for new ones."""

ONLY_IN_FULL = {
    "test_link_cluster",
    "test_link_sentinel",
    "test_life_stories",
    "test_against_openapi",
    "test_control",
    "test_pages_in_a_browser",
    "test_api",
    "test_billing_life",
    "test_checkout_and_portal",
    "test_webhooks_and_events",
    "test_newspaper_outage",
    "test_newspaper_site",
    "test_walks_by_openid",
    "test_passes_served",
    "test_belonging_commands",
    "test_refusals_of_openid",
    "test_stripe_errors",
    "test_newspaper_pages",
    "test_newspaper_wall",
    "test_newspaper_desk",
    "test_stripe_lists",
    "test_embedded",
}
"""Files of tests that start many servers, or try the demo's own parts rather than the service."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick profile leaves to `make check`: Redis 8 where Valkey runs the same, failovers, the look-alike's own stories."""
    for item in items:
        if "redis8" in item.name.partition("[")[2] or item.path.stem in ONLY_IN_FULL:
            item.add_marker(pytest.mark.full)


@pytest.fixture(scope="session")
def policy() -> str:
    """The paywall.toml that services are started with where a test says nothing else."""
    return POLICY


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start services of this test's own: `serve(policy, REDIS_URL=…)`; ended with it."""
    running: list[Paywall] = []
    yield serving(tmp_path, running)
    for one in running:
        one.close()


@pytest.fixture(scope="session")
def paywall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paywall]:
    """One service for all tests that do not mind each other: each uses readers, visitors and stories of its own."""
    running: list[Paywall] = []
    yield serving(tmp_path_factory.mktemp("paywall"), running)()
    for one in running:
        one.close()
        assert "Traceback" not in one.log
        assert '"level":"error"' not in one.log


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses, for readers, visitors and stories."""
    return f"{request.node.name[:40].strip('[]-')}-{os.urandom(4).hex()}".replace("[", "-").replace("]", "")


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[MakeDesk]:
    """Apps of a test's own: `make_desk(store_url, policy=…)`."""
    made: list[Service] = []

    def make(
        url: str, policy: str = POLICY, *, clock: Clock | None = None, patience: float = 5.0, **env: str
    ) -> DeskApp:
        folder = tmp_path / f"desk{len(made)}"
        folder.mkdir()
        settings = load_settings(environment(folder, policy, {"REDIS_URL": url, **env}))
        clock = clock or Clock()
        service = service_over(settings, url, clock, patience)
        service.start()
        made.append(service)
        assert service.store.link.wait(60)
        return DeskApp(service, Client(wsgi(service)), clock)

    yield make
    for service in made:
        service.close()


@pytest.fixture
def desk_app(make_desk: MakeDesk, store_url: str) -> DeskApp:
    """The app over an empty store, on Valkey and on Redis 8 alike."""
    return make_desk(store_url)


@pytest.fixture
def desk(make_desk: MakeDesk, valkey_url: str) -> DeskApp:
    """The app over an empty Valkey, where the store makes no difference to what is tested."""
    return make_desk(valkey_url)


@pytest.fixture
def raw(paywall: Paywall) -> Iterator[Callable[[], Raw]]:
    """Open raw connections to the shared service."""
    opened: list[Raw] = []

    def connect() -> Raw:
        opened.append(Raw(paywall.port))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


@pytest.fixture
def all_at_once() -> Callable[[int, Callable[[int], Any]], list[Any]]:
    """Do something many times at the same moment; what each came to."""

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
