"""Undoing an import, over HTTP: it takes back what the import gave, and nothing else."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.admin_app import House
from tests.use_cases.grants.imports.conftest import take, undo
from tests.use_cases.grants.imports.test_imports import LATE, SOON, ends


def changed(house: House, reader: str, until: str) -> None:
    (grant,) = house.app.service.grants.list_for_reader(reader)
    house.done("ben", "PATCH", f"/v1/readers/{reader}/grants/{grant.id}", {"until": until, "reason": "by hand"})


def test_undo_revokes_new_grants_and_restores_extended_ones(house: House) -> None:
    grant = house.grant("r-1", until=SOON)
    told = undo(house, take(house, f"r-1,vip,{LATE},a", "r-2,vip,never,b"))
    assert (told["state"], told["undo"]) == ("undone", {"taken_back": 2, "left_alone": 0})
    assert ends(house, "r-1") == [(SOON, "active")]
    assert house.app.service.grants.list_for_reader("r-1")[0].id == grant["id"]
    assert ends(house, "r-2") == [("never", "revoked")]
    assert not house.app.reader("r-2")["access"]


def test_undo_keeps_grants_changed_or_revoked_since(house: House) -> None:
    house.grant("r-1", until=SOON)
    told = take(house, *(f"r-{n},vip,{LATE},a" for n in (1, 2, 3)))
    for reader, method, body in [
        ("r-1", "PATCH", {"until": "2085-01-01T00:00:00Z", "reason": "by hand"}),
        ("r-2", "PATCH", {"until": SOON, "reason": "by hand"}),
        ("r-3", "DELETE", {"reason": "by hand"}),
    ]:
        (grant,) = house.app.service.grants.list_for_reader(reader)
        house.done("ben", method, f"/v1/readers/{reader}/grants/{grant.id}", body)
    assert undo(house, told)["undo"] == {"taken_back": 0, "left_alone": 3}
    assert ends(house, "r-1") == [("2085-01-01T00:00:00Z", "active")]
    assert ends(house, "r-2") == [(SOON, "active")]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_imports_of_the_same_readers_are_undone_in_any_order(house: House, order: tuple[int, ...]) -> None:
    dates = ["2083-02-01T00:00:00Z", "2083-03-01T00:00:00Z", "2083-04-01T00:00:00Z"]
    house.grant("r-had", until=SOON)
    given = [take(house, f"r-had,vip,{end},a", f"r-new,vip,{end},a") for end in dates]
    left = [SOON, *dates]
    for place in order:
        undo(house, given[place])
        left.remove(dates[place])
        assert ends(house, "r-had") == [(max(left), "active")], "the end that it would have without what was undone"
        assert house.app.reader("r-new")["access"] == (len(left) > 1)
    assert ends(house, "r-had") == [(SOON, "active")]
    assert not house.app.reader("r-new")["access"], "nobody gives it any more"


def test_undo_keeps_manual_changes_between_or_after_imports(house: House) -> None:
    first = take(house, f"r-1,vip,{SOON},a", f"r-2,vip,{SOON},a")
    for reader in ("r-1", "r-2"):
        changed(house, reader, "2082-12-20T00:00:00Z")
    second = take(house, f"r-1,vip,{LATE},b", f"r-2,vip,{LATE},b")
    for end in (SOON, LATE):
        changed(house, "r-2", end)
    assert undo(house, first)["undo"] == {"taken_back": 0, "left_alone": 2}
    assert undo(house, second)["undo"] == {"taken_back": 1, "left_alone": 1}
    assert ends(house, "r-1") == [("2082-12-20T00:00:00Z", "active")]
    assert ends(house, "r-2") == [(LATE, "active")], "also where it was changed and changed back"


def test_undo_needs_a_reason_and_a_known_import_and_works_once(house: House) -> None:
    told = take(house, "r-1,vip,never,a")
    house.done("ann", "DELETE", f"/v1/grants/import/{told['id']}", status=422)
    house.done("ann", "DELETE", "/v1/grants/import/im_none?reason=x", status=404)
    house.done("ann", "GET", "/v1/grants/import/im_none", status=404)
    undo(house, told)
    again = house.done("ann", "DELETE", f"/v1/grants/import/{told['id']}?reason=x", status=409)
    assert again["type"] == "urn:paywall:problem:import-undone"


def test_undo_follows_a_reader_merged_since(house: House) -> None:
    told = take(house, "old,vip,never,a")
    house.done("ann", "POST", "/v1/readers/heir/merge", {"from": "old"})
    assert house.app.reader("heir")["access"]
    assert undo(house, told)["undo"] == {"taken_back": 1, "left_alone": 0}
    assert not house.app.reader("heir")["access"]
