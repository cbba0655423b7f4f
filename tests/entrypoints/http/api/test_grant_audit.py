"""Test the audit entries of grants: one for each change, with only what changed."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp

FIELDS = ["seq", "at", "actor", "from_ip", "action", "reader", "target"]
FIELDS += ["before", "after", "reason", "digest", "prev", "hash"]


def entries(app: InProcessApp, **query: Any) -> list[dict[str, Any]]:
    answer = app.call("GET", "/v1/audit", admin=True, query_string=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()["items"]
    return found


@pytest.fixture
def valkey_app(service_app: InProcessApp) -> InProcessApp:
    service_app.clock.at("2082-12-10T12:00:00Z")
    return service_app


def act(app: InProcessApp, method: str, grant: str, body: dict[str, Any], status: int = 200) -> None:
    answer = app.call(
        method, f"/v1/readers/r/grants/{grant}", body, admin=True, environ_base={"REMOTE_ADDR": "192.0.2.9"}
    )
    assert answer.status_code == status, answer.text


def test_grant_created_changed_and_revoked_gives_three_audit_entries(valkey_app: InProcessApp) -> None:
    grant = valkey_app.grant("r", until="2083-01-01T00:00:00Z")["id"]
    act(valkey_app, "PATCH", grant, {"until": "2083-02-01T00:00:00Z", "reason": "longer"})
    act(valkey_app, "DELETE", grant, {"reason": "left the paper"})
    revoked, changed, created = entries(valkey_app)
    assert [list(each)[: len(FIELDS)] for each in (created, changed, revoked)] == [FIELDS] * 3
    assert [each["seq"] for each in (created, changed, revoked)] == [1, 2, 3]
    assert [each["action"] for each in (created, changed, revoked)] == ["grant.create", "grant.change", "grant.revoke"]
    for each in (created, changed, revoked):
        assert (each["actor"], each["reader"], each["target"]) == ("ann", "r", grant)
        assert each["at"] == "2082-12-10T12:00:00Z"
    assert changed["from_ip"] == "192.0.2.9"
    assert created["before"] is None
    assert created["after"] == {"plan": "vip", "until": "2083-01-01T00:00:00Z", "status": "active"}
    assert (changed["before"], changed["after"]) == (
        {"until": "2083-01-01T00:00:00Z"},
        {"until": "2083-02-01T00:00:00Z"},
    )
    assert (revoked["before"], revoked["after"]) == ({"status": "active"}, {"status": "revoked"})
    assert [each["reason"] for each in (created, changed, revoked)] == ["press card", "longer", "left the paper"]


def test_audit_entry_of_a_scheduled_grant_has_its_start(valkey_app: InProcessApp) -> None:
    valkey_app.grant("r", **{"from": "2083-01-01T00:00:00Z"})
    (created,) = entries(valkey_app)
    assert created["after"] == {"plan": "vip", "from": "2083-01-01T00:00:00Z", "until": None, "status": "scheduled"}


def test_audit_chain_of_grants_verifies(valkey_app: InProcessApp) -> None:
    for number in range(5):
        valkey_app.grant(f"r{number}")
    found = list(reversed(entries(valkey_app)))
    assert [each["seq"] for each in found] == [1, 2, 3, 4, 5]
    assert found[0]["prev"] == "0" * 64
    for before, after in pairwise(found):
        assert after["prev"] == before["hash"]
    assert len({each["digest"] for each in found}) == 5
    assert valkey_app.service.audit_verifier.verify().fault is None


def test_request_that_changes_nothing_leaves_no_audit_entry(valkey_app: InProcessApp) -> None:
    grant = valkey_app.grant("r", until="2083-01-01T00:00:00Z")["id"]
    act(valkey_app, "PATCH", grant, {"until": "2083-01-01T00:00:00Z", "reason": "the same"})
    act(valkey_app, "DELETE", grant, {"reason": "over"})
    act(valkey_app, "DELETE", grant, {"reason": "over again"})
    act(valkey_app, "PATCH", grant, {"until": None, "reason": "no"}, 409)
    act(valkey_app, "PATCH", "gr_none", {"until": None, "reason": "no"}, 404)
    valkey_app.call("POST", "/v1/readers/r/grants", {"plan": "nope", "reason": "x", "until": None}, admin=True)
    assert [each["action"] for each in entries(valkey_app)] == ["grant.revoke", "grant.create"]


def test_repeat_with_idempotency_key_is_one_audit_entry(valkey_app: InProcessApp) -> None:
    body = {"plan": "vip", "reason": "x", "until": None}
    for _ in range(3):
        answer = valkey_app.call("POST", "/v1/readers/r/grants", body, admin=True, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 201
    assert len(entries(valkey_app)) == 1


def test_store_keys_contain_no_plain_ids(valkey_app: InProcessApp) -> None:
    valkey_app.grant("reader-in-clear")
    valkey_app.ask("a", reader="other-reader", visitor="visitor-in-clear")
    names = b" ".join(name for page in valkey_app.service.store.link.scan_nodes(b"*") for name in page)
    assert names
    for clear in (b"reader-in-clear", b"other-reader", b"visitor-in-clear"):
        assert clear not in names
