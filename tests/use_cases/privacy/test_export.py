"""An export is everything that is kept of one reader."""

from __future__ import annotations

from tests.admin_app import House
from tests.use_cases.subscriptions.conftest import NOW, Maker


def test_export_has_profile_audit_history_and_stripe_objects(at_noon: House, make: Maker) -> None:
    grant = at_noon.grant("r-1", until="2034-01-01T00:00:00Z")
    change = {"until": None, "reason": "for good"}
    at_noon.done("ann", "PATCH", f"/v1/readers/r-1/grants/{grant['id']}", change)
    make.tell("customer.subscription.created", make.subscription())
    told = at_noon.done("ann", "GET", "/v1/readers/r-1/export")
    answer = at_noon.app.reader("r-1")
    assert {name: told[name] for name in answer} == answer
    assert [record["action"] for record in told["audit"]] == ["grant.create", "grant.change"]
    assert told["head"].startswith("2:")
    assert [(change["type"], change["id"]) for change in told["history"]] == [
        ("grant", grant["id"]),
        ("grant", grant["id"]),
        ("subscription", "sub_1"),
    ]
    assert told["history"][1]["facts"]["until"] is None
    assert told["history"][2]["facts"]["items"][0]["price"] == "price_month"
    assert told["stripe_objects"] == ["customer:cus_1", "subscription:sub_1"]
    assert told["erased_at"] is None


def test_export_of_a_merged_reader_has_both_histories(at_noon: House) -> None:
    at_noon.grant("old")
    at_noon.done("ann", "POST", "/v1/readers/new/merge", {"from": "old"})
    told = at_noon.done("ann", "GET", "/v1/readers/new/export")
    assert told["merged"] == ["old"]
    assert [record["action"] for record in told["audit"]] == ["grant.create", "merge"]


def test_export_of_an_unknown_reader_is_empty(at_noon: House) -> None:
    told = at_noon.done("ann", "GET", "/v1/readers/nobody/export")
    assert (told["sources"], told["history"], told["audit"]) == ([], [], [])


def test_export_has_the_time_of_the_erasure(at_noon: House) -> None:
    at_noon.done("ann", "DELETE", "/v1/readers/r-1?reason=asked")
    told = at_noon.done("ann", "GET", "/v1/readers/r-1/export")
    assert told["erased_at"] == "2033-05-18T03:33:20Z"
    assert int(NOW) == 2_000_000_000
