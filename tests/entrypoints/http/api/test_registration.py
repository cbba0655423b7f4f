"""Test tiers that signing in opens, `verified`, and the offers beside them, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp
    from tests.store_servers import Launch

MEMBERS: dict[str, Any] = {"id": "s", "tier": "members", "parts": ["facts", "notebook"]}
REGISTERED: dict[str, Any] = {"id": "s", "tier": "registered"}
SIGN_IN = {"step": "sign_in", "verified": False}
VERIFIED = {"step": "sign_in", "verified": True}


def shown(answer: dict[str, Any]) -> tuple[str, str, str | None, list[dict[str, Any]]]:
    return answer["show"], answer["reason"], answer["offer"] and answer["offer"]["id"], answer["next"]


def test_verified_tier_opens_for_readers_with_a_verified_address_alone(valkey_app: InProcessApp) -> None:
    for who, expected in (
        ({}, ("upsell", "sign_in_required", "register", [VERIFIED])),
        ({"visitor": "v"}, ("upsell", "sign_in_required", "register", [VERIFIED])),
        ({"reader": "r"}, ("upsell", "verification_required", "register", [{"step": "verify"}])),
        ({"reader": "r", "verified": False}, ("upsell", "verification_required", "register", [{"step": "verify"}])),
        ({"reader": "r", "verified": True}, ("full", "registered", None, [])),
    ):
        answer = valkey_app.ask(MEMBERS, **who)
        assert shown(answer) == expected
        assert (answer["source"], answer["until"], answer["meter"]) == (None, None, None)
    assert answer["parts"] == {"facts": "open", "notebook": "open"}


def test_metered_sign_in_tier_counts_for_visitors_and_not_for_readers(valkey_app: InProcessApp) -> None:
    assert shown(valkey_app.ask(REGISTERED, visitor="v"))[:2] == ("full", "metered")
    other = {**REGISTERED, "id": "other"}
    used_up = valkey_app.ask(other, visitor="v")
    assert shown(used_up)[:3] == ("upsell", "meter_used_up", "register")
    assert used_up["next"] == [SIGN_IN, {"step": "wait", "until": used_up["meter"]["resets_at"]}]
    for reader in ({"reader": "r"}, {"reader": "r", "visitor": "v"}):
        assert shown(valkey_app.ask(other, **reader)) == ("full", "registered", None, [])
    # A registered read joins nothing: the visitor's story does not count for the reader.
    weekly = {"id": "third", "tier": "weekly"}
    assert valkey_app.ask(weekly, reader="r")["meter"]["used"] == 1


def test_registered_reader_has_their_features_and_a_decision_id(valkey_app: InProcessApp) -> None:
    valkey_app.grant("r", features=["no_ads"])
    answer = valkey_app.ask(REGISTERED, reader="r", explain=True)
    assert (answer["reason"], answer["features"]) == ("registered", ["no_ads"])
    assert [step["step"] for step in answer["explain"]] == ["free", "sign_in"]
    kept = valkey_app.call("GET", f"/v1/decisions/{answer['decision_id']}", admin=True).get_json()
    assert (kept["reason"], kept["next"], kept["explain"][:2]) == ("registered", [], answer["explain"])


@pytest.mark.parametrize("hot", [True, False])
@pytest.mark.parametrize("path", ["/v1/access", "/v1/access/batch"])
@pytest.mark.parametrize(
    ("who", "field"),
    [
        ({"verified": True}, "verified"),
        ({"verified": False}, "verified"),
        ({"verified": True, "visitor": "v"}, "verified"),
        ({"verified": True, "reader": None}, "verified"),
        ({"verified": "yes", "reader": "r"}, "verified"),
        ({"verified": 1, "reader": "r"}, "verified"),
        ({"verified": {}, "reader": "r"}, "verified"),
        ({"verified": None}, None),
        ({"verified": None, "reader": None}, None),
        ({"verified": None, "reader": "r"}, None),
    ],
)
def test_verified_is_a_boolean_beside_a_reader(
    valkey_app: InProcessApp, hot: bool, path: str, who: dict[str, Any], field: str | None
) -> None:
    about = {"stories": [MEMBERS]} if path.endswith("batch") else {"story": MEMBERS}
    answer = valkey_app.call("POST", path, {**about, **who}, hot=hot)
    if field is None:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 422
        assert [error["field"] for error in answer.get_json()["errors"]] == [field]


def test_batch_takes_verified_for_all_its_stories(valkey_app: InProcessApp) -> None:
    body = {"reader": "r", "verified": True, "stories": [MEMBERS, REGISTERED, {"id": "s", "tier": "supporters"}]}
    found = valkey_app.call("POST", "/v1/access/batch", body).get_json()["decisions"]
    assert [answer["reason"] for answer in found] == ["registered", "registered", "no_entitlement"]
    assert found[2]["next"] == [{"step": "subscribe", "plans": ["supporter", "day_pass"]}]


def test_outage_changes_nothing_where_no_meter_decides(make_app: MakeApp, launch: Launch) -> None:
    store = launch()
    app = make_app(store.url)
    store.end()
    for story, who, reason, show in (
        (MEMBERS, {}, "sign_in_required", "upsell"),
        (MEMBERS, {"reader": "r"}, "verification_required", "upsell"),
        (MEMBERS, {"reader": "r", "verified": True}, "registered", "full"),
        (REGISTERED, {"reader": "r"}, "registered", "full"),
        (REGISTERED, {"visitor": "v"}, "store_unavailable", "upsell"),
    ):
        answer = app.ask(story, **who)
        assert (answer["reason"], answer["show"]) == (reason, show)
        assert answer["next"] == ([VERIFIED] if reason == "sign_in_required" else [])
