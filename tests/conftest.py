"""Shared by all tests: fixture plugins, the quick profile, and Hypothesis profiles.

`paywall` is one `paywall serve` with two workers over real HTTP, and `serve` starts others. `service_app` is the same WSGI
app in this process, for tests that depend on the time: its clock is an argument.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave Redis 8 to `make check` where Valkey runs the same test."""
    for item in items:
        if "redis8" in item.name.partition("[")[2]:
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
