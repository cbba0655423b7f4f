"""Test undo over HTTP: it revokes only what the import gave."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.admin_app import Admins
from tests.use_cases.grants.imports.conftest import LATE, SOON, ends, import_rows, undo


def changed(admins: Admins, reader: str, until: str) -> None:
    (grant,) = admins.app.service.grants.list_for_reader(reader)
    admins.call_json("ben", "PATCH", f"/v1/readers/{reader}/grants/{grant.id}", {"until": until, "reason": "by hand"})


def test_undo_revokes_new_grants_and_restores_extended_ones(admins: Admins) -> None:
    grant = admins.grant("r-1", until=SOON)
    imported = undo(admins, import_rows(admins, f"r-1,vip,{LATE},a", "r-2,vip,never,b"))
    assert (imported["state"], imported["undo"]) == ("undone", {"taken_back": 2, "left_alone": 0})
    assert ends(admins, "r-1") == [(SOON, "active")]
    assert admins.app.service.grants.list_for_reader("r-1")[0].id == grant["id"]
    assert ends(admins, "r-2") == [("never", "revoked")]
    assert not admins.app.reader("r-2")["access"]


def test_undo_keeps_grants_changed_or_revoked_since(admins: Admins) -> None:
    admins.grant("r-1", until=SOON)
    imported = import_rows(admins, *(f"r-{n},vip,{LATE},a" for n in (1, 2, 3)))
    for reader, method, body in [
        ("r-1", "PATCH", {"until": "2085-01-01T00:00:00Z", "reason": "by hand"}),
        ("r-2", "PATCH", {"until": SOON, "reason": "by hand"}),
        ("r-3", "DELETE", {"reason": "by hand"}),
    ]:
        (grant,) = admins.app.service.grants.list_for_reader(reader)
        admins.call_json("ben", method, f"/v1/readers/{reader}/grants/{grant.id}", body)
    assert undo(admins, imported)["undo"] == {"taken_back": 0, "left_alone": 3}
    assert ends(admins, "r-1") == [("2085-01-01T00:00:00Z", "active")]
    assert ends(admins, "r-2") == [(SOON, "active")]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_imports_of_the_same_readers_are_undone_in_any_order(admins: Admins, order: tuple[int, ...]) -> None:
    dates = ["2083-02-01T00:00:00Z", "2083-03-01T00:00:00Z", "2083-04-01T00:00:00Z"]
    admins.grant("r-had", until=SOON)
    given = [import_rows(admins, f"r-had,vip,{end},a", f"r-new,vip,{end},a") for end in dates]
    left = [SOON, *dates]
    for place in order:
        undo(admins, given[place])
        left.remove(dates[place])
        assert ends(admins, "r-had") == [(max(left), "active")], "the end that it would have without what was undone"
        assert admins.app.reader("r-new")["access"] == (len(left) > 1)
    assert ends(admins, "r-had") == [(SOON, "active")]
    assert not admins.app.reader("r-new")["access"], "nobody gives it any more"


def test_undo_keeps_manual_changes_between_or_after_imports(admins: Admins) -> None:
    first = import_rows(admins, f"r-1,vip,{SOON},a", f"r-2,vip,{SOON},a")
    for reader in ("r-1", "r-2"):
        changed(admins, reader, "2082-12-20T00:00:00Z")
    second = import_rows(admins, f"r-1,vip,{LATE},b", f"r-2,vip,{LATE},b")
    for end in (SOON, LATE):
        changed(admins, "r-2", end)
    assert undo(admins, first)["undo"] == {"taken_back": 0, "left_alone": 2}
    assert undo(admins, second)["undo"] == {"taken_back": 1, "left_alone": 1}
    assert ends(admins, "r-1") == [("2082-12-20T00:00:00Z", "active")]
    assert ends(admins, "r-2") == [(LATE, "active")], "also where it was changed and changed back"


def test_undo_needs_a_reason_and_a_known_import_and_works_once(admins: Admins) -> None:
    imported = import_rows(admins, "r-1,vip,never,a")
    admins.call_json("ann", "DELETE", f"/v1/grants/import/{imported['id']}", status=422)
    admins.call_json("ann", "DELETE", "/v1/grants/import/im_none?reason=x", status=404)
    admins.call_json("ann", "GET", "/v1/grants/import/im_none", status=404)
    undo(admins, imported)
    again = admins.call_json("ann", "DELETE", f"/v1/grants/import/{imported['id']}?reason=x", status=409)
    assert again["type"] == "urn:paywall:problem:import-undone"


def test_undo_follows_a_reader_merged_since(admins: Admins) -> None:
    imported = import_rows(admins, "old,vip,never,a")
    admins.call_json("ann", "POST", "/v1/readers/heir/merge", {"from": "old"})
    assert admins.app.reader("heir")["access"]
    assert undo(admins, imported)["undo"] == {"taken_back": 1, "left_alone": 0}
    assert not admins.app.reader("heir")["access"]


def test_import_of_a_former_release_can_be_undone(admins: Admins) -> None:
    """A former release knew grants alone, and stored no kind."""
    imported = import_rows(admins, f"r-1,vip,{LATE},a")
    store = admins.app.service.store
    key = store.keys.import_state(imported["id"])
    assert store.link.call(key, "HGET", key, "schema") == b"1"
    store.link.call(key, "HDEL", key, "kind", "about")
    assert undo(admins, imported)["undo"] == {"taken_back": 1, "left_alone": 0}
