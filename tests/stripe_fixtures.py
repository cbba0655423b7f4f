"""Fixtures: small Stripe objects, real signatures, the look-alike, and the recorded lifecycles."""

from __future__ import annotations

import copy
import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from service.adapters.stripe.gateway import Gateway
from service.adapters.stripe.transport import RateLimit
from service.domain.catalogue import Catalogue
from service.settings.policy_file import read_folder
from stripe_lookalike import RunningLookalike, serve_lookalike

ROOT = Path(__file__).parents[1]
SECRET = "whsec_made_for_the_tests"
MONTH = 30 * 86_400
BORN = 1_793_491_200

Json = dict[str, Any]

PRICE: Json = {"id": "price_month", "object": "price", "lookup_key": "monthly", "product": "prod_supporter"}

SUBSCRIPTION: Json = {
    "id": "sub_1",
    "object": "subscription",
    "status": "active",
    "created": BORN,
    "customer": "cus_1",
    "cancel_at": None,
    "cancel_at_period_end": False,
    "ended_at": None,
    "trial_end": None,
    "metadata": {"reader_id": "r-1"},
    "items": {
        "object": "list",
        "has_more": False,
        "data": [
            {
                "id": "si_1",
                "object": "subscription_item",
                "price": PRICE,
                "quantity": 1,
                "current_period_start": BORN,
                "current_period_end": BORN + MONTH,
            }
        ],
    },
}

SESSION: Json = {
    "id": "cs_test_1",
    "object": "checkout.session",
    "mode": "payment",
    "status": "complete",
    "payment_status": "paid",
    "created": BORN,
    "amount_total": 300,
    "customer": "cus_1",
    "client_reference_id": "r-1",
    "payment_intent": "pi_1",
    "subscription": None,
    "metadata": {"reader_id": "r-1", "price_id": "price_day"},
}


class Made:
    """Small Stripe objects as fresh copies, changed as asked."""

    @staticmethod
    def subscription(**changes: Any) -> Json:
        return {**copy.deepcopy(SUBSCRIPTION), **changes}

    @staticmethod
    def session(**changes: Any) -> Json:
        return {**copy.deepcopy(SESSION), **changes}

    @staticmethod
    def event(event_type: str, obj: Any, *, previous: Json | None = None, **changes: Any) -> Json:
        data: Json = {"object": obj}
        if previous is not None:
            data["previous_attributes"] = previous
        event = {"id": "evt_1", "object": "event", "type": event_type, "created": BORN, "livemode": False, "data": data}
        return {**event, **changes}

    @staticmethod
    def thin(event_type: str, related: Json | None, **changes: Any) -> Json:
        event = {
            "id": "evt_test_1",
            "object": "v2.core.event",
            "type": event_type,
            "created": "2026-11-01T00:00:00.000Z",
            "livemode": False,
            "context": None,
            "related_object": related,
        }
        return {**event, **changes}


def sign(body: bytes, *, secret: str = SECRET, at: int = BORN) -> str:
    """Return the `Stripe-Signature` header that Stripe would send, made by the SDK."""
    header: str = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)
    return header


def delivery(event: Json, *, secret: str = SECRET, at: float) -> Json:
    """Return the body and the headers with which Stripe sends an event, as a client's `post` takes them."""
    body = json.dumps(event).encode()
    return {"data": body, "headers": {"Stripe-Signature": sign(body, secret=secret, at=int(at))}}


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    found = read_folder(ROOT / "config").catalogue
    assert found is not None
    return found


@pytest.fixture(scope="session")
def stripe_reference() -> Path:
    folder = Path(os.environ.get("PAYWALL_SHARED", ROOT.parent / "shared")) / "stripe"
    if not folder.is_dir():
        pytest.skip("the Stripe reference data is not here: set PAYWALL_SHARED, or put it into ../shared")
    return folder


@pytest.fixture(scope="session")
def stories(stripe_reference: Path) -> list[Json]:
    return [json.loads(path.read_text("utf-8")) for path in sorted((stripe_reference / "lifecycles").glob("*.json"))]


@pytest.fixture
def template(stripe_reference: Path) -> Callable[[str], Json]:
    def load(name: str) -> Json:
        found: Json = json.loads((stripe_reference / "templates" / f"{name}.json").read_text("utf-8"))["template"]
        return found

    return load


@pytest.fixture
def lookalike() -> Iterator[RunningLookalike]:
    with serve_lookalike() as running:
        yield running


@pytest.fixture
def stripe_client(lookalike: RunningLookalike) -> stripe.StripeClient:
    """Return the SDK's client, to create objects with."""
    return stripe.StripeClient("sk_test_x", base_addresses={"api": lookalike.url})


class Control:
    """A client for the look-alike's control routes and its journal."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self.url, self._session = url, session

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._session.request(method, f"{self.url}/_lookalike{path}", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def pay(self, session: str, how: str = "card") -> None:
        self.ask("POST", f"/checkout/{session}/pay", {"how": how})

    def put(self, obj: Json) -> None:
        self.ask("POST", "/object", {"object": obj})

    def load(self, story: Json) -> None:
        self.ask("POST", "/load", story)

    def asked(self) -> list[tuple[str, str]]:
        """Return method and path of every request, in order."""
        return [(entry["method"], entry["path"]) for entry in self.ask("GET", "/requests")["requests"]]

    def forget(self) -> None:
        self.ask("DELETE", "/requests")


@pytest.fixture
def control(lookalike: RunningLookalike) -> Iterator[Control]:
    with requests.Session() as session:
        session.trust_env = False
        yield Control(lookalike.url, session)


Buy = Callable[..., str]


@pytest.fixture
def day_pass(stripe_client: stripe.StripeClient, control: Control) -> Buy:
    """Buy day passes through Checkout, by `card` or `debit`, with this metadata; return the session's ID."""

    def buy(how: str = "card", **metadata: str) -> str:
        session = stripe_client.v1.checkout.sessions.create(
            {
                "mode": "payment",
                "line_items": [{"price": "price_day", "quantity": 1}],
                "success_url": "https://www.example.news/",
                "metadata": metadata,
            }
        )
        control.pay(session.id, how)
        return session.id

    return buy


@pytest.fixture
def strict(control: Control) -> Control:
    """Let the look-alike reject every parameter that Stripe's OpenAPI description does not allow, if it is available."""
    folder = Path(os.environ.get("PAYWALL_SHARED", ROOT.parent / "shared")) / "stripe"
    if folder.is_dir():
        control.ask("PUT", "/strict", json.loads((folder / "openapi.json").read_text("utf-8")))
    return control


@pytest.fixture
def gateway(lookalike: RunningLookalike) -> Gateway:
    return Gateway("sk_test_x", lookalike.url, RateLimit(per_second=1_000, burst=1_000))


class CannedServer:
    """A server that gives every request the same answer, as a proxy or a failing Stripe might."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 200, {"Content-Type": "application/json"}, b"{}"
        self.requests: list[str] = []
        self.seen: list[dict[str, str]] = []
        canned = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                canned.requests.append(f"{self.command} {self.path}")
                canned.seen.append(dict(self.headers.items()))
                self.send_response(canned.status)
                for name, value in {**canned.headers, "Content-Length": str(len(canned.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(canned.body)

            do_GET = do_POST = answer  # noqa: N815 - http.server finds them so

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def says(self, status: int, body: Any, **headers: str) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {"Content-Type": "application/json", **headers}

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def canned() -> Iterator[CannedServer]:
    server = CannedServer()
    yield server
    server.stop()
