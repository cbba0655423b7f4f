"""Test connections: several requests in a row, also after a rejected, chunked or missing body."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.running_service import Raw

if TYPE_CHECKING:
    from tests.running_service import Paywall, Serve

PLAIN = b'{"story": {"id": "a"}, "count": false}'


def http(raw: Raw, body: bytes, *more: bytes, path: bytes = b"/v1/access", length: int | None = None) -> Raw:
    top = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Authorization: Bearer site-key-of-the-tests", *more]
    top.append(b"Content-Length: %d" % (len(body) if length is None else length))
    return raw.send(b"\r\n".join(top), b"\r\n\r\n", body)


@pytest.mark.parametrize(
    ("body", "header", "status"),
    [
        (b"x" * 1_000_000, b"Content-Type: application/json", 413),
        (b"x" * 1_000_000, b"Content-Type: text/plain", 415),
        (b"{}", b"Content-Type: application/json", 400),
        (b"x" * 200_000, b"Content-Type: text/plain", 415),
        (b"x" * 10, b"X-Nothing: said", 415),
    ],
)
def test_connection_is_usable_after_a_rejected_body(
    raw: Callable[[], Raw], body: bytes, header: bytes, status: int
) -> None:
    is_refused_alone(raw(), body, [header, b"Authorization: Bearer site-key-of-the-tests"], status)


@pytest.mark.parametrize(("size", "given"), [(1_000_000, b"Bearer nope"), (200_000, b"Basic nope")])
def test_connection_is_usable_after_a_wrong_key(serve: Serve, size: int, given: bytes) -> None:
    """Use a separate service: with the wrong keys of other tests, later ones within a minute would be 429."""
    with closing(Raw(serve().port)) as one:
        is_refused_alone(one, b"x" * size, [b"Authorization: " + given], 401)


def is_refused_alone(one: Raw, body: bytes, headers: list[bytes], status: int) -> None:
    """Check that the unread rest of a rejected body is not read as the next request."""
    smuggled = b"POST /v1/access HTTP/1.1\r\nHost: x\r\n\r\n"
    top = [b"POST /v1/access HTTP/1.1", b"Host: x", b"Content-Length: %d" % (len(body) + len(smuggled)), *headers]
    try:
        one.send(b"\r\n".join(top) + b"\r\n\r\n", body, smuggled)
        http(one, PLAIN, b"Content-Type: application/json")
    except OSError:
        return  # closed while we wrote: no desync possible
    first, found, _ = one.answer()
    assert first == status
    try:
        second, _, answer = one.answer()
    except (EOFError, OSError):
        return
    assert (second, json.loads(answer)["reason"]) == (200, "sign_in_required")
    assert found["content-type"] == "application/problem+json"


@pytest.mark.parametrize("size", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize(
    ("path", "status"), [(b"/v1/readers/%FF/grants", 422), (b"/v1/nothing", 404), (b"/v1/access", 403)]
)
def test_answer_before_the_body_announces_that_the_connection_closes(
    raw: Callable[[], Raw], path: bytes, status: int, size: bytes
) -> None:
    one = raw()
    top = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Authorization: Bearer admin-key-of-the-tests", size]
    answered, headers, _ = one.send(b"\r\n".join(top), b"\r\n\r\n").answer()
    assert (answered, headers["connection"]) == (status, "close")
    with pytest.raises(EOFError):
        one.answer()


def test_header_with_an_underscore_does_not_pass_for_another(raw: Callable[[], Raw]) -> None:
    """A proxy replaces `X-Forwarded-For` and lets `X_Forwarded_For` through; WSGI names both the same."""
    top = b"POST /v1/readers/r-1/grants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-key-of-the-tests\r\n"
    one = raw().send(top, b"Content_Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    assert one.answer()[0] == 415


@pytest.mark.parametrize("path", [b"/v1/readers/" + b"a/" * 600, b"/" * 1_201, b"/admin/" + b"/" * 1_200])
def test_path_that_no_route_can_have_is_refused_before_routing(raw: Callable[[], Raw], path: bytes) -> None:
    """Routing one of 60,000 characters took a thread and its core for half a minute, without a key."""
    one = raw().send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    status, headers, body = one.answer()
    assert (status, headers["connection"], headers["content-type"]) == (414, "close", "application/problem+json")
    assert json.loads(body)["type"] == "urn:paywall:problem:path-too-long"


def test_longest_decision_id_is_routed(raw: Callable[[], Raw]) -> None:
    one = raw().send(b"GET /v1/decisions/" + b"a" * 1_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert one.answer()[0] == 401


def test_pipelined_requests_are_answered_in_order(raw: Callable[[], Raw]) -> None:
    one = raw()
    for _ in range(20):
        http(one, PLAIN, b"Content-Type: application/json")
    http(one, b"{", b"Content-Type: application/json")
    http(one, PLAIN, b"Content-Type: application/json")
    assert [one.answer()[0] for _ in range(22)] == [200] * 20 + [400, 200]


def test_http_2_is_not_spoken(raw: Callable[[], Raw]) -> None:
    """A connection of HTTP/2 has many streams, so that two could occupy all threads."""
    one = raw()
    settings_frame = b"\0\0\0\4\0\0\0\0\0"
    one.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings_frame)
    first = one.sock.recv(65_536)
    assert first == b"" or first.startswith(b"HTTP/1.1 400")


SLOW = [
    (b"/v1/access", b"site-key-of-the-tests", b"application/json"),
    (b"/v1/access/batch", b"site-key-of-the-tests", b"application/json"),
    (b"/v1/grants/import", b"admin-key-of-the-tests", b"text/csv"),
    (b"/v1/readers/r-slow/grants", b"admin-key-of-the-tests", b"application/json"),
]


def begin(raw: Callable[[], Raw], path: bytes, key: bytes, kind: bytes) -> Raw:
    """Send a request without the most of its body."""
    top = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Authorization: Bearer " + key, b"Content-Type: " + kind]
    return raw().send(b"\r\n".join([*top, b"Content-Length: 100"]), b"\r\n\r\n{")


@pytest.mark.parametrize(("path", "key", "kind"), SLOW)
def test_requests_are_answered_beside_more_slow_bodies_than_threads(
    raw: Callable[[], Raw], paywall: Paywall, path: bytes, key: bytes, kind: bytes
) -> None:
    slow = [begin(raw, path, key, kind) for _ in range(80)]
    for number in range(20):
        assert paywall.ask(f"slow-{number}", count=False)["reason"] == "sign_in_required"
        assert paywall.get("/healthz").status_code == 200
    assert paywall.reader("r-slow")["access"] is False
    for one in slow:
        one.sock.settimeout(0)
        with pytest.raises(BlockingIOError):  # none is answered yet
            one.sock.recv(1)


@pytest.mark.full
def test_connections_that_send_nothing_more_are_ended_within_35_seconds(raw: Callable[[], Raw]) -> None:
    silent, begun, idle = raw(), raw().send(b"P"), raw().send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert idle.answer()[0] == 200
    bodies = [begin(raw, *one) for one in SLOW]
    for one in (silent, begun, idle, *bodies):
        one.sock.settimeout(35)
    for one in bodies:
        status, headers, _ = one.answer()
        assert (status, headers["connection"]) == (408, "close")
    assert silent.sock.recv(1) == idle.sock.recv(1) == b""
    begun.sock.recv(65_536)


def test_chunked_body_is_read_completely(raw: Callable[[], Raw]) -> None:
    one = raw()
    top = b"POST /v1/access HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer site-key-of-the-tests\r\n"
    top += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    one.send(top)
    for byte in PLAIN:
        one.send(b"1\r\n", bytes([byte]), b"\r\n")
    one.send(b"0\r\n\r\n")
    assert one.answer()[0] == 200
    assert http(one, PLAIN, b"Content-Type: application/json").answer()[0] == 200


def test_head_answer_has_no_body(raw: Callable[[], Raw]) -> None:
    one = raw()
    one.send(b"HEAD /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
    assert one.answer(head=True)[0] == 200
    one.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert one.answer()[0] == 200


ROWS = b"reader,plan,until,reason\nr-cut-1,vip,never,press card\n"


@pytest.mark.parametrize(
    ("path", "key", "kind", "body"),
    [
        (b"/v1/access", b"site-key-of-the-tests", b"application/json", PLAIN),
        (b"/v1/access/batch", b"site-key-of-the-tests", b"application/json", b'{"stories": [{"id": "a"}]}'),
        (b"/v1/grants/import", b"admin-key-of-the-tests", b"text/csv", ROWS),
        (b"/v1/stripe/webhook", b"", b"application/json", b"{}"),
    ],
)
def test_truncated_body_is_rejected(
    raw: Callable[[], Raw], paywall: Paywall, path: bytes, key: bytes, kind: bytes, body: bytes
) -> None:
    one = raw()
    top = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Authorization: Bearer " + key, b"Content-Type: " + kind]
    one.send(b"\r\n".join([*top, b"Content-Length: %d" % (len(body) + 100)]), b"\r\n\r\n", body)
    one.sock.shutdown(socket.SHUT_WR)
    try:
        status, _, answer = one.answer()
    except (EOFError, OSError):
        pass  # closed without an answer, so nothing was accepted
    else:
        assert (status, json.loads(answer)["status"]) == (400, 400)
    assert not paywall.reader("r-cut-1")["access"]
