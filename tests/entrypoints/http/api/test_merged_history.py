"""Test history after a merge: it moves with the sources, and decisions stay as they were made."""

from __future__ import annotations

from typing import Any

import pytest

from tests.admin_app import Admins
from tests.entrypoints.http.api.test_decisions import ask, get_decision

END = "2083-06-01T00:00:00Z"


def merge(admins: Admins, stays: str, gone: str) -> None:
    admins.call_json("ann", "POST", f"/v1/readers/{stays}/merge", {"from": gone})


def held(admins: Admins, reader: str, at: str) -> list[tuple[str, str]]:
    sources = admins.call_json("ann", "GET", f"/v1/readers/{reader}", query_string={"at": at})["sources"]
    return [(source["id"], source["status"]) for source in sources]


@pytest.fixture
def merged(admins: Admins) -> dict[str, Any]:
    """Grant to the oldest (20th) and the middle reader (21st), and merge both into the newest (22nd, 23rd)."""
    found: dict[str, Any] = {}
    for day, reader in ((20, "oldest"), (21, "middle")):
        admins.app.clock.at(f"2082-11-{day}T10:00:00.000Z")
        found[reader] = admins.grant(reader, until=END)["id"]
        admins.app.clock.now += 1
        found[f"{reader} decided"] = ask(admins, reader=reader)["decision_id"]
    found["before"] = [get_decision(admins, found[f"{reader} decided"]) for reader in ("oldest", "middle")]
    admins.app.clock.at("2082-11-22T10:00:00Z")
    merge(admins, "middle", "oldest")
    admins.app.clock.now += 1
    found["between"] = ask(admins, reader="oldest")["decision_id"]
    found["between decided"] = get_decision(admins, found["between"])
    admins.app.clock.at("2082-11-23T10:00:00Z")
    merge(admins, "newest", "middle")
    admins.call_json("ann", "DELETE", f"/v1/readers/newest/grants/{found['oldest']}?reason=over")
    admins.app.clock.at("2082-11-24T10:00:00Z")
    return found


def test_history_of_a_reader_moves_with_a_merge(admins: Admins, merged: dict[str, Any]) -> None:
    oldest, middle = merged["oldest"], merged["middle"]
    for reader in ("oldest", "middle", "newest"):
        assert held(admins, reader, "2082-11-19T00:00:00Z") == []
        assert held(admins, reader, "2082-11-20T12:00:00Z") == [(oldest, "active")]
        for day in (21, 22):
            assert set(held(admins, reader, f"2082-11-{day}T12:00:00Z")) == {(oldest, "active"), (middle, "active")}
        assert set(held(admins, reader, "2082-11-23T12:00:00Z")) == {(oldest, "revoked"), (middle, "active")}
    history = admins.call_json("ann", "GET", "/v1/readers/newest/export")["history"]
    causes = [(change["id"], change["cause"].partition(":")[0]) for change in history]
    assert causes[:2] == [(oldest, "audit"), (middle, "audit")]
    assert causes[-1] == (oldest, "audit")
    assert all(change["facts"] is not None for change in history)


def test_decision_from_before_a_merge_is_unchanged(admins: Admins, merged: dict[str, Any]) -> None:
    assert [get_decision(admins, merged[f"{reader} decided"]) for reader in ("oldest", "middle")] == merged["before"]
    assert get_decision(admins, merged["between"]) == merged["between decided"]
    for reader, decided in zip(("oldest", "middle"), merged["before"], strict=True):
        (change,) = decided["explain"][-1]["values"]["changes"]
        assert change["source"] == f"grant:{merged[reader]}"
