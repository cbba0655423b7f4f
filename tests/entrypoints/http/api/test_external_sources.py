"""Test single subscriptions of other providers: put, end, move, merge, erase, and wherever else a source is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import TestResponse

from service.adapters.redis.client.keys import reader_hash
from tests.running_service import POLICY

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp

UNTIL = "2083-01-01T00:00:00Z"
NOON = "2082-12-10T12:00:00Z"


@pytest.fixture(autouse=True)
def _at_noon(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at(NOON)


def put(app: InProcessApp, reader: str = "r", name: str = "print/77", **body: Any) -> TestResponse:
    return app.call(
        "PUT", f"/v1/readers/{reader}/external/{name}", {"plan": "supporter", "until": UNTIL, **body}, admin=True
    )


def end(app: InProcessApp, reader: str = "r", name: str = "print/77", **more: Any) -> TestResponse:
    return app.call("DELETE", f"/v1/readers/{reader}/external/{name}", admin=True, **more)


def audit(app: InProcessApp) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = app.call("GET", "/v1/audit", admin=True).get_json()["items"]
    return items[::-1]


def sources(app: InProcessApp, reader: str = "r", at: str | None = None) -> list[tuple[str, str, str]]:
    return [(one["id"], one["status"], one["until"]) for one in app.reader(reader, at)["sources"]]


def test_put_gives_the_plan_and_is_answered_with_the_source(service_app: InProcessApp) -> None:
    service_app.clock.at(NOON)
    answer = put(service_app)
    assert (answer.status_code, answer.get_json()) == (
        200,
        {
            "reader": "r",
            "type": "external",
            "id": "print:77",
            "plan": "supporter",
            "features": ["notebook", "no_ads", "no_autoplay", "newsmaker_events"],
            "status": "active",
            "standing": "good",
            "from": NOON,
            "until": UNTIL,
            "ending": False,
            "confirmed": True,
            "reason": "subscription",
            "actor": None,
        },
    )
    found = service_app.reader("r")
    assert found["access"]
    assert found["sources"] == [{name: value for name, value in answer.get_json().items() if name != "reader"}]
    assert found["features"][0]["source"] == "external:print:77"
    decided = service_app.ask("a", reader="r")
    assert (decided["show"], decided["reason"], decided["until"]) == ("full", "subscription", UNTIL)
    assert decided["source"] == {"type": "external", "id": "print:77", "plan": "supporter"}


def test_repeated_put_changes_nothing_and_leaves_no_record(valkey_app: InProcessApp) -> None:
    first = put(valkey_app)
    valkey_app.clock.now += 60
    again = put(valkey_app, until="2083-01-01T01:00:00+01:00")
    assert again.get_json() == first.get_json()
    (record,) = audit(valkey_app)
    assert (record["action"], record["reader"], record["target"]) == ("external.put", "r", "print:77")
    assert (record["before"], record["after"]) == (None, {"plan": "supporter", "until": UNTIL, "status": "active"})


def test_changed_end_is_recorded_with_the_changed_field_alone(valkey_app: InProcessApp) -> None:
    put(valkey_app)
    assert put(valkey_app, until=None).get_json()["until"] is None
    assert audit(valkey_app)[1]["before"] == {"until": UNTIL}
    assert audit(valkey_app)[1]["after"] == {"until": None}
    assert put(valkey_app, plan="quiet").get_json()["features"] == ["no_ads"]
    left_out = valkey_app.call("PUT", "/v1/readers/r/external/print/77", {"plan": "supporter"}, admin=True)
    assert left_out.get_json()["until"] is None


def test_source_ends_by_itself_at_its_end(valkey_app: InProcessApp) -> None:
    put(valkey_app)
    valkey_app.clock.at("2082-12-31T23:59:59Z")
    assert valkey_app.ask("a", reader="r")["refresh_after"] == UNTIL
    valkey_app.clock.at(UNTIL)
    assert valkey_app.ask("a", reader="r", count=False)["reason"] == "metered"
    (source,) = valkey_app.reader("r")["sources"]
    assert (source["status"], source["standing"], source["until"]) == ("ended", "ended", UNTIL)


def test_end_in_the_past_is_stored_as_ended(valkey_app: InProcessApp) -> None:
    answer = put(valkey_app, until="2082-12-01T00:00:00Z")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "ended")
    assert not valkey_app.reader("r")["access"]


def test_deleted_source_ends_at_once_and_once(valkey_app: InProcessApp) -> None:
    put(valkey_app)
    valkey_app.clock.now += 60
    answer = end(valkey_app, query_string={"reason": "refunded"})
    found = answer.get_json()
    assert (found["status"], found["standing"], found["until"]) == ("ended", "ended", "2082-12-10T12:01:00Z")
    assert not valkey_app.reader("r")["access"]
    valkey_app.clock.now += 60
    assert end(valkey_app).get_json() == found
    _, record = audit(valkey_app)
    assert (record["action"], record["reader"], record["reason"]) == ("external.end", "r", "refunded")
    assert record["before"] == {"until": UNTIL, "status": "active"}
    assert record["after"] == {"until": "2082-12-10T12:01:00Z", "status": "ended"}
    assert sources(valkey_app, at=NOON) == [("print:77", "active", UNTIL)]
    valkey_app.clock.now += 60
    assert put(valkey_app).get_json()["from"] == "2082-12-10T12:03:00Z"
    assert valkey_app.reader("r")["access"]


def test_unknown_provider_source_or_owner_is_not_found(valkey_app: InProcessApp) -> None:
    assert put(valkey_app, name="paper/77").status_code == 404
    assert end(valkey_app, name="paper/77").status_code == 404
    assert end(valkey_app).status_code == 404
    put(valkey_app)
    assert end(valkey_app, reader="other").status_code == 404
    assert end(valkey_app, name="appstore/77").status_code == 404
    detail = put(valkey_app, name="paper/77").get_json()["detail"]
    assert detail == "paywall.toml has no such provider; there are print, googleplay, appstore."


@pytest.mark.parametrize(
    ("body", "at_fault"),
    [
        ({"plan": "nope"}, "plan"),
        ({"plan": None}, "plan"),
        ({"plan": 7}, "plan"),
        ({"until": "2083-01-01"}, "until"),
        ({"until": "30d"}, "until"),
        ({"until": 7}, "until"),
        ({"until": ""}, "until"),
        ({"reason": "x"}, "reason"),
    ],
)
def test_wrong_field_is_named(valkey_app: InProcessApp, body: dict[str, Any], at_fault: str) -> None:
    answer = put(valkey_app, **body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.get_json()["errors"]] == [at_fault]
    assert sources(valkey_app) == []


@pytest.mark.parametrize(
    ("name", "shown"), [("print/2026%2F77", "print:2026/77"), ("print/a:b", "print:a:b"), ("print/%C3%A9", "print:é")]
)
def test_id_of_the_provider_may_hold_any_visible_character(valkey_app: InProcessApp, name: str, shown: str) -> None:
    assert put(valkey_app, name=name).get_json()["id"] == shown
    assert end(valkey_app, name=name).get_json()["status"] == "ended"


@pytest.mark.parametrize("name", ["print/%20a", "print/a%00b", "print/" + "x" * 129])
def test_impossible_id_is_refused(valkey_app: InProcessApp, name: str) -> None:
    assert put(valkey_app, name=name).status_code == 422


def test_source_that_moves_is_the_new_readers_alone(valkey_app: InProcessApp) -> None:
    put(valkey_app)
    valkey_app.clock.now += 60
    assert put(valkey_app, reader="other").get_json()["from"] == "2082-12-10T12:01:00Z"
    assert sources(valkey_app) == []
    assert sources(valkey_app, "other") == [("print:77", "active", UNTIL)]
    assert [(one["action"], one["reader"]) for one in audit(valkey_app)][1:] == [
        ("external.put", "other"),
        ("external.end", "r"),
    ]
    put(valkey_app)
    assert sources(valkey_app) == [("print:77", "active", UNTIL)]
    assert sources(valkey_app, "other") == []


def test_ended_source_that_moves_did_not_end_again(valkey_app: InProcessApp) -> None:
    put(valkey_app)
    end(valkey_app)
    valkey_app.clock.now += 60
    put(valkey_app, reader="other")
    assert [(one["action"], one["reader"]) for one in audit(valkey_app)] == [
        ("external.put", "r"),
        ("external.end", "r"),
        ("external.put", "other"),
    ]
    assert sources(valkey_app) == []
    assert sources(valkey_app, at="2082-12-10T12:00:30Z") == [("print:77", "ended", NOON)]


def test_merged_id_means_the_reader_who_stays(valkey_app: InProcessApp) -> None:
    put(valkey_app, reader="old")
    merged = valkey_app.call("POST", "/v1/readers/new/merge", {"from": "old"}, admin=True)
    assert merged.status_code == 200
    assert sources(valkey_app, "new") == [("print:77", "active", UNTIL)]
    count = len(audit(valkey_app))
    put(valkey_app, reader="old")
    put(valkey_app, reader="new")
    assert len(audit(valkey_app)) == count
    put(valkey_app, reader="old", name="print/78")
    assert [name for name, *_ in sources(valkey_app, "new")] == ["print:77", "print:78"]
    end(valkey_app, reader="old")
    assert sources(valkey_app, "new")[1][:2] == ("print:77", "ended")


def test_reader_with_a_running_source_is_erased_only_by_force(valkey_app: InProcessApp) -> None:
    put(valkey_app)
    refused = valkey_app.call("DELETE", "/v1/readers/r?reason=asked", admin=True)
    assert (refused.status_code, "print:77" in refused.get_json()["detail"]) == (409, True)
    erased = valkey_app.call("DELETE", "/v1/readers/r?reason=asked&force=true", admin=True)
    assert erased.status_code == 200
    assert sources(valkey_app) == []
    assert valkey_app.service.provider_sources.find("print", "77") is None
    assert put(valkey_app, reader="other").status_code == 200
    put(valkey_app, reader="done", name="print/78", until="2082-12-01T00:00:00Z")
    assert valkey_app.call("DELETE", "/v1/readers/done?reason=asked", admin=True).status_code == 200


def test_lists_export_and_account_page_show_the_source(valkey_app: InProcessApp) -> None:
    put(valkey_app)
    valkey_app.service.reader_lists.prepare()
    listed = valkey_app.call("GET", "/v1/readers?source=external", admin=True).get_json()["items"]
    assert [(one["reader"], one["sources"], one["plans"]) for one in listed] == [("r", ["external"], ["supporter"])]
    exported = valkey_app.call("GET", "/v1/readers/r/export", admin=True).get_json()
    assert [(change["type"], change["id"]) for change in exported["history"]] == [("external", "print:77")]
    assert exported["history"][0]["facts"]["plan"] == "supporter"
    summary = valkey_app.call("GET", "/v1/readers/r/summary").get_json()
    assert summary["plans"] == [{"plan": "supporter", "name": "Supporter", "until": UNTIL, "renews": False}]


def test_end_removes_the_reader_from_what_is_known_for_an_outage(valkey_app: InProcessApp) -> None:
    put(valkey_app)
    valkey_app.ask("a", reader="r")
    known, tag = valkey_app.service.recent_entitlements, reader_hash("r")
    assert known.features(tag, valkey_app.clock.now)
    end(valkey_app)
    assert known.features(tag, valkey_app.clock.now) == ()


def test_plan_of_a_provider_raises_the_limit_of_a_meter(make_app: MakeApp, valkey_url: str) -> None:
    app = make_app(valkey_url, POLICY + '[plans.weekend]\nname = "Weekend"\nfeatures = []\nmeters = { stories = 20 }\n')
    app.clock.at(NOON)
    assert put(app, plan="weekend").status_code == 200
    meter = app.ask("a", reader="r")["meter"]
    assert (meter["limit"], meter["plan"]) == (20, "weekend")
    end(app)
    assert app.ask("b", reader="r")["meter"]["limit"] == 5


def test_running_sources_are_counted_by_plan(valkey_app: InProcessApp) -> None:
    put(valkey_app)
    put(valkey_app, name="print/78", plan="quiet")
    put(valkey_app, name="print/79", plan="quiet", until="2082-12-01T00:00:00Z")
    valkey_app.service.maintenance.entitlement_counts.run(valkey_app.clock.now)
    today = valkey_app.call("GET", "/v1/activity", admin=True).get_json()["days"][-1]
    assert today["entitlements"] == [{"plan": "quiet", "count": 1}, {"plan": "supporter", "count": 1}]
