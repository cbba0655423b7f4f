"""Shared by all tests: fixture plugins, the quick profile, and Hypothesis profiles.

`paywall` is one `paywall serve` with two workers over real HTTP, and `serve` starts others. `service_app` is the same WSGI
app in this process, for tests that depend on the time: its clock is an argument.
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

from service.adapters.observability.logs import configure_logs

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that tests can import `tests.…`


pytest_plugins = [
    "tests.store_servers",
    "tests.stripe_fixtures",
    "tests.store_clusters",
    "tests.loop_client",
    "tests.running_service",
    "tests.in_process_app",
    "tests.admin_app",
    "tests.browser",
    "tests.node_packages",
]


settings.register_profile(
    "quick",
    max_examples=100,
    derandomize=True,
    deadline=None,
    # A busy machine is slow, and examples may find what those before them left in the store.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("full", settings.get_profile("quick"), max_examples=500)
settings.register_profile("random", settings.get_profile("full"), max_examples=5_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "quick")
"""`quick` and `full` try the same examples each time; `random` looks for new ones."""

ONLY_IN_FULL = {
    "test_alerts",
    "test_traces",
    "test_link_cluster",
    "test_link_sentinel",
    "test_recorded_lifecycles",
    "test_against_openapi",
    "test_control",
    "test_pages_in_a_browser",
    "test_api",
    "test_billing",
    "test_checkout_and_portal",
    "test_webhooks_and_events",
    "test_newspaper_outage",
    "test_newspaper_site",
    "test_sign_in_end_to_end",
    "test_story_passes",
    "test_readers_and_seats",
    "test_rejected_sign_ins",
    "test_gateway_errors",
    "test_newspaper_pages",
    "test_newspaper_paywall",
    "test_newspaper_checkout",
    "test_api_requests",
    "test_embedded_store",
}
"""Files of tests that start many servers, or try the demo's own parts rather than the service."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `make check`: Redis 8 where Valkey runs the same test, failovers, and tests of the look-alike."""
    for item in items:
        if "redis8" in item.name.partition("[")[2] or item.path.stem in ONLY_IN_FULL:
            item.add_marker(pytest.mark.full)


@pytest.fixture(autouse=True)
def usual_logs() -> Iterator[None]:
    """Log as a service again after a test that ran a command in this process: a command logs only errors."""
    yield
    configure_logs()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Return a name that no other test uses, for readers, visitors and stories."""
    return f"{request.node.name[:40].strip('[]-')}-{os.urandom(4).hex()}".replace("[", "-").replace("]", "")


@pytest.fixture
def all_at_once() -> Callable[[int, Callable[[int], Any]], list[Any]]:
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
