"""Test changes of many grants over HTTP: what is chosen, dry run, end and revocation, approval, undo."""

from __future__ import annotations

from typing import Any

import pytest

from tests.admin_app import Admins, MakeAdmins
from tests.store_servers import ON_VALKEY, wait_until
from tests.use_cases.grants.imports.conftest import LATE, SOON, STRICT, ends

pytestmark = ON_VALKEY

COUNTS = ("rows", "changed", "revoked", "unchanged")


def change(admins: Admins, query: str = "", status: int = 202, **body: Any) -> dict[str, Any]:
    body = {"reason": "season ends", **body}
    return admins.call_json("ann", "POST", f"/v1/grants/changes{query}", body, status)


def wait_for(admins: Admins, change_id: str, state: str = "done") -> dict[str, Any]:
    path = f"/v1/grants/changes/{change_id}"
    wait_until(lambda: admins.call_json("ann", "GET", path)["state"] == state)
    return admins.call_json("ann", "GET", path)


def undo(admins: Admins, change_id: str) -> dict[str, Any]:
    admins.call_json("ann", "DELETE", f"/v1/grants/changes/{change_id}?reason=wrong", status=202)
    return wait_for(admins, change_id, "undone")


def counts(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[name] for name in COUNTS)


def listed(admins: Admins, grants: int) -> None:
    """Wait until the list shows so many grants: a change is listed within two seconds."""
    admins.app.service.reader_lists.prepare()
    wait_until(lambda: len(admins.call_json("ann", "GET", "/v1/grants")["items"]) == grants)


def test_grants_of_a_filter_get_another_end_and_undo_restores_it(admins: Admins) -> None:
    admins.grant("r-1", until=SOON)
    admins.grant("r-2", until=LATE)
    admins.grant("r-3", plan=None, features=["no_ads"], until=SOON)
    listed(admins, 3)
    dry = change(admins, "?plan=vip&dry_run=true", 200, until=LATE)
    assert (counts(dry), dry["errors"]) == ((2, 1, 0, 1), [])
    assert ends(admins, "r-1") == [(SOON, "active")]
    done = wait_for(admins, change(admins, "?plan=vip", until=LATE)["id"])
    assert counts(done) == (2, 1, 0, 1)
    assert [ends(admins, name) for name in ("r-1", "r-3")] == [[(LATE, "active")], [(SOON, "active")]]
    entry = admins.audit()[0]
    assert (entry["action"], entry["reader"], entry["target"]) == ("import.apply", None, done["id"])
    assert (entry["reason"], entry["after"]["until"], entry["after"]["changed"]) == ("season ends", LATE, 1)
    assert undo(admins, done["id"])["undo"] == {"taken_back": 1, "left_alone": 0}
    assert ends(admins, "r-1") == [(SOON, "active")]
    assert [entry["action"] for entry in admins.audit()][:2] == ["import.undo", "import.apply"]


def test_chosen_grants_are_revoked_and_undo_makes_them_active_again(admins: Admins) -> None:
    first, second = admins.grant("r-1", until=SOON), admins.grant("r-2")
    third = admins.grant("r-3", plan=None, features=["no_ads"])
    listed(admins, 3)
    done = wait_for(admins, change(admins, grants=[first["id"], third["id"]], revoke=True)["id"])
    assert counts(done) == (2, 0, 2, 0)
    assert [admins.app.reader(name)["access"] for name in ("r-1", "r-2", "r-3")] == [False, True, False]
    assert ends(admins, "r-1") == [(SOON, "revoked")]
    again = change(admins, "?dry_run=true", 200, grants=[first["id"], second["id"]], revoke=True)
    assert counts(again) == (2, 0, 1, 1)
    assert undo(admins, done["id"])["undo"] == {"taken_back": 2, "left_alone": 0}
    assert [admins.app.reader(name)["access"] for name in ("r-1", "r-2", "r-3")] == [True, True, True]
    assert admins.app.reader("r-3")["features"][0]["feature"] == "no_ads"


def test_grant_changed_by_hand_since_is_left_alone(admins: Admins) -> None:
    grants = [admins.grant(f"r-{number}", until=SOON)["id"] for number in (1, 2)]
    listed(admins, 2)
    done = wait_for(admins, change(admins, grants=grants, until=LATE)["id"])
    admins.call_json("ben", "PATCH", f"/v1/readers/r-1/grants/{grants[0]}", {"until": None, "reason": "by hand"})
    assert undo(admins, done["id"])["undo"] == {"taken_back": 1, "left_alone": 1}
    assert [ends(admins, name) for name in ("r-1", "r-2")] == [[("never", "active")], [(SOON, "active")]]


def test_many_extensions_wait_for_a_second_admin_and_revocations_do_not(make_admins: MakeAdmins) -> None:
    admins = make_admins(STRICT)
    admins.app.clock.at("2082-11-20T10:00:00Z")
    for number in range(3):
        admins.grant(f"r-{number}", until=SOON)
    listed(admins, 3)
    waiting = change(admins, "?plan=vip", until=LATE)
    assert (waiting["state"], waiting["reason"], waiting["wants"]["changed"]) == ("waiting", "season ends", 3)
    assert ends(admins, "r-0") == [(SOON, "active")]
    confirmed = admins.call_json("ben", "POST", f"/v1/approvals/{waiting['approval']}")
    assert confirmed["outcome"]["import"]["changed"] == 3
    wait_for(admins, waiting["wants"]["import"])
    assert ends(admins, "r-2") == [(LATE, "active")]
    revoked = wait_for(admins, change(admins, "?plan=vip", revoke=True)["id"])
    assert counts(revoked) == (3, 0, 3, 0)


@pytest.mark.parametrize(
    ("query", "body", "field"),
    [
        ("", {"until": LATE}, "grants"),
        ("?plan=vip", {}, "until"),
        ("?plan=vip", {"until": LATE, "revoke": True}, "until"),
        ("?plan=vip", {"until": "2000-01-01T00:00:00Z"}, "until"),
        ("?plan=vip", {"revoke": True, "reason": " "}, "reason"),
        ("?status=nice", {"revoke": True}, "status"),
        ("", {"grants": [], "revoke": True}, "grants"),
    ],
)
def test_unclear_change_is_refused(admins: Admins, query: str, body: dict[str, Any], field: str) -> None:
    problem = change(admins, query, 422, **body)
    assert field in [error["field"] for error in problem["errors"]]


def test_unknown_grant_is_named_and_nothing_is_changed(admins: Admins) -> None:
    grant = admins.grant("r-1")
    listed(admins, 1)
    problem = change(admins, "", 422, grants=[grant["id"], "gr_unknown"], revoke=True)
    assert [(error["line"], error["field"]) for error in problem["errors"]] == [(2, "grants")]
    assert admins.app.reader("r-1")["access"]
