"""Test the examples for nginx and Caddy, which run here with other ports, addresses and certificates."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.deployment.reverse_proxy import HOST, SITE, STAFF, STRANGER, Echo, ReverseProxy, installed
from tests.running_service import Paywall, Serve, story_of
from tests.store_servers import Launch, Until

pytestmark = pytest.mark.full

MIB = 1024 * 1024
Behind = Callable[..., ReverseProxy]


@pytest.fixture(params=["nginx", "caddy"])
def proxy_in_front_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Behind]:
    """Start the proxy in front of services on these ports."""
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    running: list[ReverseProxy] = []

    def start(*ports: int) -> ReverseProxy:
        running.append(ReverseProxy(request.param, tmp_path, list(ports)))
        return running[-1].start()

    yield start
    for one in running:
        one.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    running = Echo()
    yield running
    running.close()


def test_site_stripe_and_staff_reach_their_routes(proxy_in_front_of: Behind, paywall: Paywall, name: str) -> None:
    proxy = proxy_in_front_of(paywall.port)
    body = json.dumps({"story": story_of(name), "visitor": name}).encode()
    headers = {**paywall.as_site, "Content-Type": "application/json"}
    status, _, answer = proxy.ask("POST", "/v1/access", body, headers, source=SITE)
    assert (status, json.loads(answer)["show"]) == (200, "full")
    status, headers, answer = proxy.ask("POST", "/v1/stripe/webhook", b"{}", {"Content-Type": "application/json"})
    assert (status, headers["content-type"]) == (400, "application/problem+json"), answer
    assert proxy.ask("GET", "/healthz")[0] == 200
    assert proxy.ask("GET", "/.well-known/jwks.json", source=SITE)[0] == 200
    status, headers, _ = proxy.ask("GET", "/admin/sign-in", source=STAFF)
    assert status == 200
    assert "__Host-" in headers["set-cookie"], "the service knows that the browser uses HTTPS"
    assert "Secure" in headers["set-cookie"]


CLOSED = [
    "/metrics", "/readyz", "/docs", "/openapi.json", "/", "//metrics", "/%6detrics", "/metrics/", "/healthz/../metrics",
    "/v1/stripe/webhook/../../../metrics", "/metrics/../healthz", "/admin", "/admin/sign-in", "/Admin", "/v1/readers/r",
    "/v1/access", "/.well-known/jwks.json", "/healthz/..%2fmetrics",
]  # fmt: skip


def test_strangers_reach_neither_metrics_nor_staff_page(proxy_in_front_of: Behind, paywall: Paywall) -> None:
    proxy = proxy_in_front_of(paywall.port)
    for path in CLOSED:
        status, _, body = proxy.ask("GET", path, headers=paywall.as_admin)
        assert status in (301, 308, 400, 403, 404), path
        assert b"paywall_" not in body, path
    for source in (SITE, STAFF):
        assert proxy.ask("GET", "/metrics", source=source)[0] == 404
    assert proxy.ask("GET", "/admin", source=SITE)[0] in (403, 404)
    assert proxy.ask("POST", "/v1/access", b"{}", paywall.as_site, source=STAFF)[0] in (403, 404)


def test_service_sees_the_real_address_and_protocol(proxy_in_front_of: Behind, echo: Echo) -> None:
    proxy = proxy_in_front_of(echo.port)
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http", "Connection": "close"}
    status, _, answer = proxy.ask("GET", "/healthz", headers=forged)
    assert status == 200
    seen = json.loads(answer)
    assert seen["headers"]["x-forwarded-for"] == STRANGER
    assert seen["headers"]["x-forwarded-proto"] == "https"
    assert seen["headers"]["host"] == HOST
    assert seen["version"] == "HTTP/1.1"
    assert seen["headers"].get("connection", "keep-alive") != "close"


def test_audit_log_has_the_address_of_the_client(proxy_in_front_of: Behind, serve: Serve) -> None:
    paywall = serve(PAYWALL_TRUSTED_PROXIES="127.0.0.1", PAYWALL_WORKERS="1")
    proxy = proxy_in_front_of(paywall.port)
    body = json.dumps({"plan": "vip", "reason": "press card", "until": None}).encode()
    headers = {**paywall.as_admin, "Content-Type": "application/json", "X-Forwarded-For": "203.0.113.9"}
    assert proxy.ask("POST", "/v1/readers/r/grants", body, headers, source=SITE)[0] == 201
    assert paywall.get("/v1/audit").json()["items"][0]["from_ip"] == SITE


def test_client_may_speak_http2(proxy_in_front_of: Behind, echo: Echo) -> None:
    with proxy_in_front_of(echo.port).connect(STRANGER, "h2", "http/1.1") as connection:
        assert connection.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize(
    ("path", "source", "most"),
    [("/v1/stripe/webhook", STRANGER, MIB), ("/v1/grants/import", SITE, 64 * MIB), ("/admin/imports", STAFF, 64 * MIB)],
)
def test_larger_bodies_than_the_service_takes_are_refused(
    proxy_in_front_of: Behind, echo: Echo, path: str, source: str, most: int
) -> None:
    proxy = proxy_in_front_of(echo.port)
    status, _, answer = proxy.ask("POST", path, b"x" * most, source=source)
    assert (status, json.loads(answer)["length"]) == (200, most)
    with proxy.connect(source) as oversized:
        head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {most + 2 * MIB}\r\n\r\n"
        with suppress(ConnectionError, ssl.SSLError):  # a proxy may answer and close before it has read everything
            oversized.sendall(head.encode() + b"x" * (most + 2 * MIB))
        status = int(oversized.recv(65_536).split()[1])
    assert status == (502 if proxy.is_old_caddy else 413), "it finds out while it forwards"


def test_request_reaches_the_service_only_when_complete(proxy_in_front_of: Behind, echo: Echo) -> None:
    proxy = proxy_in_front_of(echo.port)
    head = f"POST /v1/stripe/webhook HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\n"
    with proxy.connect() as slow:
        slow.sendall(head.encode() + b"12345")
        for _ in range(5):
            assert proxy.ask("GET", "/healthz")[0] == 200
        assert {seen["path"] for seen in echo.received} == {"/healthz"}
        slow.sendall(b"67890")
        assert slow.recv(65_536).startswith(b"HTTP/1.1 200")
    assert [seen["length"] for seen in echo.received if seen["method"] == "POST"] == [10]


def test_client_that_sends_no_complete_request_is_dropped(proxy_in_front_of: Behind, echo: Echo) -> None:
    with proxy_in_front_of(echo.port).connect() as silent:
        silent.sendall(f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n".encode())
        assert b"200" not in silent.recv(65_536), "the proxy ends the connection within the timeout of the socket, 60 s"
    assert [seen for seen in echo.received if "x-forwarded-for" in seen["headers"]] == [], "only health checks"


def test_other_machine_answers_when_one_is_down(proxy_in_front_of: Behind, paywall: Paywall, name: str) -> None:
    body = json.dumps({"story": story_of(name), "visitor": name, "count": False}).encode()
    headers = {**paywall.as_site, "Content-Type": "application/json"}
    with socket.socket() as down:  # it doesn't listen, so that connections are refused
        down.bind(("127.0.0.1", 0))
        proxy = proxy_in_front_of(down.getsockname()[1], paywall.port)
        assert {proxy.ask("POST", "/v1/access", body, headers, source=SITE)[0] for _ in range(20)} == {200}


def answered(machine: Paywall, until: Until) -> None:
    """Wait until a machine has answered some more checks."""
    before = machine.log.count('"/v1/access"')
    until(lambda: machine.log.count('"/v1/access"') > before + 20)


def test_machine_restarts_without_a_failed_request(
    proxy_in_front_of: Behind, serve: Serve, launch: Launch, until: Until
) -> None:
    store = launch("redis8", tcp=True)
    machines = [serve(PAYWALL_WORKERS="1", REDIS_URL=store.url) for _ in range(2)]
    proxy = proxy_in_front_of(*(machine.port for machine in machines))
    body = json.dumps({"story": story_of("a"), "visitor": "v", "count": False}).encode()
    headers = {**machines[0].as_site, "Content-Type": "application/json"}
    statuses: list[int] = []
    ending = threading.Event()

    def ask() -> None:
        while not ending.is_set():
            statuses.append(proxy.ask("POST", "/v1/access", body, headers, source=SITE)[0])

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    for stopped, other in (machines, machines[::-1]):  # as in an upgrade, one after the other
        stopped.end()
        answered(other, until)
        stopped.start()
        answered(stopped, until)
    ending.set()
    for client in clients:
        client.join(60)
    known = {200, 502} if proxy.is_old_caddy else {200}  # it can't send again a request that it has begun to send
    assert set(statuses) <= known
    assert statuses.count(200) > len(statuses) * 0.8
