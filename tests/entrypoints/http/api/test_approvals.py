"""Test approvals: beyond `confirm_above` another admin must confirm before access opens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.staff.approvals import EXPIRES_AFTER
from service.adapters.redis.staff.idempotency import AT_WORK, IdempotencyStore
from tests.admin_app import CONFIRM, Admins, MakeAdmins
from tests.in_process_app import AllAtOnce

LONG, SHORT = "2083-12-01T00:00:00Z", "2082-12-24T00:00:00Z"


@pytest.fixture
def admins(admins_with_approvals: Admins) -> Admins:
    admins_with_approvals.app.clock.at("2082-11-20T10:00:00Z")
    return admins_with_approvals


def has_access(admins: Admins, reader: str = "r-1") -> bool:
    return bool(admins.app.reader(reader)["access"])


def confirm(admins: Admins, who: str, approval: str, status: int = 200) -> dict[str, Any]:
    return admins.call_json(who, "POST", f"/v1/approvals/{approval}", status=status)


@pytest.mark.parametrize("until", [LONG, None])
def test_long_grant_opens_nothing_until_another_admin_confirms(admins: Admins, until: str | None) -> None:
    asked = admins.grant("r-1", until=until, status=202)
    assert asked["state"] == "waiting"
    assert (asked["kind"], asked["reader"], asked["asked_by"], asked["reason"]) == (
        "grant.create",
        "r-1",
        "ann",
        "press card",
    )
    assert not has_access(admins)
    assert admins.call_json("ben", "GET", "/v1/approvals")["items"] == [asked]
    confirmed = confirm(admins, "ben", asked["approval"])
    assert (confirmed["state"], confirmed["settled_by"]) == ("confirmed", "ben")
    assert has_access(admins)
    (source,) = admins.app.reader("r-1")["sources"]
    assert (source["id"], source["actor"], source["until"]) == (confirmed["outcome"]["grant"]["id"], "ann", until)
    assert admins.call_json("ben", "GET", "/v1/approvals") == {"items": [], "next": None}


def test_short_grant_needs_no_confirmation(admins: Admins) -> None:
    admins.grant("r-1", until=SHORT)
    assert has_access(admins)


def test_own_approval_cannot_be_confirmed(admins: Admins) -> None:
    asked = admins.grant("r-1", status=202)["approval"]
    found = confirm(admins, "ann", asked, 409)
    assert found["type"] == "urn:paywall:problem:own-approval"
    assert not has_access(admins)
    confirm(admins, "ben", asked)


def test_settled_or_unknown_approval_is_404(admins: Admins) -> None:
    one, two = (admins.grant("r-1", status=202)["approval"] for _ in range(2))
    confirm(admins, "ben", one)
    assert admins.call_json("ben", "DELETE", f"/v1/approvals/{two}")["state"] == "refused"
    for who in ("ann", "ben", "cyd"):
        for approval in (one, two, "ap_0"):
            confirm(admins, who, approval, 404)
            admins.call_json(who, "DELETE", f"/v1/approvals/{approval}", status=404)
    assert len(admins.app.reader("r-1")["sources"]) == 1


def test_requesting_admin_can_withdraw_the_approval(admins: Admins) -> None:
    asked = admins.grant("r-1", status=202)["approval"]
    assert admins.call_json("ann", "DELETE", f"/v1/approvals/{asked}?reason=mistaken")["settled_by"] == "ann"
    confirm(admins, "ben", asked, 404)


def test_both_approval_steps_are_in_the_audit(admins: Admins) -> None:
    one, two = (admins.grant("r-1", status=202)["approval"] for _ in range(2))
    confirm(admins, "ben", one)
    admins.call_json("cyd", "DELETE", f"/v1/approvals/{two}", {"reason": "once is enough"})
    entries = [(e["action"], e["actor"], e["target"], e["reason"]) for e in reversed(admins.audit())]
    grant = admins.app.reader("r-1")["sources"][0]["id"]
    assert entries == [
        ("approval.ask", "ann", one, "press card"),
        ("approval.ask", "ann", two, "press card"),
        ("approval.confirm", "ben", one, None),
        ("grant.create", "ann", grant, "press card"),
        ("approval.refuse", "cyd", two, "once is enough"),
    ]
    assert admins.audit(action="grant.create")[0]["after"]["approval"] == one


def test_concurrent_confirmations_make_one_grant(admins: Admins, all_at_once: AllAtOnce) -> None:
    for turn in range(5):
        reader = f"r-{turn}"
        asked = admins.grant(reader, status=202)["approval"]

        def work(number: int, asked: str = asked) -> int:
            return admins.call(("ben", "cyd")[number % 2], "POST", f"/v1/approvals/{asked}").status_code

        statuses = all_at_once(6, work)
        assert statuses.count(200) >= 1
        assert set(statuses) <= {200, 404}
        assert len(admins.app.reader(reader)["sources"]) == 1
        assert len(admins.audit(action="approval.confirm", reader=reader)) == 1
        assert len(admins.audit(action="grant.create", reader=reader)) == 1


def test_concurrent_confirm_and_refuse_do_one_of_them(admins: Admins, all_at_once: AllAtOnce) -> None:
    for turn in range(5):
        reader = f"r-{turn}"
        asked = admins.grant(reader, status=202)["approval"]

        def work(number: int, asked: str = asked) -> int:
            who, method = (("ben", "POST"), ("cyd", "DELETE"))[number]
            return admins.call(who, method, f"/v1/approvals/{asked}").status_code

        statuses = all_at_once(2, work)
        assert sorted(statuses) == [200, 404]
        assert has_access(admins, reader) == (statuses[0] == 200)


def test_interrupted_confirmation_is_finished_by_maintenance(admins: Admins) -> None:
    service, now = admins.app.service, admins.app.clock.now
    asked = admins.grant("r-1", status=202)["approval"]
    service.approvals.claim(asked, Actor("ben"), now)
    assert not has_access(admins)
    confirm(admins, "cyd", asked, 404)
    service.maintenance.finish_pending(now)
    assert has_access(admins)
    assert service.approval_workflow.finish_all(now) == 0
    assert len(admins.app.reader("r-1")["sources"]) == 1


def test_confirming_admin_can_retry_an_interrupted_confirmation(admins: Admins) -> None:
    service = admins.app.service
    asked = admins.grant("r-1", status=202)["approval"]
    service.approvals.claim(asked, Actor("ben"), admins.app.clock.now)
    confirm(admins, "ben", asked)
    assert has_access(admins)
    assert len(admins.audit(action="approval.confirm")) == 1


def test_approval_of_a_grant_past_its_end_expires(admins: Admins) -> None:
    asked = admins.grant("r-1", until=LONG, status=202)
    assert asked["expires_at"] == "2082-12-20T10:00:00Z"
    admins.app.clock.now += EXPIRES_AFTER
    assert admins.call_json("ben", "GET", "/v1/approvals")["items"] == []
    confirm(admins, "ben", asked["approval"], 404)
    assert admins.app.service.approvals.prune(admins.app.clock.now) == 1


def test_approval_that_violates_the_policy_is_409_with_its_field(admins: Admins, make_admins: MakeAdmins) -> None:
    asked = admins.grant("r-1", status=202)["approval"]
    other = make_admins(CONFIRM.replace("[grants]", '[grants]\nplans = ["supporter"]'))
    found = confirm(other, "ben", asked, 409)
    assert found["errors"][0]["field"] == "plan"
    confirm(admins, "ben", asked)


def change(admins: Admins, grant: str, until: str | None, status: int) -> dict[str, Any]:
    body = {"until": until, "reason": "another end"}
    return admins.call_json("ann", "PATCH", f"/v1/readers/r-1/grants/{grant}", body, status)


def test_lengthening_beyond_the_limit_needs_approval_and_shortening_not(admins: Admins) -> None:
    grant = admins.grant("r-1", until=SHORT)["id"]
    for was, until in ((SHORT, LONG), (LONG, None)):
        asked = change(admins, grant, until, 202)
        assert (asked["kind"], asked["wants"]) == ("grant.change", {"grant": grant, "until": until})
        assert admins.app.reader("r-1")["sources"][0]["until"] == was
        confirmed = confirm(admins, "ben", asked["approval"])
        assert confirmed["outcome"]["grant"]["until"] == until
        assert admins.app.reader("r-1")["sources"][0]["until"] == until
    assert change(admins, grant, LONG, 200)["until"] == LONG
    assert change(admins, grant, SHORT, 200)["until"] == SHORT


def test_audit_entry_of_an_approved_change_has_only_the_change(admins: Admins) -> None:
    grant = admins.grant("r-1", until=SHORT)["id"]
    confirm(admins, "ben", change(admins, grant, None, 202)["approval"])
    (entry,) = admins.audit(action="grant.change")
    assert (entry["actor"], entry["target"]) == ("ann", grant)
    assert (entry["before"], entry["after"]) == ({"until": SHORT}, {"until": None})


def test_approved_change_of_a_revoked_grant_is_rejected(admins: Admins) -> None:
    grant = admins.grant("r-1", until=SHORT)["id"]
    asked = change(admins, grant, None, 202)["approval"]
    admins.call_json("ann", "DELETE", f"/v1/readers/r-1/grants/{grant}?reason=over")
    assert confirm(admins, "ben", asked, 409)["errors"] == [{"field": "grant", "message": "was revoked meanwhile"}]
    assert not has_access(admins)
    change(admins, grant, None, 409)


def test_waiting_change_of_a_revoked_grant_is_not_listed(admins: Admins) -> None:
    kept, revoked = (admins.grant("r-1", until=SHORT)["id"] for _ in range(2))
    asked, _ = (change(admins, grant, None, 202) for grant in (kept, revoked))
    admins.call_json("ann", "DELETE", f"/v1/readers/r-1/grants/{revoked}?reason=over")
    assert admins.call_json("ben", "GET", "/v1/approvals")["items"] == [asked]


def test_invalid_end_is_rejected_without_approval(admins: Admins) -> None:
    grant = admins.grant("r-1", until=SHORT)["id"]
    assert change(admins, grant, "2020-01-01T00:00:00Z", 422)["errors"][0]["field"] == "until"
    change(admins, "gr_0", LONG, 404)


def test_repeated_request_makes_one_approval(admins: Admins) -> None:
    headers = {"Idempotency-Key": "k-1"}
    body = {"plan": "vip", "reason": "press", "until": None}
    first, again = (
        admins.call_json("ann", "POST", "/v1/readers/r-1/grants", body, 202, headers=headers) for _ in range(2)
    )
    assert first == again
    assert len(admins.call_json("ben", "GET", "/v1/approvals")["items"]) == 1


BODY = json.dumps({"plan": "vip", "reason": "press card", "until": None}).encode()
FILE = b"reader,plan,until,reason\nr-1,vip,never,press card\n"


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [("/v1/readers/r-1/grants", BODY, "application/json"), ("/v1/grants/import", FILE, "text/csv")],
    ids=["grant", "import"],
)
def test_approval_whose_answer_was_lost_is_not_requested_twice(
    admins: Admins, path: str, body: bytes, content_type: str
) -> None:
    service = admins.app.service
    repeated = IdempotencyStore(service.store, lambda: service.secrets.sealer("idempotency"), AT_WORK)
    scope, token = f"owner\nann\nPOST\n{path}?\nk", f"{1:014x}0123456789"
    reports = []
    for _ in range(2):
        assert repeated.claim(scope, body, token).token == token
        repeated.abandon(scope)
        headers = {"Idempotency-Key": "k"}
        answer = admins.call("ann", "POST", path, headers=headers, data=body, content_type=content_type)
        reports.append((answer.status_code, answer.get_json()["approval"]))
        repeated.release(scope)
    assert reports == [(202, f"ap_{token}")] * 2
    assert [item["approval"] for item in admins.call_json("ben", "GET", "/v1/approvals")["items"]] == [f"ap_{token}"]
    assert [entry["action"] for entry in admins.audit()] == ["approval.ask"]


def test_confirmation_with_unknown_field_is_422(admins: Admins) -> None:
    asked = admins.grant("r-1", status=202)["approval"]
    admins.call_json("ben", "POST", f"/v1/approvals/{asked}", {"yes": True}, 422)
    admins.call_json("ben", "POST", f"/v1/approvals/{asked}", {}, 200)


def test_approvals_are_listed_newest_first_in_pages_also_within_a_second(admins: Admins) -> None:
    asked = []
    for number in range(8):
        admins.app.clock.now += 1 if number == 5 else 0.01
        asked.append(admins.grant(f"r-{number}", status=202)["approval"])
    assert [item["approval"] for item in admins.list_all("/v1/approvals", limit=3)] == asked[::-1]


def test_store_contains_no_plain_reader_id_of_an_approval(admins: Admins) -> None:
    admins.grant("the-reader-who-waits", status=202)
    link, key = admins.app.service.store.link, admins.app.service.store.keys.admin("approvals")
    kept = link.call(key, b"HGETALL", key)
    assert kept
    assert b"the-reader-who-waits" not in b"".join(kept)
    assert admins.app.service.approvals.remove_readers([reader_hash("the-reader-who-waits")], []) == 1
    assert admins.call_json("ben", "GET", "/v1/approvals")["items"] == []


def test_asker_cannot_confirm_with_a_key_of_their_making(admins: Admins) -> None:
    """Neither with their own new key, nor with one that was made with it, nor after the key in between was ended."""
    asked = admins.grant("r-1", status=202)["approval"]
    first = admins.make_key("first", "owner")
    second = admins.call_json(first, "POST", "/v1/keys", {"name": "second", "role": "owner"}, 201)["key"]
    for key in (first, second):
        assert confirm(admins, key, asked, 409)["type"] == "urn:paywall:problem:own-approval"
    admins.call_json("ann", "DELETE", "/v1/keys/first")
    confirm(admins, second, asked, 409)
    assert not has_access(admins)
    confirm(admins, "ben", asked)


def test_maker_of_a_key_confirms_what_was_asked_with_it(admins: Admins) -> None:
    first = admins.make_key("first", "granter")
    confirm(admins, "ann", admins.grant("r-1", who=first, status=202)["approval"])
    assert has_access(admins)


def test_key_made_by_another_confirms(admins: Admins) -> None:
    asked = admins.grant("r-1", who="ben", status=202)["approval"]
    confirm(admins, admins.make_key("first", "owner"), asked)
    assert has_access(admins)


def test_key_of_a_former_release_confirms_only_if_its_makers_are_known(admins: Admins) -> None:
    """A former release stored only the direct maker: a key of the environment, or a key that an asker can have made."""
    key = admins.app.service.store.keys.admin("keys")
    secrets = [admins.make_key(name, "owner") for name in ("first", "second")]
    for name, maker in (("first", "ann"), ("second", "first")):
        schema, role, mark, created_at, _ = json.loads(admins.app.service.store.link.call(key, b"HGET", key, name))
        row = json.dumps([schema, role, mark, created_at, maker])
        admins.app.service.store.link.call(key, b"HSET", key, name, row)
    admins.app.clock.now += 2
    found = {item["name"]: item["actor"] for item in admins.call_json("ann", "GET", "/v1/keys")["items"]}
    assert found == {"first": "ann", "second": "first"}
    asked = admins.grant("r-1", who="ben", status=202)["approval"]
    confirm(admins, secrets[1], asked, 409)
    confirm(admins, secrets[0], asked)
