"""Fixtures: the newspaper and a fake service, each as a process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.store_servers import free_port

FAKE = Path(__file__).with_name("fake_service.py")
SITE_KEY = "site-key-of-the-fake"


class Service:
    """The fake service and its settings."""

    def __init__(self, url: str) -> None:
        self.url = url

    def reset(self) -> None:
        requests.post(f"{self.url}/_/reset", json={}, timeout=60)

    def gives(self, reader: str, plan: str) -> None:
        requests.post(f"{self.url}/_/plan", json={"reader": reader, "plan": plan}, timeout=60)

    def is_now(self, **settings: Any) -> None:
        """Set `mode` (normal, degraded, garbage or broken) and `late` (checks during which a payment stays unknown)."""
        requests.post(f"{self.url}/_/settings", json=settings, timeout=60)

    def asked(self, path: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = requests.get(f"{self.url}/_/asked", timeout=60).json()
        return [entry for entry in entries if entry["path"] == path]


class Browser(requests.Session):
    """A session that keeps cookies and follows redirects; paths belong to the newspaper."""

    def __init__(self, paper: str) -> None:
        super().__init__()
        self.paper = paper
        self.trust_env = False

    def open(self, path: str, **more: Any) -> requests.Response:
        return self.get(self.paper + path, timeout=60, **more)

    def submit(self, path: str, form: dict[str, str] | None = None, **more: Any) -> requests.Response:
        return self.post(self.paper + path, data=form or {}, timeout=60, **more)

    def sign_in(self, reader: str, next_: str = "/") -> requests.Response:
        return self.submit("/sign-in", {"reader": reader, "next": next_})


@contextmanager
def running(*command: str, **environment: str) -> Iterator[str]:
    """Run a process for the block and yield the URL at the end of its first line."""
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


@contextmanager
def newspaper(service: str, site_key: str = SITE_KEY) -> Iterator[str]:
    port = str(free_port())
    command = ("-m", "demo.newspaper", "--service", service, "--site-key-env", "LEDGER_KEY", "--port", port)
    with running(*command, LEDGER_KEY=site_key) as url:
        yield url


@pytest.fixture(scope="session")
def fake() -> Iterator[Service]:
    with running(str(FAKE)) as url:
        yield Service(url)


@pytest.fixture
def service(fake: Service) -> Service:
    fake.reset()
    return fake


@pytest.fixture(scope="session")
def paper(fake: Service) -> Iterator[str]:
    with newspaper(fake.url) as url:
        yield url


@pytest.fixture
def browser(paper: str, service: Service) -> Iterator[Browser]:
    """Return a new browser, with a service that knows no reader."""
    with Browser(paper) as one:
        yield one


@pytest.fixture(scope="session")
def alone() -> Iterator[str]:
    """Run a newspaper whose service is unreachable."""
    with newspaper(f"http://127.0.0.1:{free_port()}") as url:
        yield url


@pytest.fixture(scope="session")
def locked_out(fake: Service) -> Iterator[str]:
    """Run a newspaper with a wrong site key."""
    with newspaper(fake.url, site_key="not-the-key") as url:
        yield url
