"""Test the newspaper while the service fails: it shows the facts and no locked text."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest
import requests

from demo.newspaper.app import create_newspaper
from demo.newspaper.client import Paywall

if TYPE_CHECKING:
    from tests.demo.conftest import Browser, Service

pytestmark = pytest.mark.full

PAGES = ["/", "/story/harbour-contract", "/story/boil-water", "/events", "/support", "/account", "/section/city"]
FACT = "I was not asked to score it twice"  # in the facts
NOTE = "Courtesy is not a load rating"  # in the notebook


def signed_in(paper: str) -> requests.Session:
    session = requests.Session()
    session.post(f"{paper}/sign-in", data={"reader": "r-1042", "next": "/spotlight"}, timeout=60)
    return session


def holds(page: requests.Response) -> None:
    assert page.status_code == 200
    assert FACT in page.text
    assert NOTE not in page.text
    assert "We cannot open the notebook right now" in page.text


@pytest.mark.parametrize("path", PAGES)
def test_every_page_works_without_the_service(alone: str, path: str) -> None:
    with signed_in(alone) as session:
        page = session.get(alone + path, timeout=60)
    assert page.status_code == 200


def test_story_without_the_service_shows_facts_and_a_reason(alone: str) -> None:
    with signed_in(alone) as session:
        holds(session.get(f"{alone}/story/harbour-contract", timeout=60))


def test_hanging_service_delays_a_page_by_at_most_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        app = create_newspaper(
            service_url=f"http://127.0.0.1:{mute.getsockname()[1]}",
            site_key="k",
            secret="s",
            public_url="http://127.0.0.1",
        )
        begun = time.monotonic()
        page = app.test_client().get("/story/harbour-contract")
        assert time.monotonic() - begun < 20
    assert page.status_code == 200
    assert FACT in page.text
    assert NOTE not in page.text


class Dropping(BaseHTTPRequestHandler):
    """Close the first connection without an answer, as a restart does, and make an invitation on the next one."""

    keys: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.keys.append(self.headers["Idempotency-Key"])
        if len(self.keys) > 1:
            self.send_response(201)
            self.end_headers()
            self.wfile.write(b'{"id": "inv_1", "invite": "token"}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class requires this name
        """Log nothing."""


def test_invitation_is_sent_again_with_the_same_idempotency_key() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Dropping) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        paywall = Paywall(f"http://127.0.0.1:{server.server_port}", "key")
        assert paywall.invite("sub_1", "r-school", datetime.now(UTC)) == ("inv_1", "token")
        server.shutdown()
        thread.join()
    first, second = Dropping.keys
    assert first is not None
    assert first == second


@pytest.mark.parametrize("mode", ["garbage", "broken"])
def test_invalid_service_answer_opens_nothing(browser: Browser, service: Service, mode: str) -> None:
    service.is_now(mode=mode)
    holds(browser.open("/story/harbour-contract"))
    assert browser.open("/").status_code == 200


def test_wrong_site_key_opens_nothing(locked_out: str) -> None:
    holds(requests.get(f"{locked_out}/story/harbour-contract", timeout=60))


def test_checkout_without_the_service_says_nothing_was_charged(alone: str) -> None:
    with signed_in(alone) as session:
        form = {"story": "harbour-contract", "choice": "plan:supporter"}
        for path in ("/subscribe", "/manage"):
            page = session.post(alone + path, data=form, timeout=60)
            assert page.status_code == 200
            assert "Nothing was charged" in page.text


def test_degraded_answer_is_shown_with_its_note(browser: Browser, service: Service) -> None:
    service.is_now(mode="degraded")
    page = browser.open("/story/harbour-contract")
    assert NOTE not in page.text
    assert "We cannot look up memberships at the moment" in page.text
    assert "Unlock unlimited access" in page.text
    browser.sign_in("r-1042")
    assert NOTE in browser.open("/story/harbour-contract").text, "[failure].readers = full"
    assert "This is what we last knew" in browser.open("/account").text


def test_newspaper_recovers_with_the_service(browser: Browser, service: Service) -> None:
    service.is_now(mode="broken")
    holds(browser.open("/story/harbour-contract"))
    service.is_now(mode="normal")
    assert NOTE in browser.open("/story/harbour-contract").text
