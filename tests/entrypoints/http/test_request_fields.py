"""Test invalid fields of a body, a path and a query, and missing ones: each is 422 with its name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.problem_documents import fields, problem, send
from tests.running_service import ADMIN_KEY

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp
    from tests.running_service import Paywall

IDS: list[tuple[Any, str]] = [
    ("", "empty"),
    (7, "a number"),
    (None, "null"),
    (True, "a boolean"),
    ([], "a list"),
    ({}, "an object"),
    (1e999, "inf"),
    ("a" * 129, "129 bytes"),
    ("é" * 65, "130 bytes"),
    (" a", "a space before"),
    ("a ", "a space after"),
    ("\u00a0a", "a no-break space"),
    ("a\u0000b", "nought"),
    ("a\nb", "a newline"),
    ("a\u007f", "delete"),
    ("a\u0085b", "a C1 control"),
    ("a\u202eb", "right to left override"),
    ("a\u200fb", "a right to left mark"),
    ("a\u061cb", "an Arabic letter mark"),
    ("a\u2066b", "an isolate"),
    ("a\u2028b", "a line separator"),
    ("a\ud800b", "half a surrogate pair"),
    ("\udfff", "the other half"),
]


@pytest.mark.parametrize(("value", "_what"), IDS, ids=[what for _, what in IDS])
def test_invalid_id_in_any_field_is_422(paywall: Paywall, value: Any, _what: str) -> None:
    def refused(body: dict[str, Any]) -> list[str]:
        return fields(send(paywall, json.dumps(body).replace("Infinity", "1e999")))

    story: dict[str, Any] = {"id": "a"}
    assert refused({"story": {"id": value}}) == ["story.id"]
    assert refused({"story": {**story, "tags": ["x", value]}}) == ["story.tags.1"]
    assert refused({"story": {**story, "parts": [value]}}) == ["story.parts.0"]
    if value is not None:
        assert refused({"story": {**story, "section": value}}) == ["story.section"]
        assert refused({"story": {**story, "tier": value}}) == ["story.tier"]
        assert refused({"story": story, "reader": value}) == ["reader"]
        assert refused({"story": story, "visitor": value}) == ["visitor"]
    assert refused({"story": {"id": value}, "reader": "a/b", "visitor": 7}) == ["story.id", "reader", "visitor"]


@pytest.mark.parametrize(
    "value", ["a", "a" * 128, "é" * 64, "😀" * 32, "a b", "a/b", "{}", "%2F", "a\u00adb", "日本", "a\u200db", "..", "0"]
)
def test_valid_id_is_accepted_unchanged(paywall: Paywall, name: str, value: str) -> None:
    body = {"story": {"id": value, "tags": [value], "section": value, "parts": [value]}, "visitor": value}
    answer = send(paywall, json.dumps({**body, "count": False}))
    assert answer.status_code == 200
    assert list(answer.json()["parts"]) == [value]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"count": "yes"}, "count"),
        ({"count": 1}, "count"),
        ({"count": 0.0}, "count"),
        ({"explain": "false"}, "explain"),
        ({"explain": []}, "explain"),
        ({"context": []}, "context"),
        ({"context": {"ip": 7}}, "context.ip"),
        ({"context": {"planet": "Mars"}}, "context.planet"),
        ({"context": {"user_agent": "\ud800"}}, "context.user_agent"),
        ({"pass": 7}, "pass"),
        ({"readr": "r"}, "readr"),
        ({"story": None}, "story"),
        ({"story": "a"}, "story"),
        ({"story": []}, "story"),
        ({"story": {}}, "story.id"),
        ({"story": {"id": "a", "url": "x"}}, "story.url"),
        ({"story": {"id": "a", "tier": "nope"}}, "story.tier"),
        ({"story": {"id": "a", "tags": "x"}}, "story.tags"),
        ({"story": {"id": "a", "tags": {"0": "x"}}}, "story.tags"),
        ({"story": {"id": "a", "parts": "facts"}}, "story.parts"),
        ({"story": {"id": "a", "published_at": "2026-11-20T09:00:00"}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": "2026-11-20"}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": "2026-11-20x09:00:00Z"}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": "2026-13-20T09:00:00Z"}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": "2026-11-20T25:00:00Z"}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": "2026-11-20T09:00:00+99:00"}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": "0001-01-01T00:00:00+14:00"}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": "9999-12-31T23:59:59-14:00"}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": "10000-01-01T00:00:00Z"}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": 1763629200}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": ""}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": "\ud800"}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": "2026-11-20T09:00:00 Z"}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": "2026-11-20T09:00:00.Z"}}, "story.published_at"),
        ({"story": {"id": "a", "published_at": "2026-11-20T09:00:00Z\n"}}, "story.published_at"),
        ({"_schema": 1}, "_schema"),
        ({"story": {"id": "a", "_schema": 1}}, "story._schema"),
        ({"\ud800": 1}, "\\ud800"),
        ({"é" * 3: 1}, "ééé"),
    ],
    ids=lambda value: str(value).encode("ascii", "replace").decode(),
)
def test_invalid_field_is_422_with_its_name(paywall: Paywall, change: dict[str, Any], field: str) -> None:
    assert fields(send(paywall, json.dumps({"story": {"id": "a"}, **change}))) == [field]


def test_all_invalid_fields_are_reported_at_once(paywall: Paywall) -> None:
    body = {
        "story": {"id": 7, "tags": ["", "x", " "], "published_at": "soon", "parts": [None]},
        "reader": "a/b",
        "count": "yes",
        "more": 1,
    }
    assert set(fields(send(paywall, json.dumps(body)))) == {
        "story.id",
        "story.tags.0",
        "story.tags.2",
        "story.published_at",
        "story.parts.0",
        "reader",
        "count",
        "more",
    }


def test_unknown_tier_is_reported_with_other_invalid_fields(paywall: Paywall) -> None:
    alone = {"story": {"id": "", "tier": "nope"}, "count": 1}
    assert set(fields(send(paywall, json.dumps(alone)))) == {"story.id", "story.tier", "count"}
    both = {"story": {"id": "a", "tier": "\u202e"}}
    assert fields(send(paywall, json.dumps(both))) == ["story.tier"]


PATHS = [
    ("a%20", "a space after"),
    ("%00", "nought"),
    ("a%0Ab", "a newline"),
    ("a%E2%80%AEb", "right to left"),
    ("%FF", "not UTF-8"),
    ("%ED%A0%80", "half a surrogate pair"),
    ("%C3", "half a character"),
    ("a" * 129, "129 bytes"),
    ("a%2Fb", "a slash"),
    ("%2F", "only a slash"),
    ("a%2F", "a slash at the end"),
]


@pytest.mark.parametrize(("path", "_what"), PATHS, ids=[what for _, what in PATHS])
def test_invalid_id_in_a_path_is_422(paywall: Paywall, path: str, _what: str) -> None:
    problem(paywall.get(f"/v1/readers/{path}"), 422)
    problem(paywall.call("DELETE", f"/v1/readers/{path}?reason=x", None, ADMIN_KEY), 422)
    problem(paywall.call("PUT", f"/v1/subscriptions/sub_1/seats/{path}", None, ADMIN_KEY), 422)
    body = {"plan": "vip", "reason": "x", "until": None}
    problem(paywall.post(f"/v1/readers/{path}/grants", body, ADMIN_KEY), 422)


@pytest.mark.parametrize("reader", ["é", "a b", "日本", "100%", "a?b#c", "a+b", "..", ".", "{r}", "a;b", "%2F"])
def test_percent_encoded_ids_in_paths_are_decoded(paywall: Paywall, name: str, reader: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in f"{reader}{name}".encode())
    assert paywall.reader(quoted)["reader"] == f"{reader}{name}"
    granted = paywall.grant(quoted)
    assert granted["reader"] == f"{reader}{name}"
    assert paywall.ask("a", reader=f"{reader}{name}")["source"]["id"] == granted["id"]


def test_admin_request_without_body_is_422_with_missing_fields(valkey_app: InProcessApp) -> None:
    grant = valkey_app.grant("r", until=None)["id"]
    for method, path, missing in [
        ("POST", "/v1/readers/r/grants", ["reason", "until"]),
        ("PATCH", f"/v1/readers/r/grants/{grant}", ["reason", "until"]),
        ("DELETE", f"/v1/readers/r/grants/{grant}", ["reason"]),
        ("POST", "/v1/keys", ["name", "role"]),
        ("POST", "/v1/readers/r/merge", ["from"]),
    ]:
        answer = valkey_app.call(method, path, admin=True)
        assert answer.status_code == 422, answer.text
        assert set(missing) <= {error["field"] for error in answer.get_json()["errors"]}
        assert valkey_app.call(method, path, admin=True, data=b"{}", content_type="text/plain").status_code == 415
        assert valkey_app.call(method, path, admin=True, data=b"{}").status_code == 415
    assert valkey_app.call("POST", "/v1/access").status_code == 415


MOMENT = "2082-12-01T00:00:00Z"


@pytest.mark.parametrize(
    ("method", "path", "name", "value"),
    [
        ("GET", "/v1/readers/r", "at", MOMENT),
        ("DELETE", "/v1/readers/r", "reason", "they asked"),
        ("DELETE", "/v1/readers/r", "force", "true"),
        ("DELETE", "/v1/readers/r/grants/g", "reason", "over"),
        ("POST", "/v1/grants/import", "dry_run", "true"),
        ("GET", "/v1/activity", "days", "7"),
        ("GET", "/v1/audit", "limit", "7"),
        ("GET", "/v1/attention", "days", "7"),
    ],
)
def test_repeated_or_unknown_query_parameter_is_422(
    valkey_app: InProcessApp, method: str, path: str, name: str, value: str
) -> None:
    for query in (f"{name}={value}&{name}={value}", f"{name}={value}&{name}=", "when=now"):
        answer = valkey_app.call(method, f"{path}?{query}", admin=True, data=b"", content_type="text/csv")
        assert answer.status_code == 422, (query, answer.text)
        assert [error["field"] for error in answer.get_json()["errors"]] == [query.partition("=")[0]]


@pytest.mark.parametrize(
    "moment", [MOMENT, "2082-12-01t00:00:00z", "2082-12-01T01:00:00.5%2B01:00", "20821201T000000Z"]
)
def test_time_in_iso_8601_or_rfc_3339_is_accepted(valkey_app: InProcessApp, moment: str) -> None:
    valkey_app.grant("r", until="2083-01-01T00:00:00Z")
    answer = valkey_app.call("GET", f"/v1/readers/r?at={moment}", admin=True)
    assert (answer.status_code, answer.get_json()["access"]) == (200, True)
