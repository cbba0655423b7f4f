"""Test snapshots of a provider's subscriptions: what changes, what is refused, and what stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import TestResponse

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp

NOON = "2082-12-10T12:00:00Z"
LATER = "2083-01-01T05:00:00Z"
HEADER = "id,reader,plan,until"
FIELDS = {"id", "state", "rows", "new", "changed", "ended", "unchanged", "errors"}


@pytest.fixture(autouse=True)
def _at_noon(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at(NOON)


def send(
    app: InProcessApp, rows: Sequence[str] | bytes, query: str = "", *, provider: str = "print", **more: Any
) -> TestResponse:
    """Send a snapshot; let it come into force."""
    body = rows if isinstance(rows, bytes) else "".join(f"{row}\n" for row in [HEADER, *rows]).encode()
    given = {"content_type": "text/csv", **more}
    answer = app.call("PUT", f"/v1/providers/{provider}/snapshot{query}", data=body, admin=True, **given)
    if answer.status_code == 202:
        app.service.imports.finish(answer.get_json()["id"])
    return answer


def counts(answer: TestResponse) -> tuple[int, int, int, int]:
    found = answer.get_json()
    assert answer.status_code in (200, 202), answer.text
    return found["new"], found["changed"], found["ended"], found["unchanged"]


def mistakes(answer: TestResponse) -> list[tuple[int, str]]:
    assert answer.status_code == 422, answer.text
    return [(error["line"], error["field"]) for error in answer.get_json()["errors"]]


def sources(app: InProcessApp, reader: str, at: str | None = None) -> list[tuple[str, str, str, str | None]]:
    return [(one["id"], one["plan"], one["status"], one["until"]) for one in app.reader(reader, at)["sources"]]


def actions(app: InProcessApp) -> list[str]:
    return [one["action"] for one in app.call("GET", "/v1/audit", admin=True).get_json()["items"]][::-1]


TEN = [f"{number},r-{number},supporter," for number in range(10)]


def test_first_snapshot_gives_each_reader_their_plan(valkey_app: InProcessApp) -> None:
    answer = send(valkey_app, ["4711,r-1,supporter,2082-12-31", "4712,r-2,quiet,"])
    assert set(answer.get_json()) >= FIELDS
    assert (answer.status_code, answer.get_json()["rows"], counts(answer)) == (202, 2, (2, 0, 0, 0))
    assert sources(valkey_app, "r-1") == [("print:4711", "supporter", "active", LATER)]
    assert sources(valkey_app, "r-2") == [("print:4712", "quiet", "active", None)]
    assert valkey_app.ask("a", reader="r-1")["reason"] == "subscription"
    found = valkey_app.call("GET", f"/v1/providers/print/snapshot/{answer.get_json()['id']}", admin=True).get_json()
    assert (found["state"], found["provider"], found["rows"]) == ("done", "print", 2)
    assert (found["new"], found["changed"], found["ended"], found["unchanged"]) == (2, 0, 0, 0)
    (record,) = valkey_app.call("GET", "/v1/audit", admin=True).get_json()["items"]
    assert (record["action"], record["reader"], record["target"]) == ("import.apply", None, found["id"])
    assert record["after"] == {"provider": "print", "rows": 2, "new": 2, "changed": 0, "ended": 0, "unchanged": 0}


def test_next_snapshot_changes_only_what_differs(valkey_app: InProcessApp) -> None:
    send(valkey_app, [*TEN, "a,r-1,quiet,2083-06-01"])
    valkey_app.clock.now += 60
    rows = [*TEN[:8], "8,other,supporter,", "a,r-1,quiet,2083-07-01", "b,r-b,quiet,"]
    answer = send(valkey_app, rows)
    assert counts(answer) == (1, 2, 1, 8)
    ended = "2082-12-10T12:01:00Z"
    assert sources(valkey_app, "r-9") == [("print:9", "supporter", "ended", ended)]
    assert sources(valkey_app, "r-9", NOON) == [("print:9", "supporter", "active", None)]
    assert (sources(valkey_app, "r-8"), sources(valkey_app, "other")) == (
        [],
        [("print:8", "supporter", "active", None)],
    )
    assert ("print:a", "quiet", "active", "2083-07-01T04:00:00Z") not in sources(valkey_app, "r-9")
    assert [one["from"] for one in valkey_app.reader("r-1")["sources"]] == [NOON, NOON]
    again = send(valkey_app, rows)
    assert counts(again) == (0, 0, 0, 11)
    assert counts(valkey_app.call("GET", f"/v1/providers/print/snapshot/{again.get_json()['id']}", admin=True)) == (
        0,
        0,
        0,
        11,
    )
    assert actions(valkey_app) == ["import.apply"] * 3


def test_missing_source_runs_again_once_it_is_back(valkey_app: InProcessApp) -> None:
    send(valkey_app, TEN)
    send(valkey_app, TEN[:9])
    valkey_app.clock.now += 60
    assert counts(send(valkey_app, TEN)) == (0, 1, 0, 9)
    assert valkey_app.reader("r-9")["sources"][0]["from"] == "2082-12-10T12:01:00Z"


def test_dry_run_changes_nothing(valkey_app: InProcessApp) -> None:
    send(valkey_app, TEN)
    answer = send(valkey_app, [*TEN[:9], "b,r-b,quiet,"], "?dry_run=true")
    assert (answer.status_code, counts(answer), answer.get_json()["refused"]) == (200, (1, 0, 1, 9), None)
    assert (answer.get_json()["id"], answer.get_json()["state"]) == (None, "staged")
    assert valkey_app.reader("r-9")["access"]
    assert sources(valkey_app, "r-b") == []
    assert len(actions(valkey_app)) == 1
    wrong = send(valkey_app, ["x,r-x,nope,"], "?dry_run=true")
    assert (wrong.status_code, [error["field"] for error in wrong.get_json()["errors"]]) == (200, ["plan"])


def test_snapshot_that_shrank_is_refused_with_both_numbers(valkey_app: InProcessApp) -> None:
    send(valkey_app, TEN)
    send(valkey_app, [*TEN, "over,r-1,quiet,2082-12-01"])  # It has ended already, and does not count.
    answer = send(valkey_app, TEN[:7])
    assert (answer.status_code, answer.get_json()["type"].rpartition(":")[2]) == (409, "largest_drop")
    assert "would end 3 of the 10 running subscriptions" in answer.get_json()["detail"]
    assert valkey_app.reader("r-9")["access"]
    dry = send(valkey_app, TEN[:7], "?dry_run=true").get_json()
    assert (dry["refused"], dry["ended"]) == ("largest_drop", 3)
    assert "3 of the 10" in dry["message"]
    assert send(valkey_app, TEN[:7], "?dry_run=true&force=true").get_json()["refused"] is None
    assert counts(send(valkey_app, TEN[:8])) == (0, 0, 2, 8)
    forced = send(valkey_app, TEN[:1], "?force=true")
    assert counts(forced) == (0, 0, 7, 1)
    newest = valkey_app.call("GET", "/v1/audit", admin=True).get_json()["items"][0]
    assert newest["after"]["forced"] is True


def test_ends_in_the_past_count_as_a_drop(valkey_app: InProcessApp) -> None:
    send(valkey_app, TEN)
    answer = send(valkey_app, [f"{number},r-{number},supporter,2082-01-01" for number in range(10)])
    assert (answer.status_code, "10 of the 10" in answer.get_json()["detail"]) == (409, True)


def test_empty_set_is_refused_unless_forced(valkey_app: InProcessApp) -> None:
    assert counts(send(valkey_app, [])) == (0, 0, 0, 0)
    send(valkey_app, TEN)
    assert send(valkey_app, []).status_code == 409
    assert counts(send(valkey_app, [], "?force=true")) == (0, 0, 10, 0)


def test_wrong_rows_are_all_named_and_nothing_is_applied(valkey_app: InProcessApp) -> None:
    rows = [
        "1,r-1,supporter,",
        ",r/2,nope,soon",
        "3,r-3,supporter",
        "1,r-4,supporter,",
        " 5,r-5,supporter,",
        "6,,quiet,",
    ]
    answer = send(valkey_app, rows)
    assert mistakes(answer) == [
        (3, "id"),
        (3, "reader"),
        (3, "plan"),
        (3, "until"),
        (4, "row"),
        (5, "id"),
        (6, "id"),
        (7, "reader"),
    ]
    assert "duplicate of line 2" in answer.text
    assert sources(valkey_app, "r-1") == []


@pytest.mark.parametrize(
    ("body", "line", "field"),
    [
        (b"", 1, "header"),
        (b"reader,id,plan,until\n", 1, "header"),
        (b"id,reader,plan\n", 1, "header"),
        (b"id,reader,plan,until\n1,r-1,supporter,\n2,r-2,suppo", 3, "row"),
        (b"id,reader,plan,until\n1,r-1,supporter,2083-0", 2, "until"),
        (b'id,reader,plan,until\n1,"r-1,supporter,\n2,r-2,supporter,\n', 2, "row"),
        (b"id,reader,plan,until\n1,r-\xe9,supporter,\n", 2, "row"),
        (b"id,reader,plan,until\n1,r-1,supporter,,\n", 2, "row"),
        (b"id,reader,plan,until\n1,r-1,supporter,2083-02-30\n", 2, "until"),
        (b"id,reader,plan,until\n" + b"x" * 129 + b",r-1,supporter,\n", 2, "id"),
        (b"id,reader,plan,until\n1,r\xe2\x80\xae1,supporter,\n", 2, "reader"),
    ],
)
def test_damaged_file_is_refused_whole_with_the_line(
    valkey_app: InProcessApp, body: bytes, line: int, field: str
) -> None:
    assert mistakes(send(valkey_app, body)) == [(line, field)]
    assert sources(valkey_app, "r-1") == []


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbfid;reader;plan;until\r\n1;r-1;supporter;2082-12-31\r\n\r\n",
        b'id,reader,plan,until\n"1","r-1","supporter","2083-01-01T00:00:00-05:00"',
        b"id,reader,plan,until\n1,r-1,supporter,521h\n",
    ],
)
def test_file_as_spreadsheets_write_it_is_taken(valkey_app: InProcessApp, body: bytes) -> None:
    assert counts(send(valkey_app, body)) == (1, 0, 0, 0)
    assert sources(valkey_app, "r-1") == [("print:1", "supporter", "active", LATER)]


def test_requests_that_fit_no_snapshot_are_refused(valkey_app: InProcessApp) -> None:
    assert send(valkey_app, TEN, provider="paper").status_code == 404
    assert send(valkey_app, TEN, content_type="application/json").status_code == 415
    assert send(valkey_app, TEN, "?force=yes").status_code == 422
    assert send(valkey_app, TEN, "?undo=true").status_code == 422
    done = send(valkey_app, TEN).get_json()["id"]
    for path in (
        f"/v1/providers/appstore/snapshot/{done}",
        f"/v1/grants/import/{done}",
        "/v1/providers/print/snapshot/x",
    ):
        assert valkey_app.call("GET", path, admin=True).status_code == 404
    assert valkey_app.call("DELETE", f"/v1/providers/print/snapshot/{done}", admin=True).status_code == 405
    assert valkey_app.call("DELETE", f"/v1/grants/import/{done}?reason=x", admin=True).status_code == 404


def test_single_reports_and_snapshots_are_of_one_set(valkey_app: InProcessApp) -> None:
    path = "/v1/readers/r-1/external/print/77"
    valkey_app.call("PUT", path, {"plan": "supporter", "until": None}, admin=True)
    valkey_app.call("PUT", "/v1/readers/r-1/external/appstore/77", {"plan": "quiet", "until": None}, admin=True)
    assert counts(send(valkey_app, ["77,r-1,supporter,"])) == (0, 0, 0, 1)
    valkey_app.call("DELETE", path, admin=True)
    assert counts(send(valkey_app, ["77,r-1,supporter,"])) == (0, 1, 0, 0)
    send(valkey_app, [], "?force=true")
    assert [(name, status) for name, _, status, _ in sources(valkey_app, "r-1")] == [
        ("appstore:77", "active"),
        ("print:77", "ended"),
    ]


def test_merged_id_in_a_snapshot_means_the_reader_who_stays(valkey_app: InProcessApp) -> None:
    send(valkey_app, ["1,old,supporter,", "2,new,quiet,"])
    assert valkey_app.call("POST", "/v1/readers/new/merge", {"from": "old"}, admin=True).status_code == 200
    assert counts(send(valkey_app, ["1,old,supporter,", "2,new,quiet,"])) == (0, 0, 0, 2)
    assert counts(send(valkey_app, ["1,new,supporter,", "2,old,supporter,", "3,old,quiet,"])) == (1, 1, 0, 1)
    found = [(name, plan, status) for name, plan, status, _ in sources(valkey_app, "new")]
    assert found == [
        ("print:1", "supporter", "active"),
        ("print:2", "supporter", "active"),
        ("print:3", "quiet", "active"),
    ]
    send(valkey_app, [], "?force=true")
    assert {status for _, _, status, _ in sources(valkey_app, "old")} == {"ended"}


def test_no_snapshot_brings_an_erased_reader_back(valkey_app: InProcessApp) -> None:
    send(valkey_app, TEN)
    assert valkey_app.call("DELETE", "/v1/readers/r-3?reason=asked", admin=True).status_code == 409
    assert valkey_app.call("DELETE", "/v1/readers/r-3?reason=asked&force=true", admin=True).status_code == 200
    answer = send(valkey_app, [*TEN, "x,r-3,quiet,"])
    assert (counts(answer), answer.get_json()["skipped"]) == ((0, 0, 0, 9), 2)
    moved = send(valkey_app, [*TEN[:4], "4,r-3,supporter,", *TEN[5:]])
    assert counts(moved) == (0, 0, 1, 8)
    assert sources(valkey_app, "r-3") == []
    assert not valkey_app.reader("r-4")["access"]
    valkey_app.call("PUT", "/v1/readers/r-3/external/print/3", {"plan": "quiet", "until": None}, admin=True)
    assert counts(send(valkey_app, [*TEN[:4], *TEN[5:]])) == (0, 1, 0, 8)
    assert sources(valkey_app, "r-3") == [("print:3", "supporter", "active", None)]


def test_lists_show_what_a_snapshot_changed(valkey_app: InProcessApp) -> None:
    valkey_app.service.reader_lists.prepare()
    send(valkey_app, TEN)
    send(valkey_app, TEN[:9])
    valkey_app.service.reader_lists.prepare()
    query = "/v1/readers?source=external&standing=ended"
    (listed,) = valkey_app.call("GET", query, admin=True).get_json()["items"]
    assert (listed["reader"], listed["access"]) == ("r-9", False)
