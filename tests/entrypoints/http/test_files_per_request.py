"""Test how many files of the service a request runs through: whoever follows one reads so many."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

import service
from tests.rsgi_bridge import event_loop
from tests.stripe_fixtures import BORN, SECRET, Made

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp
    from tests.stripe_fixtures import Made

SERVICE = f"{Path(service.__file__).parent}/"

MOST = {"entitled check": 18, "counted read": 20, "grant": 24, "webhook with its payload alone": 36}


@pytest.fixture
def requests(make_app: MakeApp, valkey_url: str) -> dict[str, Callable[[int], Any]]:
    """Return what sends each request; the number makes it a new one. There is no Stripe key, so payloads are all there is."""
    app: InProcessApp = make_app(valkey_url, STRIPE_WEBHOOK_SECRETS=SECRET)
    app.clock.now = BORN + 60
    app.grant("entitled")

    def deliver(number: int) -> Any:
        event = Made.event("customer.subscription.updated", Made.subscription(id=f"sub_{number}"), id=f"evt_{number}")
        assert app.deliver(event)["state"] == "done"

    return {
        "entitled check": lambda number: app.ask(f"s-{number}", reader="entitled"),
        "counted read": lambda number: app.ask(f"s-{number}", visitor=f"v-{number}"),
        "grant": lambda number: app.grant(f"r-{number}"),
        "webhook with its payload alone": deliver,
    }


OF_REQUESTS = ("loop", "check_", "request_")
"""How the threads are named that answer requests."""


@pytest.fixture
def noted() -> Iterator[list[str]]:
    """Note the files of the service with a function that is called while requests are answered; names begin at `service/`."""
    found: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(SERVICE) and threading.current_thread().name.startswith(OF_REQUESTS):
            found.append(name.removeprefix(SERVICE))

    threading.setprofile(note)
    event_loop().call_soon_threadsafe(sys.setprofile, note)
    yield found
    threading.setprofile(None)
    event_loop().call_soon_threadsafe(sys.setprofile, None)


@pytest.mark.parametrize("name", MOST)
def test_request_runs_through_few_files(name: str, noted: list[str], requests: dict[str, Callable[[int], Any]]) -> None:
    requests[name](1)  # The first request compiles and connects.
    noted.clear()
    requests[name](2)
    files = sorted(set(noted))
    assert "entrypoints/http/rsgi.py" in files
    assert len(files) <= MOST[name], "\n".join(files)
