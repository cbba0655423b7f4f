"""Test the answers of `POST /v1/access` sentence by sentence of the contract."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from service.domain.catalogue import DAY

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp

FIELDS = {
    "decision_id",
    "show",
    "reason",
    "tier",
    "parts",
    "features",
    "source",
    "until",
    "meter",
    "offer",
    "next",
    "refresh_after",
    "degraded",
    "explain",
}


def test_answer_has_exactly_the_fields_of_the_contract(valkey_app: InProcessApp) -> None:
    answer = valkey_app.ask("harbour", reader="r")
    assert set(answer) == FIELDS
    assert set(answer["meter"]) == {"name", "limit", "used", "left", "counted", "plan", "resets_at"}
    used_up = [valkey_app.ask(f"s{number}", visitor="v") for number in range(3)][-1]
    assert set(used_up["offer"]) == {"id", "heading", "benefits", "button", "plans", "links"}


def test_answer_is_not_cacheable_and_decision_id_is_short_and_url_safe(valkey_app: InProcessApp) -> None:
    body = {"story": {"id": "é" * 64, "parts": [f"{n:02}{'é' * 63}" for n in range(60)]}, "reader": "😀" * 32}
    for hot in (True, False):
        answer = valkey_app.call("POST", "/v1/access", body, hot=hot)
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.content_type == "application/json"
        decision_id = answer.get_json()["decision_id"]
        assert len(decision_id) <= 1_000
        assert set(decision_id) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


def test_request_with_only_a_story_id_is_answered(valkey_app: InProcessApp) -> None:
    answer = valkey_app.ask({"id": "harbour"})
    assert (answer["show"], answer["reason"], answer["parts"]) == ("upsell", "sign_in_required", {})


def test_null_field_equals_a_missing_field(valkey_app: InProcessApp) -> None:
    story = {"id": "harbour", "section": None, "tags": None, "tier": None, "published_at": None, "parts": None}
    more = {"visitor": None, "count": None, "context": None, "explain": None, "pass": None, "verified": None}
    for hot in (True, False):
        answer = valkey_app.call("POST", "/v1/access", {"story": story, "reader": "r", **more}, hot=hot).get_json()
        assert (answer["reason"], answer["explain"], answer["parts"]) == ("metered", None, {})
    context = dict.fromkeys(["ip", "user_agent", "referrer", "country"])
    assert valkey_app.ask({"id": "harbour"}, reader="r", context=context)["meter"]["used"] == 1


def test_show_full_means_every_part_is_open(valkey_app: InProcessApp) -> None:
    opened, locked = valkey_app.ask("harbour", reader="r"), valkey_app.ask("harbour", visitor=None)
    assert (opened["show"], opened["parts"]) == ("full", {"facts": "open", "notebook": "open"})
    assert (locked["show"], locked["parts"]) == ("upsell", {"facts": "open", "notebook": "locked"})
    assert opened["offer"] is None
    assert locked["offer"]["id"] == "notebook"


def test_show_without_parts_tells_whether_the_tier_opens(valkey_app: InProcessApp) -> None:
    given: list[dict[str, Any]] = [{}, {"parts": []}, {"parts": None}]
    for parts in given:
        locked = valkey_app.ask({"id": "harbour", **parts})
        assert (locked["show"], locked["parts"]) == ("upsell", {})
        opened = valkey_app.ask({"id": "harbour", **parts}, reader="r")
        assert (opened["show"], opened["parts"]) == ("full", {})


def test_story_with_only_open_parts_is_free_and_not_counted(valkey_app: InProcessApp) -> None:
    answer = valkey_app.ask({"id": "harbour", "parts": ["facts"]}, reader="r")
    assert (answer["show"], answer["reason"], answer["meter"]) == ("full", "free", None)
    assert valkey_app.reader("r")["meters"][0]["used"] == 0


def test_free_tier_is_free_and_lists_the_features_of_the_reader(valkey_app: InProcessApp) -> None:
    valkey_app.grant("r", features=["no_ads"])
    assert valkey_app.ask({"id": "a", "tier": "free"})["features"] == []
    answer = valkey_app.ask({"id": "a", "tier": "free", "parts": ["anything"]}, reader="r", visitor="v")
    assert (answer["show"], answer["reason"], answer["parts"]) == ("full", "free", {"anything": "open"})
    assert (answer["features"], answer["source"], answer["until"]) == (["no_ads"], None, None)


def test_entitled_reader_is_never_metered(valkey_app: InProcessApp) -> None:
    valkey_app.grant("r")
    answer = valkey_app.ask("harbour", reader="r", visitor="v")
    assert (answer["show"], answer["reason"], answer["meter"], answer["offer"]) == ("full", "grant", None, None)
    assert answer["features"] == ["notebook", "no_ads", "no_autoplay", "newsmaker_events"]
    assert valkey_app.reader("r")["meters"][0]["used"] == 0


def test_features_list_all_entitlements_for_any_story(valkey_app: InProcessApp) -> None:
    valkey_app.grant("r", plan="quiet")
    answer = valkey_app.ask("harbour", reader="r")
    assert (answer["reason"], answer["features"], answer["source"]) == ("metered", ["no_ads"], None)
    locked = valkey_app.ask({"id": "x", "tier": "events"}, reader="r")
    assert (locked["reason"], locked["features"]) == ("no_entitlement", ["no_ads"])


def test_source_is_the_opening_one_with_the_latest_end(valkey_app: InProcessApp) -> None:
    now = valkey_app.clock.at("2026-12-10T12:00:00Z")
    short = valkey_app.grant("r", until="2027-01-01T00:00:00Z")
    assert valkey_app.ask("a", reader="r")["source"] == {"type": "grant", "id": short["id"], "plan": "vip"}
    longer = valkey_app.grant("r", plan="day_pass", until="2027-02-01T00:00:00+01:00")
    valkey_app.grant("r", plan="quiet", until=None)
    answer = valkey_app.ask("a", reader="r")
    assert answer["source"] == {"type": "grant", "id": longer["id"], "plan": "day_pass"}
    assert answer["until"] == "2027-01-31T23:00:00Z"
    assert answer["refresh_after"] == "2027-01-01T00:00:00Z"
    endless = valkey_app.grant("r", features=["notebook"])
    answer = valkey_app.ask("a", reader="r")
    assert answer["source"] == {"type": "grant", "id": endless["id"], "plan": None}
    assert answer["until"] is None
    valkey_app.clock.now = now + 400 * DAY
    assert valkey_app.ask("a", reader="r")["features"] == ["notebook", "no_ads"]


def test_access_holds_while_now_is_before_until(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at("2026-12-10T12:00:00Z")
    valkey_app.grant("r", until="2026-12-10T13:00:00Z")
    valkey_app.clock.at("2026-12-10T12:59:59.999Z")
    assert valkey_app.ask("a", reader="r")["reason"] == "grant"
    valkey_app.clock.at("2026-12-10T13:00:00Z")
    assert valkey_app.ask("a", reader="r", count=False)["reason"] == "metered"


def test_scheduled_start_sets_refresh_after(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at("2026-12-10T12:00:00Z")
    valkey_app.grant("r", **{"from": "2026-12-10T13:00:00Z"}, until="2026-12-11T00:00:00Z")
    answer = valkey_app.ask("a", reader="r")
    assert (answer["reason"], answer["refresh_after"]) == ("metered", "2026-12-10T13:00:00Z")
    valkey_app.clock.at("2026-12-10T13:00:00Z")
    answer = valkey_app.ask("a", reader="r")
    assert (answer["reason"], answer["refresh_after"]) == ("grant", "2026-12-11T00:00:00Z")


def test_refresh_after_is_null_without_a_coming_change(valkey_app: InProcessApp) -> None:
    valkey_app.grant("r")
    assert valkey_app.ask("a", reader="r")["refresh_after"] is None
    assert valkey_app.ask({"id": "a", "tier": "events"})["refresh_after"] is None


def test_offer_is_named_after_first_required_feature_or_the_first_offer(
    make_app: MakeApp, valkey_app: InProcessApp, valkey_url: str, policy: str
) -> None:
    offer = valkey_app.ask({"id": "a", "tier": "events"})["offer"]
    assert (offer["id"], offer["heading"]) == ("newsmaker_events", "Meet the newsmakers")
    offer = valkey_app.ask("a")["offer"]
    assert offer == {
        "id": "notebook",
        "heading": "Unlock unlimited access",
        "benefits": ["No ads within stories", "The reporter's notebook"],
        "button": "Support us",
        "plans": [
            {"id": "supporter", "name": "Supporter", "prices": []},
            {"id": "day_pass", "name": "Day pass", "prices": []},
        ],
        "links": [{"text": "The Spotlight", "url": "/spotlight"}],
    }
    other = make_app(valkey_url, policy.replace("[offers.newsmaker_events]", "[offers.other]"))
    assert other.ask({"id": "a", "tier": "events"})["offer"]["id"] == "notebook"
    without = re.sub(r"(?m)^(sign_in_)?offer = .*$", "", policy.partition("[offers.notebook]")[0])
    none = make_app(valkey_url, without)
    assert none.ask({"id": "a", "tier": "events"})["offer"] is None


@pytest.mark.parametrize(
    ("story", "tier"),
    [
        ({"section": "public-safety"}, "free"),
        ({"section": "public-safety", "tier": "supporters"}, "supporters"),
        ({"section": "Public-Safety"}, "metered"),
        ({"tags": ["harbour", "history"]}, "metered"),
        ({"tags": ["harbour", "history"], "age": 3 * DAY - 1}, "events"),
        ({"tags": ["history"], "age": 3 * DAY}, "metered"),
        ({"tags": ["history"], "age": -5}, "events"),
        ({"age": 30 * DAY - 1}, "metered"),
        ({"age": 30 * DAY}, "supporters"),
        ({"section": "public-safety", "age": 40 * DAY}, "free"),
        ({}, "metered"),
    ],
)
def test_first_matching_rule_sets_the_tier(valkey_app: InProcessApp, story: dict[str, Any], tier: str) -> None:
    valkey_app.clock.at("2026-12-10T12:00:00Z")
    age = story.pop("age", None)
    if age is not None:
        story["published_at"] = datetime.fromtimestamp(valkey_app.clock() - age, UTC).isoformat()
    assert valkey_app.ask({"id": "a", **story})["tier"] == tier


def test_age_limit_sets_refresh_after_to_the_second(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at("2026-12-10T12:00:00Z")
    story = {"id": "a", "tags": ["archive"], "published_at": "2026-12-10T13:30:00+02:00"}
    answer = valkey_app.ask(story)
    assert (answer["tier"], answer["refresh_after"]) == ("events", "2026-12-13T11:30:00Z")
    valkey_app.clock.at("2026-12-13T11:30:00Z")
    answer = valkey_app.ask(story)
    assert (answer["tier"], answer["refresh_after"]) == ("metered", "2027-01-09T11:30:00Z")


def test_tier_does_not_change_before_the_reported_second(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at("2026-12-10T12:00:00Z")
    story = {"id": "a", "published_at": "2026-12-01T12:00:00.700Z"}
    found = valkey_app.ask(story, count=False)["refresh_after"]
    valkey_app.clock.at(found)
    assert valkey_app.ask(story)["tier"] == "supporters"


def test_explain_is_null_unless_requested(valkey_app: InProcessApp) -> None:
    for given in (None, False):
        assert valkey_app.ask("a", reader="r", explain=given)["explain"] is None
    for hot in (True, False):
        body = {"story": {"id": "a"}, "reader": "r", "explain": True}
        steps = valkey_app.call("POST", "/v1/access", body, hot=hot).get_json()["explain"]
        assert [set(step) for step in steps] == [{"step", "values", "verdict"}] * len(steps)
        assert [step["step"] for step in steps] == ["free", "entitlement", "meter"]


def test_unknown_pass_changes_nothing(valkey_app: InProcessApp) -> None:
    with_pass = valkey_app.ask("a", reader="r", **{"pass": "what ever"})
    without = valkey_app.ask("a", reader="r")
    assert (with_pass["reason"], with_pass["meter"]["counted"]) == ("metered", True)
    assert (without["reason"], without["meter"]["counted"]) == ("metered", False)


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-10T00:00:00+00:00"])
def test_dates_at_the_ends_of_the_calendar_are_answered(valkey_app: InProcessApp, moment: str) -> None:
    for story in ({"id": "a", "published_at": moment}, {"id": "a", "published_at": moment, "tags": ["archive"]}):
        for hot in (True, False):
            answer = valkey_app.call("POST", "/v1/access", {"story": story, "reader": "r"}, hot=hot)
            assert answer.status_code == 200, answer.text
            batch = valkey_app.call("POST", "/v1/access/batch", {"stories": [story], "reader": "r"}, hot=hot)
            assert batch.status_code == 200, batch.text


def test_batch_equals_single_checks_without_counting(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at("2026-12-10T12:00:00Z")
    valkey_app.grant("entitled", until="2027-01-01T00:00:00Z")
    valkey_app.ask("read", reader="r")
    valkey_app.ask("read", visitor="v")
    stories: list[dict[str, Any]] = [
        {"id": "read", "parts": ["facts", "notebook"]},
        {"id": "new"},
        {"id": "open", "parts": ["facts"]},
        {"id": "free", "tier": "free"},
        {"id": "old", "published_at": "2026-01-01T00:00:00Z"},
        {"id": "slow", "tier": "slow"},
        {"id": "day", "tier": "signed_in"},
        {"id": "new"},
    ]
    asking: list[dict[str, Any]] = [
        {},
        {"reader": "r"},
        {"visitor": "v"},
        {"reader": "r", "visitor": "v"},
        {"reader": "new", "visitor": "v"},
        {"reader": "entitled", "visitor": "v"},
        {"reader": None, "visitor": None},
    ]
    for who in asking:
        answer = valkey_app.call("POST", "/v1/access/batch", {**who, "stories": stories})
        assert answer.headers["Cache-Control"] == "private, no-store"
        together = answer.get_json()["decisions"]
        alone = [valkey_app.ask(story, **who, count=False) for story in stories]
        for each in [*together, *alone]:
            assert isinstance(each.pop("decision_id"), str)
        assert together == alone


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"stories": [{"id": str(n)} for n in range(3)] + [{"id": "x", "tier": "no"}]}, ["stories.3.tier"]),
        ({"stories": [{"id": "a"}, {"id": ""}, {}]}, ["stories.1.id", "stories.2.id"]),
        ({"stories": [None, {"id": "a", "tier": "no"}], "x": 1}, ["stories.0", "x", "stories.1.tier"]),
        ({"stories": [{"id": str(n)} for n in range(101)]}, ["stories"]),
        ({"stories": []}, ["stories"]),
        ({"stories": None}, ["stories"]),
        ({}, ["stories"]),
        ({"stories": {}}, ["stories"]),
        ({"stories": [None]}, ["stories.0"]),
        ({"stories": [{"id": "a"}], "count": False}, ["count"]),
        ({"stories": [{"id": "a"}], "reader": "a/b"}, ["reader"]),
    ],
)
def test_one_invalid_story_rejects_the_whole_batch(
    valkey_app: InProcessApp, body: dict[str, Any], fields: list[str]
) -> None:
    answer = valkey_app.call("POST", "/v1/access/batch", body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.get_json()["errors"]] == fields


def test_batch_of_a_hundred_is_answered_in_order(valkey_app: InProcessApp) -> None:
    stories = [{"id": f"s{n}", "parts": [f"p{n}"]} for n in range(100)]
    decisions = valkey_app.call("POST", "/v1/access/batch", {"stories": stories, "reader": "r"}).get_json()["decisions"]
    assert [list(each["parts"]) for each in decisions] == [[f"p{n}"] for n in range(100)]


def test_refresh_after_of_a_metered_answer_is_the_window_end(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at("2026-12-10T12:00:00Z")
    answer = valkey_app.ask("a", reader="r")
    assert answer["refresh_after"] == answer["meter"]["resets_at"] == "2027-01-01T05:00:00Z"
