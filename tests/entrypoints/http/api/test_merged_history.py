"""What was true before a merge, asked after it: a reader's past goes with the sources; a decision is told as it was made."""

from __future__ import annotations

from typing import Any

import pytest

from tests.admin_app import House
from tests.entrypoints.http.api.test_decisions import ask, told

END = "2083-06-01T00:00:00Z"


def merge(house: House, stays: str, gone: str) -> None:
    house.done("ann", "POST", f"/v1/readers/{stays}/merge", {"from": gone})


def held(house: House, reader: str, at: str) -> list[tuple[str, str]]:
    sources = house.done("ann", "GET", f"/v1/readers/{reader}", query_string={"at": at})["sources"]
    return [(source["id"], source["status"]) for source in sources]


@pytest.fixture
def merged(house: House) -> dict[str, Any]:
    """Day by day: a grant each to the oldest (20th) and the middle (21st), both merged into the newest (22nd, 23rd)."""
    found: dict[str, Any] = {}
    for day, reader in ((20, "oldest"), (21, "middle")):
        house.app.clock.at(f"2082-11-{day}T10:00:00.000Z")
        found[reader] = house.grant(reader, until=END)["id"]
        house.app.clock.now += 1
        found[f"{reader} decided"] = ask(house, reader=reader)["decision_id"]
    found["before"] = [told(house, found[f"{reader} decided"]) for reader in ("oldest", "middle")]
    house.app.clock.at("2082-11-22T10:00:00Z")
    merge(house, "middle", "oldest")
    house.app.clock.now += 1
    found["between"] = ask(house, reader="oldest")["decision_id"]
    found["told between"] = told(house, found["between"])
    house.app.clock.at("2082-11-23T10:00:00Z")
    merge(house, "newest", "middle")
    house.done("ann", "DELETE", f"/v1/readers/newest/grants/{found['oldest']}?reason=over")
    house.app.clock.at("2082-11-24T10:00:00Z")
    return found


def test_history_of_a_reader_moves_with_a_merge(house: House, merged: dict[str, Any]) -> None:
    oldest, middle = merged["oldest"], merged["middle"]
    for reader in ("oldest", "middle", "newest"):
        assert held(house, reader, "2082-11-19T00:00:00Z") == []
        assert held(house, reader, "2082-11-20T12:00:00Z") == [(oldest, "active")]
        for day in (21, 22):
            assert set(held(house, reader, f"2082-11-{day}T12:00:00Z")) == {(oldest, "active"), (middle, "active")}
        assert set(held(house, reader, "2082-11-23T12:00:00Z")) == {(oldest, "revoked"), (middle, "active")}
    history = house.done("ann", "GET", "/v1/readers/newest/export")["history"]
    causes = [(change["id"], change["cause"].partition(":")[0]) for change in history]
    assert causes[:2] == [(oldest, "audit"), (middle, "audit")]
    assert causes[-1] == (oldest, "audit")
    assert all(change["facts"] is not None for change in history)


def test_decision_from_before_a_merge_is_unchanged(house: House, merged: dict[str, Any]) -> None:
    assert [told(house, merged[f"{reader} decided"]) for reader in ("oldest", "middle")] == merged["before"]
    assert told(house, merged["between"]) == merged["told between"]
    for reader, decided in zip(("oldest", "middle"), merged["before"], strict=True):
        (change,) = decided["explain"][-1]["values"]["changes"]
        assert change["source"] == f"grant:{merged[reader]}"
