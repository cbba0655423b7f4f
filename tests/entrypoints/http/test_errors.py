"""Test error answers: status, problem document and fields, over real HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.problem_documents import JSON, fields, problem, send

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp
    from tests.running_service import Paywall
    from tests.store_servers import Until

MOST = 256 * 1024


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"nope",
        b"'a'",
        b"\xff\xfe{}",
        b'{"story": {"id": "caf\xe9"}}',
        b"\xef\xbb\xbf{}",
        b'{"story": {"id": "a"}, "count": NaN}',
        b'{"story": {"id": "a"}, "count": Infinity}',
        b'{"story": {"id": "a"}, "count": -Infinity}',
        b'{"story": {"id": "a"}} x',
        b'{"story": {"id": "a"},}',
        b'{"story": {"id": "a"}, "story": {"id": "b"}}',
        b'{"story": {"id": "a", "id": "a"}}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}",
        b'{"story": ' + b"9" * 5_000 + b"}",
        b'{"story": {"id": "a\nb"}}',
        b'{"story": {"id": "\\x"}}',
        b'{"story": {"id": "\\ud8"}}',
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_body_that_is_not_json_is_400(paywall: Paywall, body: bytes) -> None:
    for path in ("/v1/access", "/v1/access/batch"):
        answer = problem(send(paywall, body, path), 400)
        assert answer["type"] == "urn:paywall:problem:not-json"


def test_byte_order_mark_is_named_as_what_is_wrong(paywall: Paywall) -> None:
    answer = problem(send(paywall, b'\xef\xbb\xbf{"story": {"id": "a"}}'), 400)
    assert "byte order mark" in answer["detail"]


@pytest.mark.parametrize("value", ["[]", "1", "null", "true", '"x"', "1e999", "[{}]"])
def test_body_that_is_no_object_is_422(paywall: Paywall, value: str) -> None:
    assert fields(send(paywall, value)) == ["body"]


def test_error_answer_is_short_for_any_request(paywall: Paywall) -> None:
    answer = send(paywall, json.dumps({"story": {"id": "a"}, "k" * 200_000: 1}))
    assert answer.status_code == 422
    assert len(answer.content) < 2_000
    many = send(paywall, json.dumps({"story": {"id": "a", "tags": [""] * 20_000}}))
    assert many.status_code == 422
    assert len(many.content) < 100_000


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "json",
        "text/json",
        "application/problem+json",
        "multipart/form-data; boundary=x",
    ],
)
def test_other_or_missing_content_type_is_415(paywall: Paywall, kind: str | None) -> None:
    for path in ("/v1/access", "/v1/access/batch"):
        request = requests.Request("POST", paywall.url + path, headers=paywall.as_site, data=b'{"story": {"id": "a"}}')
        prepared = request.prepare()
        if kind is not None:
            prepared.headers["Content-Type"] = kind
        with requests.Session() as session:
            problem(session.send(prepared, timeout=60), 415)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json;a=b"])
def test_json_content_type_with_parameters_is_accepted(paywall: Paywall, kind: str) -> None:
    assert send(paywall, b'{"story": {"id": "a"}}', **{"Content-Type": kind}).status_code == 200


def test_body_above_256_kib_is_413(paywall: Paywall) -> None:
    def padded(size: int) -> bytes:
        body = b'{"story": {"id": "a"}}'
        return body + b" " * (size - len(body))

    assert send(paywall, padded(MOST)).status_code == 200
    problem(send(paywall, padded(MOST + 1)), 413)
    problem(send(paywall, padded(MOST + 1), "/v1/access/batch"), 413)

    def chunks(size: int) -> Any:
        yield from (padded(size)[at : at + 10_000] for at in range(0, size, 10_000))

    headers = {**paywall.as_site, **JSON}
    for size, status in ((MOST, 200), (MOST + 1, 413), (1_000_000, 413)):
        answer = requests.post(paywall.url + "/v1/access", data=chunks(size), headers=headers, timeout=60)
        assert answer.status_code == status, answer.text


def test_request_without_valid_key_is_401(paywall: Paywall) -> None:
    body = b'{"story": {"id": "a"}}'
    for given in (None, "", "Bearer", "Bearer ", "Basic d2ViOng=", "site-key-of-the-tests", "Bearer \xff\xfe"):
        headers = dict(JSON)
        if given is not None:
            headers["Authorization"] = given
        for path in ("/v1/access", "/v1/access/batch", "/v1/readers/r/grants"):
            answer = requests.post(
                paywall.url + path, data=body, headers={k: v.encode("latin-1") for k, v in headers.items()}, timeout=20
            )
            problem(answer, 401)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEARER"])
def test_bearer_scheme_is_case_insensitive(paywall: Paywall, scheme: str) -> None:
    key = paywall.as_site["Authorization"].split()[1]
    assert send(paywall, b'{"story": {"id": "a"}}', Authorization=f"{scheme} {key}").status_code == 200


def test_unknown_route_is_404_or_405(paywall: Paywall) -> None:
    for path in ("/", "/v1", "/v2/access", "/v1//access", "/healthz/x", "/v1/readers", "/v1/readers/", "/v1/access/"):
        answer = requests.post(paywall.url + path, data=b"{}", headers={**paywall.as_site, **JSON}, timeout=60)
        assert answer.status_code in (404, 405), path
        problem(answer, answer.status_code)


def test_wrong_method_is_405_with_allow_header(paywall: Paywall) -> None:
    for method, path, allowed in (
        ("GET", "/v1/access", "POST"),
        ("DELETE", "/v1/access", "POST"),
        ("PUT", "/v1/readers/r", "GET"),
        ("GET", "/v1/readers/r/grants/g", "PATCH"),
        ("POST", "/healthz", "GET"),
        ("BREW", "/metrics", "GET"),
    ):
        answer = paywall.call(method, path, None, paywall.as_site["Authorization"].split()[1])
        problem(answer, 405)
        assert allowed in answer.headers["Allow"]


def test_head_and_options_are_answered(paywall: Paywall) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
        answer = requests.head(paywall.url + path, timeout=60)
        assert (answer.status_code, answer.content) == (200, b"")
    assert requests.head(paywall.url + "/v1/readers/r", headers=paywall.as_admin, timeout=60).status_code == 200
    assert requests.head(paywall.url + "/v1/readers/r", timeout=60).status_code == 401
    assert "POST" in requests.options(paywall.url + "/v1/access", headers=paywall.as_site, timeout=60).headers["Allow"]


def test_too_long_path_is_counted_and_logged_under_its_request_id(
    valkey_app: InProcessApp, capfd: pytest.CaptureFixture[str], until: Until
) -> None:
    path, said = "/" + "r-in-a-path" * 200, ""

    def logged() -> bool:
        nonlocal said
        answer = valkey_app.call("GET", path, headers={"X-Request-Id": "shown-414"})
        assert (answer.status_code, answer.headers["X-Request-Id"]) == (414, "shown-414")
        assert answer.headers["Cache-Control"] == "private, no-store"
        said += "".join(capfd.readouterr())
        return "shown-414" in said

    until(logged)  # The capture loses what another thread writes while it is read.
    assert "r-in-a-path" not in said
    assert 'paywall_requests_total{method="GET",route="unknown",status="414"}' in valkey_app.client.get("/metrics").text


def test_request_id_of_the_caller_is_kept(paywall: Paywall) -> None:
    answer = send(paywall, '{"story": {"id": "a"}}', **{"X-Request-Id": "from-the-site.1"})
    assert answer.headers["X-Request-Id"] == "from-the-site.1"
    assert len(send(paywall, '{"story": {"id": "a"}}', **{"X-Request-Id": "x" * 65}).headers["X-Request-Id"]) == 16
    assert len(send(paywall, '{"story": {"id": "a"}}').headers["X-Request-Id"]) == 16
