"""Test `GET /v1/audit`: newest first, in pages, filtered, as JSON or as CSV without formulas."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from service.adapters.redis.audit.chain import PUBLIC_FIELDS
from service.entrypoints.http.lists import csv_cell
from tests.admin_app import Admins
from tests.in_process_app import InProcessApp


@pytest.fixture
def busy(admins: Admins) -> Admins:
    """Make twelve entries: ten grants to three readers by two admins, a key, and a revocation."""
    for number in range(10):
        admins.app.clock.now += 1
        admins.grant(f"r-{number % 3}", who=("ann", "ben")[number % 2], reason=f"reason {number}")
    admins.make_key("desk", "viewer")
    grant = admins.app.reader("r-1")["sources"][0]["id"]
    admins.call_json("cyd", "DELETE", f"/v1/readers/r-1/grants/{grant}?reason=over")
    return admins


def test_audit_entries_are_newest_first_with_all_fields(busy: Admins) -> None:
    found = busy.audit()
    assert [entry["seq"] for entry in found] == list(range(12, 0, -1))
    assert all(tuple(entry) == PUBLIC_FIELDS for entry in found)
    assert found[-1]["from_ip"] == "127.0.0.1"
    assert (found[-1]["prev"], found[-2]["prev"]) == ("0" * 64, found[-1]["hash"])


@pytest.mark.parametrize("limit", [1, 5, 11, 12, 13, 100])
def test_audit_pages_are_complete_and_end(busy: Admins, limit: int) -> None:
    assert [entry["seq"] for entry in busy.list_all("/v1/audit", limit=limit)] == list(range(12, 0, -1))


def test_audit_page_is_stable_while_the_log_grows(busy: Admins) -> None:
    first = busy.call_json("ann", "GET", "/v1/audit", query_string={"limit": 5})
    busy.grant("r-9")
    rest = busy.call_json("ann", "GET", "/v1/audit", query_string={"limit": 5, "after": first["next"]})
    assert [entry["seq"] for entry in rest["items"]] == [7, 6, 5, 4, 3]


@pytest.mark.parametrize(
    ("query", "seqs"),
    [
        ({"reader": "r-1"}, [12, 8, 5, 2]),
        ({"actor": "ben"}, [10, 8, 6, 4, 2]),
        ({"action": "key.create"}, [11]),
        ({"target": "desk"}, [11]),
        ({"reader": "r-1", "actor": "ben"}, [8, 2]),
        ({"reader": "nobody"}, []),
    ],
)
def test_audit_filters_select_the_matching_entries(busy: Admins, query: dict[str, str], seqs: list[int]) -> None:
    assert [entry["seq"] for entry in busy.list_all("/v1/audit", limit=2, **query)] == seqs


@pytest.mark.full
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=", "limit"),
        ("limit=1.0", "limit"),
        ("limit=-1", "limit"),
        ("limit=²", "limit"),
        ("limit=1&limit=2", "limit"),
        ("after=", "after"),
        ("after=5", "after"),
        ("after=YXVkaXQ6Mx", "after"),
        ("after=a2V5czoz", "after"),
        ("after=YXVkaXQ6LTE", "after"),
        ("after=ü", "after"),
        ("reader=", "reader"),
        ("colour=red", "colour"),
    ],
)
def test_invalid_audit_parameter_is_422_with_its_name(valkey_app: InProcessApp, query: str, field: str) -> None:
    answer = valkey_app.call("GET", f"/v1/audit?{query}", admin=True)
    assert (answer.status_code, [error["field"] for error in answer.get_json()["errors"]]) == (422, [field])


def test_audit_answer_has_the_head_for_verify(busy: Admins) -> None:
    answer = busy.call("ann", "GET", "/v1/audit?limit=1")
    (newest,) = answer.get_json()["items"]
    assert answer.headers["X-Audit-Head"] == f"{newest['seq']}:{newest['hash']}"
    assert answer.headers["Cache-Control"] == "private, no-store"


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_audit_is_sent_as_csv_when_accepted(busy: Admins) -> None:
    answer = busy.call("ann", "GET", "/v1/audit?limit=5", headers={"Accept": "text/csv"})
    assert answer.content_type.startswith("text/csv; charset=utf-8")
    rows = table(answer.text)
    assert [row["seq"] for row in rows] == ["12", "11", "10", "9", "8"]
    assert list(rows[0]) == list(PUBLIC_FIELDS)
    assert rows[1]["after"] == '{"role":"viewer"}'
    assert 'rel="next"' in answer.headers["Link"]
    following = answer.headers["Link"].partition("<")[2].partition(">")[0]
    rows = table(busy.call("ann", "GET", following, headers={"Accept": "text/csv"}).text)
    assert [row["seq"] for row in rows] == ["7", "6", "5", "4", "3"]


@pytest.mark.parametrize(
    ("accept", "mimetype"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/csv;q=0.5, application/json", "application/json"),
        ("text/csv; charset=utf-8; q=0.5, application/json", "application/json"),
        ("text/html,*/*;q=0.8", "application/json"),
        ("text/csv; charset=utf-8", "text/csv"),
        ("Text/CSV;header=present, application/json;q=0.9", "text/csv"),
    ],
)
def test_audit_is_sent_as_csv_only_when_that_is_preferred(valkey_app: InProcessApp, accept: str, mimetype: str) -> None:
    answer = valkey_app.call("GET", "/v1/audit", admin=True, headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, mimetype)


def test_no_csv_cell_is_a_formula(valkey_app: InProcessApp) -> None:
    reasons = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x";"y")']
    for reason in reasons:
        valkey_app.grant(f"={reason.strip()[:3]}", reason=reason)
    rows = table(valkey_app.call("GET", "/v1/audit", admin=True, headers={"Accept": "text/csv"}).text)
    assert [row["reason"] for row in rows] == [f"'{reason}" for reason in reversed(reasons)]
    assert all(row["reader"].startswith("'=") for row in rows)


def test_csv_cell_is_escaped_by_its_type() -> None:
    values: list[Any] = [None, "", "a", 5, -5, True, {"a": [1]}, [], "=", "a=", "'=", 'ü,"\n']
    assert [csv_cell(value) for value in values] == [
        "",
        "",
        "a",
        "5",
        "'-5",
        "true",
        '{"a":[1]}',
        "[]",
        "'=",
        "a=",
        "'=",
        'ü,"\n',
    ]


def test_keys_and_approvals_are_sent_as_csv(admins: Admins) -> None:
    admins.make_key("=desk", "viewer")
    (row,) = table(admins.call("ann", "GET", "/v1/keys", headers={"Accept": "text/csv"}).text)
    assert (row["name"], row["role"]) == ("'=desk", "viewer")
    assert admins.call("ann", "GET", "/v1/approvals", headers={"Accept": "text/csv"}).text.startswith("approval,state,")


def test_damaged_audit_record_is_listed(busy: Admins) -> None:
    service = busy.app.service
    service.store.link.call(service.store.keys.audit_log, b"HSET", service.store.keys.audit_log, 3, b"{")
    service.store.link.call(service.store.keys.audit_log, b"HDEL", service.store.keys.audit_log, 5)
    found = busy.audit()
    assert [entry["seq"] for entry in found] == [12, 11, 10, 9, 8, 7, 6, 4, 3, 2, 1]
    assert found[8]["action"] is None
