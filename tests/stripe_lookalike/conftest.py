"""Fixtures: a look-alike, the real SDK, a webhook endpoint, and Stripe's reference data."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from stripe_lookalike import RunningLookalike

SECRET = "whsec_test"


class Control:
    """A client for the look-alike's control routes."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self.url = url
        self._session = session

    def _ask(self, method: str, path: str, body: Any, expect: int, /, **query: Any) -> Any:
        answer = self._session.request(method, f"{self.url}/_lookalike{path}", json=body, params=query, timeout=60)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def get(self, path: str, /, **query: Any) -> Any:
        return self._ask("GET", path, None, 200, **query)

    def post(self, path: str, /, body: Any = None, expect: int = 200, **query: Any) -> Any:
        return self._ask("POST", path, body, expect, **query)

    def put(self, path: str, body: Any) -> Any:
        return self._ask("PUT", path, body, 200)

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path, None, 200)

    def now(self) -> int:
        return int(self.get("/clock")["now"])

    def advance(self, seconds: int) -> int:
        return int(self.post("/clock", {"advance": seconds})["now"])


class Receiver:
    """A webhook endpoint on a real port that keeps requests and answers as configured."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, str]] = []
        self.refuse = 0  # how many coming requests get a 500
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(receiver.take(body, self.headers.get("Stripe-Signature", "")))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def take(self, body: bytes, signature: str) -> int:
        with self._lock:
            if self.refuse:
                self.refuse -= 1
                return 500
            self.taken.append((body, signature))
            return 200

    @property
    def events(self) -> list[dict[str, Any]]:
        with self._lock:
            return [json.loads(body) for body, _ in self.taken]

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def control(lookalike: RunningLookalike, http: requests.Session) -> Control:
    return Control(lookalike.url, http)


@pytest.fixture
def client(lookalike: RunningLookalike) -> Iterator[stripe.StripeClient]:
    """Return the real SDK's client, with the look-alike's URL."""
    stripe.enable_telemetry = False
    with requests.Session() as session:
        yield stripe.StripeClient(
            "sk_test_x",
            base_addresses={"api": lookalike.url},
            http_client=stripe.RequestsClient(timeout=(2, 10), session=session),
        )


@pytest.fixture
def receiver(control: Control) -> Iterator[Receiver]:
    """Run a webhook endpoint that is registered with the look-alike."""
    taking = Receiver()
    control.post("/webhook_endpoints", {"url": taking.url, "secret": SECRET})
    yield taking
    taking.stop()


@pytest.fixture(scope="session")
def openapi(stripe_reference: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((stripe_reference / "openapi.json").read_text("utf-8"))
    return document


@pytest.fixture
def new_customer(client: stripe.StripeClient) -> Callable[..., stripe.Customer]:
    """Create customers with a card: `pm_card_visa` pays, `pm_card_chargeCustomerFail` does not."""

    def create(card: str = "pm_card_visa", **params: Any) -> stripe.Customer:
        given: Any = {
            "email": "reader@example.org",
            "name": "Robin Reader",
            "payment_method": card,
            "invoice_settings": {"default_payment_method": card},
            **params,
        }
        return client.v1.customers.create(given)

    return create
