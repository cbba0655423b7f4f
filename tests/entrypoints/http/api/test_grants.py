"""Test grants: create, change and revoke, validation, and readers at other times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import TestResponse

from service.domain.catalogue import DAY

if TYPE_CHECKING:
    from tests.in_process_app import AllAtOnce, InProcessApp, MakeApp

GOOD = {"plan": "vip", "reason": "press card", "until": "2083-01-01T00:00:00Z"}
FIELDS = {"id", "reader", "plan", "features", "reason", "from", "until", "status", "actor", "created_at", "import"}


@pytest.fixture(autouse=True)
def _at_noon(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at("2082-12-10T12:00:00Z")


def create_grant(app: InProcessApp, body: Any, reader: str = "r", **more: Any) -> TestResponse:
    return app.call("POST", f"/v1/readers/{reader}/grants", body, admin=True, **more)


def change(app: InProcessApp, grant: str, body: Any, reader: str = "r") -> TestResponse:
    return app.call("PATCH", f"/v1/readers/{reader}/grants/{grant}", body, admin=True)


def revoke(app: InProcessApp, grant: str, reader: str = "r", **more: Any) -> TestResponse:
    return app.call("DELETE", f"/v1/readers/{reader}/grants/{grant}", admin=True, **more)


def fields(answer: TestResponse) -> list[str]:
    assert answer.status_code == 422, answer.text
    assert answer.content_type == "application/problem+json"
    return [error["field"] for error in answer.get_json()["errors"]]


def test_created_grant_is_returned_with_all_fields(valkey_app: InProcessApp) -> None:
    answer = create_grant(valkey_app, GOOD)
    assert answer.status_code == 201
    body = answer.get_json()
    assert set(body) == FIELDS
    assert body.pop("id")
    assert body == {
        "reader": "r",
        "plan": "vip",
        "features": [],
        "reason": "press card",
        "from": "2082-12-10T12:00:00Z",
        "until": "2083-01-01T00:00:00Z",
        "status": "active",
        "actor": "ann",
        "created_at": "2082-12-10T12:00:00Z",
        "import": None,
    }


def test_grant_of_single_features_gives_them(valkey_app: InProcessApp) -> None:
    found = valkey_app.grant("r", features=["no_ads", "notebook", "no_ads"])
    assert (found["plan"], found["features"]) == (None, ["no_ads", "notebook"])
    assert valkey_app.ask("a", reader="r")["features"] == ["notebook", "no_ads"]


@pytest.mark.parametrize(
    ("body", "at_fault"),
    [
        ({**GOOD, "features": ["no_ads"]}, ["plan", "features"]),
        ({"reason": "x", "until": None}, ["plan", "features"]),
        ({"plan": None, "features": None, "reason": "x", "until": None}, ["plan", "features"]),
        ({"features": [], "reason": "x", "until": None}, ["features"]),
        ({**GOOD, "features": []}, ["features"]),
        ({**GOOD, "plan": "nope"}, ["plan"]),
        ({"features": ["no_ads", "no_ads", "nope"], "reason": "x", "until": None}, ["features.2"]),
        ({"features": "no_ads", "reason": "x", "until": None}, ["features"]),
        ({"features": [7], "reason": "x", "until": None}, ["features.0"]),
        ({"plan": "vip", "reason": "x"}, ["until"]),
        ({**GOOD, "until": "2082-12-10T12:00:00Z"}, ["until"]),
        ({**GOOD, "until": "2020-01-01T00:00:00Z"}, ["until"]),
        ({**GOOD, "until": "2083-01-01"}, ["until"]),
        ({**GOOD, "until": "never"}, ["until"]),
        ({**GOOD, "until": ""}, ["until"]),
        ({**GOOD, "until": 1_800_000_000}, ["until"]),
        ({**GOOD, "from": "2083-01-01T00:00:00Z"}, ["until"]),
        ({**GOOD, "from": "2084-01-01T00:00:00Z"}, ["until"]),
        ({**GOOD, "from": "2082-12-10T12:00:00"}, ["from"]),
        ({"plan": "vip", "until": None}, ["reason"]),
        ({**GOOD, "reason": None}, ["reason"]),
        ({**GOOD, "reason": ""}, ["reason"]),
        ({**GOOD, "reason": " \t\n"}, ["reason"]),
        ({**GOOD, "reason": "x" * 1_001}, ["reason"]),
        ({**GOOD, "reason": 7}, ["reason"]),
        ({**GOOD, "reason": "\ud800"}, ["reason"]),
        ({**GOOD, "id": "mine"}, ["id"]),
        ({**GOOD, "reader": "r"}, ["reader"]),
        ([], ["body"]),
        ({"plan": "nope", "until": "soon"}, ["reason", "until", "plan"]),
        ({"plan": "vip", "features": ["no_ads"], "reason": 7, "until": None}, ["reason", "plan", "features"]),
        ({"features": ["nope", 7], "reason": "x"}, ["features.1", "until", "features.0"]),
    ],
)
def test_invalid_grant_is_422_with_its_fields(valkey_app: InProcessApp, body: Any, at_fault: list[str]) -> None:
    assert fields(create_grant(valkey_app, body)) == at_fault
    assert valkey_app.reader("r")["sources"] == []


def test_grant_with_long_reason_and_extreme_dates_is_accepted(valkey_app: InProcessApp) -> None:
    body = create_grant(
        valkey_app, {**GOOD, "reason": "é" * 1_000, "from": None, "until": "9999-12-31T23:59:59Z"}
    ).get_json()
    assert (body["reason"], body["until"]) == ("é" * 1_000, "9999-12-31T23:59:59Z")
    assert valkey_app.ask("a", reader="r")["until"] == "9999-12-31T23:59:59Z"
    long_ago = create_grant(valkey_app, {**GOOD, "from": "0001-01-01T00:00:00Z"}).get_json()
    assert (long_ago["from"], long_ago["status"]) == ("0001-01-01T00:00:00Z", "active")


def test_grant_without_end_needs_until_null(valkey_app: InProcessApp) -> None:
    assert create_grant(valkey_app, {"plan": "vip", "reason": "x", "until": None}).get_json()["until"] is None


def test_scheduled_grant_starts_to_the_second(valkey_app: InProcessApp) -> None:
    body = create_grant(valkey_app, {**GOOD, "from": "2082-12-20T00:00:00+01:00"}).get_json()
    assert (body["status"], body["from"]) == ("scheduled", "2082-12-19T23:00:00Z")
    assert valkey_app.reader("r")["sources"][0]["standing"] == "none"
    assert not valkey_app.reader("r")["access"]
    valkey_app.clock.at("2082-12-19T22:59:59.9Z")
    assert valkey_app.ask("a", reader="r", count=False)["refresh_after"] == "2082-12-19T23:00:00Z"
    valkey_app.clock.at("2082-12-19T23:00:00Z")
    assert valkey_app.ask("a", reader="r")["reason"] == "grant"
    assert valkey_app.reader("r")["sources"][0]["status"] == "active"


def test_grant_end_can_be_moved_both_ways_and_removed(valkey_app: InProcessApp) -> None:
    grant = valkey_app.grant("r", until="2083-01-01T00:00:00Z")["id"]
    for until in ("2083-06-01T00:00:00Z", "2082-12-11T00:00:00Z", None, "2082-12-10T12:00:01Z"):
        answer = change(valkey_app, grant, {"until": until, "reason": "as agreed"})
        assert (answer.status_code, answer.get_json()["until"]) == (200, until)
        assert answer.get_json()["reason"] == "press card"
        assert valkey_app.ask("a", reader="r")["until"] == until
    valkey_app.clock.at("2082-12-10T12:00:01Z")
    assert valkey_app.ask("a", reader="r", count=False)["reason"] == "metered"
    assert change(valkey_app, grant, {"until": None, "reason": "again"}).get_json()["status"] == "active"


@pytest.mark.parametrize(
    ("body", "at_fault"),
    [
        ({"until": "2082-12-10T12:00:00Z", "reason": "x"}, ["until"]),
        ({"until": "2082-12-15T00:00:00Z", "reason": "x"}, ["until"]),
        ({"reason": "x"}, ["until"]),
        ({"until": None}, ["reason"]),
        ({"until": None, "reason": " "}, ["reason"]),
        ({"until": None, "reason": "x", "plan": "vip"}, ["plan"]),
        ({}, ["until", "reason"]),
    ],
)
def test_invalid_grant_change_is_422_with_its_fields(valkey_app: InProcessApp, body: Any, at_fault: list[str]) -> None:
    grant = valkey_app.grant("r", **{"from": "2082-12-20T00:00:00Z"})["id"]
    assert fields(change(valkey_app, grant, body)) == at_fault


def test_revoked_grant_stays_revoked(valkey_app: InProcessApp) -> None:
    grant = valkey_app.grant("r")["id"]
    response = revoke(valkey_app, grant, query_string={"reason": "over"})
    assert (response.status_code, response.get_json()["status"]) == (200, "revoked")
    assert valkey_app.ask("a", reader="r", count=False)["reason"] == "metered"
    assert revoke(valkey_app, grant, query_string={"reason": "again"}).get_json() == response.get_json()
    for body in ({"until": None, "reason": "x"}, {"until": "2020-01-01T00:00:00Z", "reason": "x"}):
        answer = change(valkey_app, grant, body)
        assert (answer.status_code, answer.content_type) == (409, "application/problem+json")
    source = valkey_app.reader("r")["sources"][0]
    assert (source["status"], source["standing"], source["features"]) == ("revoked", "ended", source["features"])


def test_unknown_grant_of_a_reader_is_404(valkey_app: InProcessApp) -> None:
    grant = valkey_app.grant("other")["id"]
    for unknown in (grant, "gr_none", "x" * 200, "%E2%80%AE"):
        assert change(valkey_app, unknown, {"until": None, "reason": "x"}).status_code == 404
        assert revoke(valkey_app, unknown, query_string={"reason": "x"}).status_code == 404


def test_delete_reason_is_accepted_in_body_or_query(valkey_app: InProcessApp) -> None:
    def fresh() -> str:
        found: str = valkey_app.grant("r")["id"]
        return found

    assert revoke(valkey_app, fresh(), query_string={"reason": "ü ber"}).status_code == 200
    for body in ({"reason": "over"}, {"reason": "x" * 1_000}):
        answer = valkey_app.call("DELETE", f"/v1/readers/r/grants/{fresh()}", body, admin=True)
        assert answer.status_code == 200
    both = valkey_app.call("DELETE", f"/v1/readers/r/grants/{fresh()}?reason=q", {"reason": None}, admin=True)
    assert both.status_code == 200
    grant = fresh()
    for query in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 1_001}):
        assert fields(revoke(valkey_app, grant, query_string=query)) == ["reason"]
    for bad in ({}, {"reason": None}, {"reason": ""}, {"reason": 7}):
        assert fields(valkey_app.call("DELETE", f"/v1/readers/r/grants/{grant}", bad, admin=True)) == ["reason"]
    assert fields(revoke(valkey_app, grant, query_string={"reason": "x", "force": "1"})) == ["force"]
    assert fields(valkey_app.call("DELETE", f"/v1/readers/r/grants/{grant}?reason=x", {"why": "x"}, admin=True)) == [
        "why"
    ]
    assert revoke(valkey_app, grant, data=b"reason=x", content_type="text/plain").status_code == 415
    assert valkey_app.reader("r")["access"]


def test_reader_profile_is_complete_and_empty_for_a_stranger(valkey_app: InProcessApp) -> None:
    assert valkey_app.reader("nobody") == {
        "reader": "nobody",
        "access": False,
        "features": [],
        "sources": [],
        "customers": [],
        "meters": [
            {"name": "stories", "limit": 5, "used": 0, "left": 5, "plan": None, "resets_at": "2083-01-01T05:00:00Z"},
            {"name": "rolling", "limit": 2, "used": 0, "left": 2, "plan": None, "resets_at": None},
            {"name": "weekly", "limit": 2, "used": 0, "left": 2, "plan": None, "resets_at": "2082-12-14T05:00:00Z"},
            {"name": "signed_in", "limit": 1, "used": 0, "left": 1, "plan": None, "resets_at": "2082-12-11T05:00:00Z"},
        ],
    }
    grant = valkey_app.grant("r", plan="day_pass", until="2083-01-01T00:00:00Z")
    found = valkey_app.reader("r")
    assert found["access"]
    assert found["features"] == [
        {"feature": "notebook", "until": "2083-01-01T00:00:00Z", "source": f"grant:{grant['id']}"}
    ]
    assert found["sources"] == [
        {
            "type": "grant",
            "id": grant["id"],
            "plan": "day_pass",
            "features": ["notebook"],
            "status": "active",
            "standing": "good",
            "from": "2082-12-10T12:00:00Z",
            "until": "2083-01-01T00:00:00Z",
            "ending": False,
            "confirmed": True,
            "reason": "press card",
            "actor": "ann",
        }
    ]


def test_expired_grant_is_still_listed(valkey_app: InProcessApp) -> None:
    valkey_app.grant("r", until="2082-12-11T00:00:00Z")
    valkey_app.clock.now += 3 * DAY
    found = valkey_app.reader("r")
    assert not found["access"]
    assert [(s["status"], s["standing"]) for s in found["sources"]] == [("expired", "ended")]


def test_reader_at_a_past_time_is_as_it_was(valkey_app: InProcessApp) -> None:
    grant = valkey_app.grant("r", until="2083-01-01T00:00:00Z")["id"]
    valkey_app.clock.at("2082-12-12T12:00:00Z")
    change(valkey_app, grant, {"until": "2082-12-20T00:00:00Z", "reason": "shorter"})
    later = valkey_app.grant("r", features=["no_ads"])["id"]
    valkey_app.clock.at("2082-12-14T12:00:00Z")
    revoke(valkey_app, grant, query_string={"reason": "over"})
    valkey_app.clock.at("2082-12-16T12:00:00Z")

    def then(at: str) -> list[tuple[str, str, str, str | None]]:
        found = valkey_app.reader("r", at)
        return [(s["id"], s["status"], s["standing"], s["until"]) for s in found["sources"]]

    assert then("2082-12-10T11:59:59Z") == []
    assert then("2082-12-10T12:00:00Z") == [(grant, "active", "good", "2083-01-01T00:00:00Z")]
    assert then("2082-12-12T11:59:59Z") == [(grant, "active", "good", "2083-01-01T00:00:00Z")]
    assert sorted(then("2082-12-13T00:00:00Z")) == sorted(
        [(grant, "active", "good", "2082-12-20T00:00:00Z"), (later, "active", "good", None)]
    )
    assert (grant, "revoked", "ended", "2082-12-20T00:00:00Z") in then("2082-12-14T12:00:00Z")
    assert valkey_app.reader("r", "2082-12-14T11:59:59Z")["features"][0]["feature"] == "notebook"
    assert [f["feature"] for f in valkey_app.reader("r", "2082-12-14T12:00:00Z")["features"]] == ["no_ads"]
    assert valkey_app.reader("r", "0001-01-01T00:00:00Z")["sources"] == []


def test_reader_at_a_future_time_assumes_no_change(valkey_app: InProcessApp) -> None:
    valkey_app.grant("r", until="2083-01-01T00:00:00Z")
    valkey_app.grant("r", plan="quiet", **{"from": "2083-02-01T00:00:00Z"})
    for story in ("a", "b"):
        valkey_app.ask(story, reader="s")
        valkey_app.ask({"id": story, "tier": "slow"}, reader="s")
    assert valkey_app.reader("r", "2082-12-31T23:59:59Z")["access"]
    assert not valkey_app.reader("r", "2083-01-01T00:00:00Z")["access"]
    assert [f["feature"] for f in valkey_app.reader("r", "2083-02-01T00:00:00Z")["features"]] == ["no_ads"]
    meters = {m["name"]: m for m in valkey_app.reader("s", "2082-12-31T00:00:00Z")["meters"]}
    assert (meters["stories"]["used"], meters["stories"]["resets_at"]) == (2, "2083-01-01T05:00:00Z")
    assert meters["rolling"]["used"] == 2
    meters = {m["name"]: m for m in valkey_app.reader("s", "2083-01-09T12:00:00Z")["meters"]}
    assert (meters["stories"]["used"], meters["stories"]["resets_at"]) == (0, "2083-02-01T05:00:00Z")
    assert (meters["rolling"]["used"], meters["rolling"]["resets_at"]) == (0, None)
    for far in ("9999-12-31T23:59:59Z", "9999-12-01T00:00:00Z"):
        assert not valkey_app.reader("s", far)["access"]


@pytest.mark.parametrize("at", ["", "yesterday", "2082-12-10", "2082-12-10T12:00:00", "1765368000", "\u202e"])
def test_time_without_offset_is_422(valkey_app: InProcessApp, at: str) -> None:
    assert fields(valkey_app.call("GET", "/v1/readers/r", admin=True, query_string={"at": at})) == ["at"]
    assert fields(valkey_app.call("GET", "/v1/readers/r", admin=True, query_string={"when": at})) == ["when"]


def test_repeat_with_the_same_idempotency_key_gets_the_first_answer(valkey_app: InProcessApp) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = create_grant(valkey_app, GOOD, headers=headers)
    valkey_app.clock.now += 3_600
    again = create_grant(valkey_app, GOOD, headers=headers)
    assert (again.status_code, again.get_json()) == (201, first.get_json())
    assert again.content_type == first.content_type
    assert len(valkey_app.reader("r")["sources"]) == 1
    other = create_grant(valkey_app, {**GOOD, "reason": "another"}, headers=headers)
    assert (other.status_code, other.content_type) == (409, "application/problem+json")
    assert create_grant(valkey_app, GOOD, "s", headers=headers).get_json()["reader"] == "s", (
        "another path is another request"
    )
    assert create_grant(valkey_app, GOOD, headers={"Idempotency-Key": "k-2"}).get_json()["id"] != first.get_json()["id"]


def test_rejected_request_leaves_its_idempotency_key_free(valkey_app: InProcessApp) -> None:
    headers = {"Idempotency-Key": "k"}
    assert create_grant(valkey_app, {**GOOD, "plan": "nope"}, headers=headers).status_code == 422
    assert create_grant(valkey_app, GOOD, headers=headers).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256])
def test_invalid_idempotency_key_is_422(valkey_app: InProcessApp, key: str) -> None:
    assert fields(create_grant(valkey_app, GOOD, headers={"Idempotency-Key": key})) == ["Idempotency-Key"]


def test_concurrent_requests_with_one_idempotency_key_make_one_grant(
    service_app: InProcessApp, all_at_once: AllAtOnce
) -> None:
    service_app.clock.at("2082-12-10T12:00:00Z")
    answers = all_at_once(8, lambda _: create_grant(service_app, GOOD, headers={"Idempotency-Key": "k"}))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.get_json()["id"] for answer in answers}) == 1
    assert len(service_app.reader("r")["sources"]) == 1


def test_concurrent_grant_changes_are_all_applied(service_app: InProcessApp, all_at_once: AllAtOnce) -> None:
    service_app.clock.at("2082-12-10T12:00:00Z")
    grant = service_app.grant("r")["id"]

    def one(number: int) -> int:
        if number == 5:
            return revoke(service_app, grant, query_string={"reason": "over"}).status_code
        until = f"2083-01-{number + 1:02}T00:00:00Z"
        return change(service_app, grant, {"until": until, "reason": str(number)}).status_code

    assert set(all_at_once(10, one)) <= {200, 409}
    assert service_app.reader("r")["sources"][0]["status"] == "revoked"


def test_grant_beyond_the_policy_is_422_with_its_field(make_app: MakeApp, valkey_url: str, policy: str) -> None:
    app = make_app(valkey_url, policy + '\n[grants]\nplans = ["vip"]\nlongest = "30d"\n')
    app.clock.at("2082-12-10T12:00:00Z")
    assert fields(create_grant(app, {**GOOD, "plan": "supporter"})) == ["plan"]
    assert fields(create_grant(app, {"features": ["no_ads"], "reason": "x", "until": "2083-01-01T00:00:00Z"})) == [
        "features"
    ]
    assert fields(create_grant(app, {**GOOD, "until": None})) == ["until"]
    assert fields(create_grant(app, {**GOOD, "until": "2083-01-09T12:00:01Z"})) == ["until"]
    assert create_grant(app, {**GOOD, "until": "2083-01-09T12:00:00Z"}).status_code == 201
