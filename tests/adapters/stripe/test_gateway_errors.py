"""Test gateway errors: every answer becomes one of three exceptions, and no message repeats a parameter."""

from __future__ import annotations

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import stripe

from service.adapters.stripe.errors import MEANING, failure_of
from service.adapters.stripe.gateway import Gateway
from service.adapters.stripe.transport import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    LONGEST_RETRY_AFTER,
    PATIENCE,
    ConcurrencyLimit,
    RateLimit,
)
from service.domain.errors import NoSuchObject, StripeFailure, StripeRefused, StripeUnavailable
from service.domain.stripe_facts import ObjectRef
from tests.store_servers import wait_until

pytestmark = pytest.mark.full

SUBSCRIPTION = ObjectRef("subscription", "sub_1")


def trouble(canned: Any, **how: Any) -> StripeFailure:
    gateway = Gateway("sk_test_x", canned.url, RateLimit(per_second=1_000, burst=1_000))
    with pytest.raises(StripeFailure) as caught:
        gateway.read_object(SUBSCRIPTION, **how)
    assert caught.value.why == str(caught.value)
    assert "sub_1" not in str(caught.value)
    return caught.value


def problem(kind: str, **more: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": "No such subscription: 'sub_1'", **more}}


ANSWERS: list[tuple[int, Any, type[StripeFailure], str]] = [
    (404, problem("invalid_request_error", code="resource_missing", param="id"), NoSuchObject, "no_such_object"),
    (400, problem("invalid_request_error", code="resource_missing"), NoSuchObject, "no_such_object"),
    (404, problem("invalid_request_error"), NoSuchObject, "no_such_object"),
    (400, problem("invalid_request_error", code="parameter_unknown"), StripeRefused, "request_wrong"),
    (400, problem("idempotency_error"), StripeRefused, "key_used_otherwise"),
    (401, problem("invalid_request_error"), StripeRefused, "key_unknown"),
    (402, problem("card_error", code="card_declined"), StripeRefused, "card_declined"),
    (403, problem("invalid_request_error"), StripeRefused, "key_may_not"),
    (409, problem("idempotency_error", code="idempotency_key_in_use"), StripeUnavailable, "in_use"),
    (429, problem("invalid_request_error", code="rate_limit"), StripeUnavailable, "rate_limited"),
    (400, problem("invalid_request_error", code="rate_limit"), StripeUnavailable, "rate_limited"),
    (400, problem("invalid_request_error", code="lock_timeout"), StripeUnavailable, "rate_limited"),
    (500, problem("api_error"), StripeUnavailable, "failing"),
    (503, b"", StripeUnavailable, "failing"),
    (502, b"<html>Bad Gateway</html>", StripeUnavailable, "failing"),
    (404, b"<html>Not Found</html>", StripeUnavailable, "failing"),
    (200, b"<html>Welcome to the hotel</html>", StripeUnavailable, "failing"),
    (200, b"\xff\xfe", StripeUnavailable, "odd_answer"),
    (200, b"[]", StripeUnavailable, "odd_answer"),
    (200, b"null", StripeUnavailable, "odd_answer"),
    (200, b"{}", StripeUnavailable, "odd_answer"),
    (200, b'{"id": 7, "object": "subscription"}', StripeUnavailable, "odd_answer"),
    (200, b'{"id": "sub_2", "object": "subscription"}', StripeUnavailable, "odd_answer"),
    (200, b"[" * 100_000, StripeUnavailable, "failing"),
    (302, b"", StripeUnavailable, "failing"),
]


@pytest.mark.parametrize(("status", "body", "kind", "why"), ANSWERS)
def test_stripe_answer_becomes_one_exception_with_its_reason(
    status: int, body: Any, kind: type[StripeFailure], why: str, canned: Any
) -> None:
    canned.says(status, body)
    found = trouble(canned)
    assert (type(found), found.why) == (kind, why)


def test_every_sdk_error_has_a_meaning() -> None:
    tree: list[type[stripe.StripeError]] = [stripe.StripeError]
    for kind in tree:
        tree += kind.__subclasses__()
    for kind in tree:
        assert any(issubclass(kind, known) for known, _, _ in MEANING)
    assert type(failure_of(stripe.StripeError("sub_1"))) is StripeUnavailable
    assert type(failure_of(stripe.APIError("sub_1"))) is StripeUnavailable


def test_rate_limit_error_has_its_limit_and_retry_after(canned: Any) -> None:
    canned.says(429, problem("invalid_request_error"), **{"Stripe-Rate-Limited-Reason": "endpoint-rate"})
    found = trouble(canned)
    assert isinstance(found, StripeUnavailable)
    assert found.why == "rate_limited_endpoint-rate"
    assert 0 < found.retry_after <= FIRST_PAUSE


@pytest.mark.parametrize(
    ("retry_after", "least", "most"), [("7", 6, 7), ("86400", 59, LONGEST_RETRY_AFTER), ("tomorrow", 0, FIRST_PAUSE)]
)
def test_retry_after_of_stripe_is_followed_within_bounds(
    retry_after: str, least: float, most: float, canned: Any
) -> None:
    canned.says(429, problem("invalid_request_error"), **{"Retry-After": retry_after})
    found = trouble(canned)
    assert isinstance(found, StripeUnavailable)
    assert least < found.retry_after <= most


def test_worker_read_retries_after_429(control: Any, gateway: Gateway) -> None:
    control.ask("POST", "/faults", {"status": 429, "times": 1})
    with pytest.raises(NoSuchObject):
        gateway.read_object(SUBSCRIPTION, patience="worker")


def test_inline_reads_pause_after_429(canned: Any) -> None:
    gateway = Gateway("sk_test_x", canned.url, RateLimit())
    canned.says(429, problem("invalid_request_error"))
    for expected in ("rate_limited", "busy", "busy"):
        with pytest.raises(StripeUnavailable) as caught:
            gateway.read_object(SUBSCRIPTION)
        assert caught.value.why == expected
        assert caught.value.retry_after > 0
    assert len(canned.requests) == 1


def test_rate_limit_reason_with_unsafe_characters_is_dropped(canned: Any) -> None:
    canned.says(429, problem("invalid_request_error"), **{"Stripe-Rate-Limited-Reason": "see {reader} r-1"})
    assert trouble(canned).why == "rate_limited"


def test_closed_port_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(StripeUnavailable, match="unreachable"):
        Gateway("sk_test_x", url, RateLimit()).read_object(SUBSCRIPTION)


def test_hanging_stripe_times_out_inline(control: Any, gateway: Gateway) -> None:
    control.ask("POST", "/faults", {"hang": 20})
    begun = time.monotonic()
    with pytest.raises(StripeUnavailable, match="unreachable"):
        gateway.read_object(SUBSCRIPTION)
    assert time.monotonic() - begun < 15
    control.ask("DELETE", "/faults")


@pytest.mark.parametrize("begins", [b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Long: "])
def test_answer_sent_byte_by_byte_times_out(begins: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server, begins))
        dripping.start()
        begun = time.monotonic()
        with pytest.raises(StripeUnavailable, match="unreachable"):
            Gateway("sk_test_x", f"http://127.0.0.1:{server.getsockname()[1]}", RateLimit()).read_object(SUBSCRIPTION)
        assert time.monotonic() - begun < 15
        dripping.join(60)
        assert not dripping.is_alive()


def drip(server: socket.socket, begins: bytes) -> None:
    """Answer one request endlessly and slowly until the client disconnects."""
    taken, _ = server.accept()
    gone = threading.Event()
    with taken, suppress(OSError):
        taken.sendall(begins)
        while not gone.wait(0.1):
            taken.sendall(b" ")


def test_hanging_stripe_occupies_few_threads_and_others_continue(control: Any, gateway: Gateway) -> None:
    most, threads = PATIENCE["inline"].concurrent, 30
    control.ask("POST", "/faults", {"hang": 20})
    with ThreadPoolExecutor(threads) as pool:
        reads = [pool.submit(gateway.read_object, SUBSCRIPTION) for _ in range(threads)]
        wait_until(lambda: sum(read.done() for read in reads) == threads - most)
        assert {str(read.exception()) for read in reads if read.done()} == {"busy"}
        control.ask("DELETE", "/faults")


def test_few_calls_wait_for_a_slot_and_others_fail_at_once() -> None:
    limit, release = ConcurrencyLimit(most=1, waiting=2), threading.Event()

    def call() -> bool:
        with limit.hold_slot(60, slow=60):
            return release.wait(60)

    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(call) for _ in range(6)]
        wait_until(lambda: sum(one.done() for one in calls) == 3)
        assert {str(one.exception()) for one in calls if one.done()} == {"busy"}
        release.set()
    assert sum(one.exception() is None for one in calls) == 3


def test_failing_stripe_gets_one_request_per_read(canned: Any) -> None:
    canned.says(500, problem("api_error"), **{"Stripe-Should-Retry": "true"})
    trouble(canned)
    trouble(canned, patience="worker")
    assert len(canned.requests) == 2


def test_every_request_has_the_api_version_and_no_telemetry(canned: Any) -> None:
    canned.says(500, b"")
    trouble(canned)
    seen = canned.seen[0]
    assert seen["Stripe-Version"] == "2026-10-28.endive"
    assert seen["Authorization"] == "Bearer sk_test_x"
    assert "telemetry" not in str(seen).lower()


def test_unsafe_object_id_is_no_such_object(canned: Any) -> None:
    gateway = Gateway("sk_test_x", canned.url, RateLimit())
    for name in ("", ".", "..", "a" * 256, "a\nb"):
        with pytest.raises(NoSuchObject):
            gateway.read_object(ObjectRef("customer", name))
    assert canned.requests == []
    canned.says(404, problem("invalid_request_error"))
    with pytest.raises(NoSuchObject):
        gateway.read_object(ObjectRef("customer", "../../account?x=/y#z"))
    assert canned.requests == ["GET /v1/customers/..%2F..%2Faccount%3Fx%3D%2Fy%23z"]


def test_request_parameters_never_reach_the_log(canned: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    gateway = Gateway("sk_test_secret", canned.url, RateLimit())
    canned.says(400, problem("invalid_request_error", param="metadata"))
    with pytest.raises(StripeRefused):
        gateway.create_customer({"metadata": {"reader_id": "r-secret"}}, "key")
    assert "secret" not in caplog.text
    assert "sub_1" not in caplog.text


class Timer:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_rate_limiter_allows_a_burst_then_a_steady_rate() -> None:
    timer = Timer()
    rate_limit = RateLimit(per_second=10, burst=20, timer=timer)
    assert [rate_limit.reserve(0) for _ in range(20)] == [0.0] * 20
    assert rate_limit.reserve(0) is None
    assert rate_limit.reserve(1) == pytest.approx(0.1)
    assert rate_limit.reserve(1) == pytest.approx(0.2)
    timer.now += 60
    assert [rate_limit.reserve(0) for _ in range(20)] == [0.0] * 20
    assert rate_limit.reserve(0) is None


def test_rejected_request_consumes_no_allowance() -> None:
    timer = Timer()
    rate_limit = RateLimit(per_second=10, burst=1, timer=timer)
    assert rate_limit.reserve(0) == 0
    assert [rate_limit.reserve(0.05) for _ in range(100)] == [None] * 100
    timer.now += 0.1
    assert rate_limit.reserve(0) == pytest.approx(0)


def test_pauses_double_until_stripe_answers() -> None:
    timer = Timer()
    rate_limit = RateLimit(timer=timer)
    pauses = []
    for _ in range(7):
        pauses.append(rate_limit.record_refusal())
        assert rate_limit.record_refusal() == pauses[-1]
        assert rate_limit.reserve(0) is None
        timer.now += pauses[-1]
    assert pauses == [FIRST_PAUSE, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE]
    rate_limit.record_success()
    assert rate_limit.record_refusal() == FIRST_PAUSE


def test_threads_share_one_rate_limiter() -> None:
    rate_limit = RateLimit(per_second=0.001, burst=50)
    let_in: list[bool] = []
    threads = [
        threading.Thread(target=lambda: let_in.extend(rate_limit.reserve(0) is not None for _ in range(20)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(let_in) == 50
