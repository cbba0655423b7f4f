"""Test that an export has everything stored of one reader."""

from __future__ import annotations

from tests.admin_app import Admins
from tests.recorded_stripe import NOW, Maker


def test_export_has_profile_audit_history_and_stripe_objects(at_noon: Admins, make: Maker) -> None:
    grant = at_noon.grant("r-1", until="2034-01-01T00:00:00Z")
    change = {"until": None, "reason": "for good"}
    at_noon.call_json("ann", "PATCH", f"/v1/readers/r-1/grants/{grant['id']}", change)
    make.deliver("customer.subscription.created", make.subscription())
    body = at_noon.call_json("ann", "GET", "/v1/readers/r-1/export")
    answer = at_noon.app.reader("r-1")
    assert {name: body[name] for name in answer} == answer
    assert [record["action"] for record in body["audit"]] == ["grant.create", "grant.change"]
    assert body["head"].startswith("2:")
    assert [(change["type"], change["id"]) for change in body["history"]] == [
        ("grant", grant["id"]),
        ("grant", grant["id"]),
        ("subscription", "sub_1"),
    ]
    assert body["history"][1]["facts"]["until"] is None
    assert body["history"][2]["facts"]["items"][0]["price"] == "price_month"
    assert body["stripe_objects"] == ["customer:cus_1", "subscription:sub_1"]
    assert body["erased_at"] is None


def test_export_of_a_merged_reader_has_both_histories(at_noon: Admins) -> None:
    at_noon.grant("old")
    at_noon.call_json("ann", "POST", "/v1/readers/new/merge", {"from": "old"})
    body = at_noon.call_json("ann", "GET", "/v1/readers/new/export")
    assert body["merged"] == ["old"]
    assert [record["action"] for record in body["audit"]] == ["grant.create", "merge"]


def test_export_of_an_unknown_reader_is_empty(at_noon: Admins) -> None:
    body = at_noon.call_json("ann", "GET", "/v1/readers/nobody/export")
    assert (body["sources"], body["history"], body["audit"]) == ([], [], [])


def test_export_has_the_time_of_the_erasure(at_noon: Admins) -> None:
    at_noon.call_json("ann", "DELETE", "/v1/readers/r-1?reason=asked")
    body = at_noon.call_json("ann", "GET", "/v1/readers/r-1/export")
    assert body["erased_at"] == "2033-05-18T03:33:20Z"
    assert int(NOW) == 2_000_000_000
