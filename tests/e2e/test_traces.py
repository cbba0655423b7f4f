"""Test OpenTelemetry's traces against a receiver over HTTP, and that they cost nothing while they are off."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from stripe_lookalike import RunningLookalike
from tests.otlp_receiver import ReceivedSpan, Receiver, otlp_receiver
from tests.running_service import ADMIN_KEY, POLICY, SITE_KEY, Paywall, Serve
from tests.store_servers import Launch, Until
from tests.stripe_fixtures import SECRET, Made

pytestmark = pytest.mark.full

SERVER, CLIENT, INTERNAL = 2, 3, 1
"""Kinds of spans, as OTLP numbers them."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with otlp_receiver() as received:
        yield received


@pytest.fixture
def traced(serve: Serve, receiver: Receiver, launch: Launch) -> Callable[..., Paywall]:
    """Start a service that sends its traces to the receiver."""

    def start(**env: str) -> Paywall:
        settings = {
            "PAYWALL_WORKERS": "1",
            "REDIS_URL": launch(tcp=True).url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20of-the-collector",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "STRIPE_WEBHOOK_SECRETS": SECRET,
        }
        return serve(POLICY, start=True, worker=False, **settings, **env)

    return start


def first(receiver: Receiver, until: Until, name: str, **attributes: object) -> ReceivedSpan:
    """Return the first span with this name and these attributes, with `.` for `__`."""
    wanted = {key.replace("__", "."): value for key, value in attributes.items()}

    def found() -> list[ReceivedSpan]:
        return [span for span in receiver.named(name) if wanted.items() <= span.attributes.items()]

    until(found)
    return found()[0]


def test_access_check_is_a_span_with_its_store_call_inside(
    traced: Callable[..., Paywall], receiver: Receiver, until: Until
) -> None:
    paywall = traced()
    paywall.ask("s-1", reader="r-1", visitor="v-1")
    span = first(receiver, until, "POST /v1/access", paywall__reason="metered")
    assert span.kind == SERVER
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/access",
        "http.response.status_code": 200,
        "paywall.show": "full",
        "paywall.reason": "metered",
    }
    assert span.resource["service.name"] == "paywall"
    until(lambda: f'"trace_id":"{span.trace.hex()}"' in paywall.log)
    until(lambda: receiver.children(span))
    (read, *_) = receiver.children(span)
    assert read.kind == CLIENT
    assert read.attributes["db.system.name"] == "redis"
    assert {header["authorization"] for header in receiver.headers} == {"Bearer of-the-collector"}


def test_caller_s_trace_is_continued(traced: Callable[..., Paywall], receiver: Receiver, until: Until) -> None:
    paywall = traced(OTEL_SERVICE_NAME="paywall-staging")
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    for path, method in (("/v1/access", "POST"), ("/v1/readers/r-1", "GET")):
        key = SITE_KEY if method == "POST" else ADMIN_KEY
        body = {"story": {"id": "s-1"}, "visitor": "v-1"} if method == "POST" else None
        paywall.call(method, path, body, key, headers={"traceparent": f"00-{trace}-{parent}-01"})

    def continued() -> dict[str, ReceivedSpan]:
        return {span.name: span for span in receiver.spans if span.trace.hex() == trace and span.kind == SERVER}

    until(lambda: continued().keys() == {"POST /v1/access", "GET /v1/readers/<reader>"})
    assert {span.parent.hex() for span in continued().values()} == {parent}
    assert {span.resource["service.name"] for span in continued().values()} == {"paywall-staging"}


def test_concurrent_requests_keep_their_store_calls_apart(
    traced: Callable[..., Paywall],
    receiver: Receiver,
    until: Until,
    all_at_once: Callable[[int, Callable[[int], object]], list[object]],
) -> None:
    paywall = traced()

    def ask(number: int) -> None:
        headers = {"Authorization": f"Bearer {SITE_KEY}", "traceparent": f"00-{number + 1:032x}-00f067aa0ba902b7-01"}
        body = {"story": {"id": f"s-{number}"}, "visitor": f"v-{number}"}
        path = "/v1/access" if number % 2 else "/v1/checkout"  # The event loop answers one, a thread the other.
        requests.post(paywall.url + path, json=body, headers=headers, timeout=60)

    all_at_once(20, ask)
    until(lambda: len([span for span in receiver.spans if span.kind == SERVER and span.trace[:14] == bytes(14)]) == 20)
    for span in receiver.spans:
        if span.kind == CLIENT:
            parents = [parent for parent in receiver.spans if (parent.trace, parent.id) == (span.trace, span.parent)]
            assert [parent.kind for parent in parents] == [SERVER]


def test_calls_to_stripe_are_spans_of_the_request_and_of_the_worker_s_job(
    traced: Callable[..., Paywall],
    receiver: Receiver,
    until: Until,
    lookalike: RunningLookalike,
) -> None:
    paywall = traced(STRIPE_API_KEY="sk_test_x", STRIPE_API_BASE=lookalike.url)
    event = Made.event("customer.subscription.created", Made.subscription(id="sub_Secret1"), created=int(time.time()))
    paywall.deliver(event)
    request = first(receiver, until, "POST /v1/stripe/webhook")
    until(lambda: any(span.name == "GET /v1/subscriptions/{id}" for span in receiver.children(request)))
    call = next(span for span in receiver.children(request) if span.name == "GET /v1/subscriptions/{id}")
    assert (call.kind, call.attributes["http.response.status_code"]) == (CLIENT, 404)

    event["id"] = "evt_2"
    requests.post(f"{lookalike.url}/_lookalike/object", json={"object": event["data"]["object"]}, timeout=60)
    assert paywall.run("worker", "--once").returncode == 0
    job = first(receiver, until, "process stripe object")
    assert job.kind == INTERNAL
    assert job.attributes["paywall.object"] == "subscription"
    assert job.parent == b""
    until(lambda: {span.attributes.get("db.system.name") for span in receiver.children(job)} >= {"redis", None})
    assert "GET /v1/subscriptions/{id}" in {span.name for span in receiver.children(job)}
    assert b"Secret1" not in b"".join(receiver.bodies)


def test_spans_hold_no_reader_data(traced: Callable[..., Paywall], receiver: Receiver, until: Until) -> None:
    paywall = traced()
    paywall.ask("story-9d00b", reader="reader-7f3a9", visitor="visitor-8e21c", context={"ip": "203.0.113.77"})
    paywall.grant("reader-7f3a9", reason="press card 4711")
    paywall.get("/v1/readers/reader-7f3a9?at=2026-11-01T00:00:00Z", headers={"X-Request-Id": "request-55aa"})
    paywall.get("/no/such/reader-7f3a9")
    paywall.call("POST", "/v1/keys", {"name": "key-name-31", "role": "viewer"}, ADMIN_KEY)
    first(receiver, until, "POST /v1/keys")
    until(lambda: receiver.named("GET unknown"))
    sent = b"".join(receiver.bodies)
    for secret in ("reader-7f3a9", "visitor-8e21c", "story-9d00b", "203.0.113.77", "press card", "request-55aa"):
        assert secret.encode() not in sent, secret
    for secret in ("key-name-31", "2026-11-01", "/no/such", ADMIN_KEY, SITE_KEY):
        assert secret.encode() not in sent, secret


def test_failed_request_and_failed_store_call_are_failed_spans(
    serve: Serve, receiver: Receiver, until: Until, launch: Launch
) -> None:
    store = launch(tcp=True)
    paywall = serve(
        PAYWALL_WORKERS="1",
        REDIS_URL=store.url,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_BSP_SCHEDULE_DELAY="100",
    )
    store.end()
    body = {"plan": "vip", "reason": "x", "until": None}
    until(lambda: paywall.post("/v1/readers/r-1/grants", body, ADMIN_KEY).status_code == 503)
    span = first(receiver, until, "POST /v1/readers/<reader>/grants", http__response__status_code=503)
    assert span.failed
    until(lambda: any(child.failed for child in receiver.children(span)))
    assert {child.attributes["error.type"] for child in receiver.children(span) if child.failed} <= {
        "StoreUnavailable",
        "ConnectionLost",
    }


def test_collector_that_hangs_delays_neither_answers_nor_the_end(serve: Serve, launch: Launch, until: Until) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        paywall = serve(
            PAYWALL_WORKERS="1",
            REDIS_URL=launch().url,
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces",
            OTEL_BSP_SCHEDULE_DELAY="100",
            OTEL_EXPORTER_OTLP_TIMEOUT="600",
        )
        for number in range(20):
            paywall.ask(f"s-{number}", visitor=f"v-{number}")
        accepted, _ = silent.accept()  # The service is sending.
        with accepted:
            paywall.ask("s-last", visitor="v-last")
            assert paywall.end() == 0


def test_service_runs_without_the_packages_while_traces_are_off() -> None:
    """Redis-py imports parts of OpenTelemetry by itself where it is installed, so here it is not."""
    code = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from service.settings.settings import load_settings\n"
        "from service.bootstrap import build\n"
        "from service.entrypoints.http.wsgi import web\n"
        "settings = load_settings({'PAYWALL_CONFIG': 'config'})\n"
        "web(build(settings, 'redis://127.0.0.1:1', traced=True))\n"
        "assert 'google.protobuf' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
