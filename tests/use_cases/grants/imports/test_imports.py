"""Test imports over HTTP: answers, grants, permission, repeats and approvals."""

from __future__ import annotations

from typing import Any

import pytest

from tests.admin_app import Admins, MakeAdmins
from tests.store_servers import ON_VALKEY
from tests.use_cases.grants.imports.conftest import (
    LATE,
    SOON,
    STRICT,
    ends,
    import_rows,
    send,
    sheet,
    undo,
    wait_for_import,
)

pytestmark = ON_VALKEY

COUNTS = ("rows", "new", "extended", "unchanged")


def counts(imported: dict[str, Any]) -> tuple[int, ...]:
    return tuple(imported[name] for name in COUNTS)


def test_imported_grant_has_reason_actor_and_import_id(admins: Admins) -> None:
    imported = import_rows(admins, f"r-1,vip,{SOON},press card", "r-2,vip,never,juror")
    assert (imported["state"], counts(imported), imported["errors"]) == ("done", (2, 2, 0, 0), [])
    (grant,) = admins.app.service.grants.list_for_reader("r-2")
    assert (grant.plan, grant.until, grant.reason, grant.actor, grant.import_id) == (
        "vip",
        None,
        "juror",
        "ann",
        imported["id"],
    )
    assert admins.app.reader("r-1")["access"]


def test_dry_run_counts_and_changes_nothing_even_with_wrong_rows(admins: Admins) -> None:
    admins.grant("r-1", until=SOON)
    admins.grant("r-2", until=None)
    rows = sheet(f"r-1,vip,{LATE},a", f"r-2,vip,{LATE},b", "r-3,vip,never,c", "r-4,vip,,d")
    answer = send(admins, rows, query_string={"dry_run": "true"})
    body = answer.get_json()
    assert (answer.status_code, counts(body)) == (200, (4, 1, 1, 1))
    assert body["errors"] == [{"line": 5, "field": "until", "message": body["errors"][0]["message"]}]
    assert ends(admins, "r-1") == [(SOON, "active")]
    assert not admins.app.reader("r-3")["access"]
    assert all(record["action"] == "grant.create" for record in admins.audit())


def test_import_with_wrong_rows_is_422_with_all_mistakes(admins: Admins) -> None:
    answer = send(admins, sheet("r-1,vip,never,a", "r-2,none,,b"))
    body = answer.get_json()
    assert (answer.status_code, answer.content_type, body["status"]) == (422, "application/problem+json", 422)
    assert [(error["line"], error["field"]) for error in body["errors"]] == [(3, "plan"), (3, "until")]
    assert not admins.app.reader("r-1")["access"]


def test_shorter_grant_is_extended_and_keeps_its_id(admins: Admins) -> None:
    grant = admins.grant("r-1", until=SOON)
    imported = import_rows(admins, f"r-1,vip,{LATE},longer")
    assert counts(imported) == (1, 0, 1, 0)
    (found,) = admins.app.service.grants.list_for_reader("r-1")
    assert (found.id, found.import_id) == (grant["id"], None)
    assert ends(admins, "r-1") == [(LATE, "active")]


@pytest.mark.parametrize("until", [SOON, "2082-12-01T00:00:00Z"])
def test_reader_holding_the_plan_as_long_is_unchanged(admins: Admins, until: str) -> None:
    admins.grant("r-1", until=SOON)
    assert counts(import_rows(admins, f"r-1,vip,{until},same")) == (1, 0, 0, 1)
    assert ends(admins, "r-1") == [(SOON, "active")]


def test_scheduled_ended_and_revoked_grants_do_not_count_as_held(admins: Admins) -> None:
    scheduled = {"plan": "vip", "reason": "later", "from": "2082-12-01T00:00:00Z", "until": SOON}
    admins.call_json("ann", "POST", "/v1/readers/r-1/grants", scheduled, 201)
    admins.grant("r-2", until="2082-11-21T00:00:00Z")
    grant = admins.grant("r-3", until=SOON)
    admins.call_json("ann", "DELETE", f"/v1/readers/r-3/grants/{grant['id']}?reason=over")
    admins.app.clock.at("2082-11-22T10:00:00Z")
    imported = import_rows(admins, *(f"r-{n},vip,{LATE},new" for n in (1, 2, 3)))
    assert counts(imported) == (3, 3, 0, 0)


def test_grant_of_another_plan_does_not_count_as_held(admins: Admins) -> None:
    admins.grant("r-1", plan="quiet", until=LATE)
    assert counts(import_rows(admins, f"r-1,vip,{SOON},new")) == (1, 1, 0, 0)


def test_same_file_again_changes_nothing(admins: Admins) -> None:
    rows = [f"r-1,vip,{SOON},a", "r-2,vip,never,b"]
    import_rows(admins, *rows)
    assert counts(import_rows(admins, *rows)) == (2, 0, 0, 2)


def test_import_and_its_undo_are_one_audit_entry_each(admins: Admins) -> None:
    imported = import_rows(admins, "r-1,vip,never,a", "r-2,vip,never,b")
    undo(admins, imported, "ben")
    undone, applied = admins.audit()
    assert (applied["action"], applied["reader"], applied["target"], applied["actor"]) == (
        "import.apply",
        None,
        imported["id"],
        "ann",
    )
    assert applied["before"] is None
    assert applied["after"] == {"rows": 2, "new": 2, "extended": 0, "unchanged": 0}
    assert (undone["action"], undone["reader"], undone["target"], undone["actor"], undone["reason"]) == (
        "import.undo",
        None,
        imported["id"],
        "ben",
        "wrong file",
    )


def test_past_profile_shows_what_an_import_gave_and_revoked(admins: Admins) -> None:
    imported = import_rows(admins, "r-1,vip,never,a")
    admins.app.clock.at("2082-11-21T10:00:00Z")
    undo(admins, imported)
    admins.app.clock.at("2082-11-22T10:00:00Z")
    assert admins.app.reader("r-1", at="2082-11-20T12:00:00Z")["access"]
    assert not admins.app.reader("r-1", at="2082-11-21T12:00:00Z")["access"]


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "text/csv; charset=latin-1"])
def test_import_with_another_content_type_is_415(admins: Admins, content_type: str | None) -> None:
    assert send(admins, sheet("r-1,vip,never,a"), content_type=content_type).status_code == 415


@pytest.mark.parametrize("content_type", ["text/csv; charset=utf-8", "text/csv; header=present", "TEXT/CSV"])
def test_content_type_parameters_are_accepted(admins: Admins, content_type: str) -> None:
    assert send(admins, sheet("r-1,vip,never,a"), content_type=content_type).status_code == 202


def test_file_above_16_mib_or_50000_rows_is_413(admins: Admins) -> None:
    assert send(admins, sheet("r-1,vip,never," + "x" * 16 * 1024 * 1024)).status_code == 413
    assert send(admins, sheet(*["x"] * 50_001), query_string={"dry_run": "true"}).status_code == 413


@pytest.mark.parametrize("query", [{"dry_run": "yes"}, {"dryrun": "true"}])
def test_unknown_parameter_is_422(admins: Admins, query: dict[str, str]) -> None:
    assert send(admins, sheet("r-1,vip,never,a"), query_string=query).status_code == 422


def test_repeat_with_the_same_idempotency_key_gets_the_first_answer(admins: Admins) -> None:
    rows, key = sheet("r-1,vip,never,a"), {"Idempotency-Key": "monday"}
    first = send(admins, rows, headers=key)
    again = send(admins, rows, headers=key)
    assert (first.status_code, again.status_code, again.get_json()) == (202, 202, first.get_json())
    assert send(admins, sheet("r-2,vip,never,a"), headers=key).status_code == 409


# ------------------------------------------------------------------------------------------------ a second admin


@pytest.fixture
def strict_admins(make_admins: MakeAdmins) -> Admins:
    admins = make_admins(STRICT)
    admins.app.clock.at("2082-11-20T10:00:00Z")
    return admins


def asked(admins: Admins, *rows: str) -> dict[str, Any]:
    answer = send(admins, sheet(*rows))
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.get_json()
    assert found["state"] == "waiting"
    return found


THREE = [f"r-{n},vip,{SOON},press" for n in (1, 2, 3)]


def test_import_for_many_readers_waits_for_another_admin(strict_admins: Admins) -> None:
    imported = asked(strict_admins, *THREE)
    assert imported["wants"]["new"] == 3
    assert strict_admins.call_json("ann", "GET", f"/v1/grants/import/{imported['id']}")["state"] == "staged"
    strict_admins.call_json("ann", "POST", f"/v1/approvals/{imported['approval']}", status=409)
    assert not strict_admins.app.reader("r-1")["access"]
    strict_admins.call_json("ben", "POST", f"/v1/approvals/{imported['approval']}")
    assert counts(wait_for_import(strict_admins, imported)) == (3, 3, 0, 0)
    assert strict_admins.app.reader("r-3")["access"]
    applied = next(record for record in strict_admins.audit() if record["action"] == "import.apply")
    assert (applied["actor"], applied["after"]["approval"]) == ("ann", imported["approval"])


@pytest.mark.parametrize("rows", [THREE[:2], ["r-1,vip,2082-12-01T00:00:00Z,x"]])
def test_import_within_the_limits_does_not_wait(strict_admins: Admins, rows: list[str]) -> None:
    assert import_rows(strict_admins, *rows)["state"] == "done"


def test_import_without_end_waits_for_another_admin(strict_admins: Admins) -> None:
    asked(strict_admins, "r-1,vip,never,x")


def test_reader_of_several_plans_counts_once(strict_admins: Admins) -> None:
    rows = [f"{reader},{plan},{SOON},x" for reader in ("r-1", "r-2") for plan in ("vip", "quiet")]
    assert import_rows(strict_admins, *rows)["new"] == 4
    asked(strict_admins, *rows, f"r-3,vip,{SOON},x", f"r-4,vip,{SOON},x", f"r-5,vip,{SOON},x")


def test_only_changed_readers_count_towards_the_limit(strict_admins: Admins) -> None:
    import_rows(strict_admins, *THREE[:2])
    assert import_rows(strict_admins, *THREE)["unchanged"] == 2


def test_waiting_import_is_planned_again_when_confirmed(strict_admins: Admins) -> None:
    imported = asked(strict_admins, *THREE)
    strict_admins.grant("r-1", until=LATE)
    strict_admins.grant("r-2", until="2082-12-01T00:00:00Z")
    strict_admins.call_json("ben", "POST", f"/v1/approvals/{imported['approval']}")
    assert counts(wait_for_import(strict_admins, imported)) == (3, 1, 1, 1)
    assert ends(strict_admins, "r-2") == [(SOON, "active")]


def test_waiting_import_can_be_undone_and_not_confirmed_after(strict_admins: Admins) -> None:
    imported = asked(strict_admins, *THREE)
    undone = strict_admins.call_json("ann", "DELETE", f"/v1/grants/import/{imported['id']}?reason=no", status=202)
    assert undone["state"] == "undone"
    assert strict_admins.call_json("ben", "GET", "/v1/approvals")["items"] == []
    strict_admins.call_json("ben", "POST", f"/v1/approvals/{imported['approval']}", status=404)
    assert not strict_admins.app.reader("r-1")["access"]


def test_waiting_import_of_a_forbidden_plan_cannot_be_confirmed(make_admins: MakeAdmins) -> None:
    before = make_admins(STRICT)
    imported = asked(before, f"r-1,vip,{SOON},a", f"r-2,supporter,{SOON},a", f"r-3,vip,{SOON},a")
    after = make_admins(STRICT.replace("[grants]", '[grants]\nplans = ["supporter"]'))
    refused = after.call_json("ben", "POST", f"/v1/approvals/{imported['approval']}", status=409)
    assert [error["field"] for error in refused["errors"]] == ["plan"]
    assert not after.app.reader("r-2")["access"]
    before.call_json("ben", "POST", f"/v1/approvals/{imported['approval']}")


# --------------------------------------------------------------------------------------------------------- merges


def test_row_of_a_merged_reader_goes_to_the_remaining_id(admins: Admins) -> None:
    admins.call_json("ann", "POST", "/v1/readers/heir/merge", {"from": "old"})
    imported = import_rows(admins, "old,vip,never,a")
    assert admins.app.reader("heir")["access"]
    wrong = send(admins, sheet("old,vip,never,a", "heir,vip,never,a"))
    assert [(e["line"], e["field"]) for e in wrong.get_json()["errors"]] == [(3, "reader")]
    undo(admins, imported)
    assert not admins.app.reader("old")["access"]
