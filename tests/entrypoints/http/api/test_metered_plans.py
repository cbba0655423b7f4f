"""Test plans that have limits of meters, over HTTP and against the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.entrypoints.http.admin.conftest import owner_of, plain
from tests.running_service import POLICY, story_of

if TYPE_CHECKING:
    from tests.in_process_app import AllAtOnce, InProcessApp, MakeApp
    from tests.store_servers import Launch


PLANS = """
[plans.reader]
name = "Reader"
features = []
prices = ["price_reader_month"]
meters = { stories = 8, rolling = 3 }
[plans.local]
name = "Local"
features = ["no_ads"]
prices = ["price_local"]
meters = { stories = 6, weekly = 1 }
[tiers.free]"""
METERED = POLICY.replace("\n[tiers.free]", PLANS, 1).replace('["supporter", "day_pass"]', '["local", "reader"]')
SUBSCRIBE = {"step": "subscribe", "plans": ["reader"]}


@pytest.fixture
def app(make_app: MakeApp, store_url: str) -> InProcessApp:
    found = make_app(store_url, METERED)
    found.clock.at("2082-11-20T10:00:00Z")
    return found


def read(app: InProcessApp, count: int, **who: Any) -> dict[str, Any]:
    """Read so many stories, and return the last answer."""
    return [app.ask(f"s-{number}", **who) for number in range(count)][-1]


def test_plan_raises_the_limit_of_its_reader_until_it_ends(app: InProcessApp) -> None:
    assert read(app, 6, reader="r")["reason"] == "meter_used_up"
    given = app.grant("r", plan="reader", until="2082-11-25T00:00:00Z")
    answer = read(app, 8, reader="r")
    assert (answer["show"], answer["reason"], answer["source"], answer["until"]) == ("full", "metered", None, None)
    turn = "2082-12-01T05:00:00Z"
    meter = {"name": "stories", "limit": 8, "used": 8, "left": 0, "counted": True, "plan": "reader", "resets_at": turn}
    assert answer["meter"] == meter
    assert answer["refresh_after"] == "2082-11-25T00:00:00Z"
    used_up = app.ask("s-9", reader="r")
    assert (used_up["reason"], used_up["meter"]["plan"]) == ("meter_used_up", "reader")
    assert used_up["next"] == [{"step": "wait", "until": turn}]
    profile = app.reader("r")
    assert (profile["access"], profile["features"]) == (False, [])
    assert profile["meters"][0] == {name: value for name, value in meter.items() if name != "counted"}
    kept = app.call("GET", f"/v1/decisions/{used_up['decision_id']}", admin=True).get_json()
    assert (kept["meter"], kept["next"]) == (used_up["meter"], used_up["next"])
    app.call("DELETE", f"/v1/readers/r/grants/{given['id']}?reason=over", admin=True)
    back = app.ask("s-9", reader="r")
    assert (back["meter"]["limit"], back["meter"]["used"], back["meter"]["plan"]) == (5, 8, None)
    assert back["next"] == [{"step": "wait", "until": turn}], "the plan's 8 are used, too"
    assert app.ask("s-7", reader="r")["reason"] == "metered", "what was counted stays counted"


def test_highest_limit_of_the_plans_held_is_in_force(app: InProcessApp) -> None:
    app.grant("r", plan="local", until=None)
    first = app.ask("s-0", reader="r")
    assert (first["meter"]["limit"], first["meter"]["plan"], first["features"]) == (6, "local", ["no_ads"])
    app.grant("r", plan="reader", until="2082-11-22T00:00:00Z")
    batch = {"reader": "r", "stories": [story_of("s-0"), {"id": "x", "tier": "weekly"}]}
    stories, weekly = app.call("POST", "/v1/access/batch", batch).get_json()["decisions"]
    assert (stories["meter"]["limit"], stories["meter"]["plan"]) == (8, "reader")
    assert stories["refresh_after"] == "2082-11-22T00:00:00Z"
    assert (weekly["meter"]["limit"], weekly["meter"]["plan"]) == (2, None), "a lower limit changes nothing"
    app.clock.at("2082-11-22T00:00:00Z")
    assert app.ask("s-0", reader="r")["meter"]["plan"] == "local"


def test_subscribe_names_the_plans_whose_limit_leaves_room(app: InProcessApp) -> None:
    used_up = read(app, 6, reader="r")
    assert used_up["next"][0] == {"step": "subscribe", "plans": ["local", "reader"]}
    for story in ("a", "b"):
        app.ask(story, visitor="v")
    # With the visitor's two stories seven are read: six would not be enough.
    joined = app.ask("c", reader="r", visitor="v", count=False)
    assert joined["meter"]["used"] == 7
    assert joined["next"][0] == SUBSCRIBE
    # A new reader has five stories of their own, and either plan by itself allows more than the visitor's two.
    anonymous = app.ask("c", visitor="w", count=False)
    assert anonymous["show"] == "full"
    used = [app.ask(story, visitor="w") for story in ("a", "b", "c")][-1]
    assert [step["step"] for step in used["next"]] == ["sign_in", "subscribe", "wait"]
    assert used["next"][1]["plans"] == ["local", "reader"]


def test_scheduled_plan_opens_the_story_when_it_begins(app: InProcessApp) -> None:
    read(app, 5, reader="r")
    app.grant("r", plan="reader", until=None, **{"from": "2082-11-21T12:00:00Z"})
    used_up = app.ask("new", reader="r")
    begins = "2082-11-21T12:00:00Z"
    assert (used_up["next"][-1], used_up["refresh_after"]) == ({"step": "wait", "until": begins}, begins)
    app.clock.now = app.clock.at(begins) - 1
    assert app.ask("new", reader="r", count=False)["show"] == "upsell"
    app.clock.at(begins)
    assert app.ask("new", reader="r")["show"] == "full"


def test_last_story_of_a_plan_is_given_once_to_fifty_threads(app: InProcessApp, all_at_once: AllAtOnce) -> None:
    app.grant("r", plan="reader")
    read(app, 7, reader="r")
    answers = all_at_once(50, lambda number: app.ask(f"last{number}", reader="r"))
    assert [answer["reason"] for answer in answers].count("metered") == 1
    assert {answer["meter"]["limit"] for answer in answers} == {8}


def test_outage_does_not_know_the_limits_of_plans(make_app: MakeApp, launch: Launch) -> None:
    store = launch()
    app = make_app(store.url, METERED + '[failure]\nreaders = "upsell"\n')
    app.grant("r", plan="reader")
    app.grant("l", plan="local")
    for reader in ("r", "l"):
        assert app.ask("s", reader=reader)["meter"]["limit"] in (6, 8)
    store.end()
    for reader, features in (("r", []), ("l", ["no_ads"])):
        answer = app.ask("s", reader=reader)
        assert (answer["reason"], answer["show"], answer["meter"]) == ("store_unavailable", "upsell", None)
        assert (answer["features"], answer["next"]) == (features, [])


SLOW: dict[str, Any] = {"tier": "slow"}


def test_wait_is_to_the_second_in_a_rolling_window_with_joined_visitors(app: InProcessApp) -> None:
    """The meter `rolling` allows readers two stories in 30 days; the visitor brings two more."""
    begin = app.clock.now
    for day, who in enumerate(({"visitor": "v"}, {"visitor": "v"}, {"reader": "r"}, {"reader": "r"})):
        app.clock.now = begin + day * 86_400
        assert app.ask({"id": f"s-{day}", **SLOW}, **who)["show"] == "full"
    both = {"reader": "r", "visitor": "v"}
    app.clock.now = begin + 4 * 86_400 + 0.4
    for count in (False, True, True):
        answer = app.ask({"id": "new", **SLOW}, count=count, **both)
        assert (answer["meter"]["used"], answer["meter"]["limit"]) == (4, 2)
        # Three of the four have to leave the window.
        assert answer["next"] == [{"step": "wait", "until": "2082-12-22T10:00:00Z"}]
    alone = app.ask({"id": "new", **SLOW}, visitor="v")
    assert alone["next"] == [
        {"step": "sign_in", "verified": False},
        SUBSCRIBE,
        {"step": "wait", "until": "2082-12-20T10:00:00Z"},
    ], "the visitor's stories are another reader's now, so a new reader has none"
    until = app.clock.at("2082-12-22T10:00:00Z")
    app.clock.now = until - 1
    assert app.ask({"id": "new", **SLOW}, **both)["show"] == "upsell"
    app.clock.now = until
    assert app.ask({"id": "new", **SLOW}, **both)["show"] == "full"


def test_wait_counts_what_joins_when_another_readers_claim_ends(app: InProcessApp) -> None:
    begin = app.clock.now
    assert app.ask({"id": "a", **SLOW}, reader="other", visitor="v")["show"] == "full"
    app.clock.now = begin + 10 * 86_400
    assert app.ask({"id": "b", **SLOW}, visitor="v")["show"] == "full"
    for number in range(2):
        app.clock.now = begin + 20 * 86_400 + number
        assert app.ask({"id": f"r-{number}", **SLOW}, reader="r")["show"] == "full"
    asked = {"reader": "r", "visitor": "v", "count": False}
    # Other's claim on the visitor lasts 30 days. Then the story that they read later counts for this reader, as read.
    waiting = app.ask({"id": "b", **SLOW}, **asked)
    assert waiting["next"][-1] == {"step": "wait", "until": "2082-12-20T10:00:00Z"}
    until = app.clock.at("2082-12-20T10:00:00Z")
    app.clock.now = until - 1
    assert app.ask({"id": "b", **SLOW}, **asked)["show"] == "upsell"
    app.clock.now = until
    assert app.ask({"id": "b", **SLOW}, **asked)["show"] == "full"


def test_limits_of_plans_are_kept_with_the_policy(app: InProcessApp) -> None:
    catalogue, policies = app.service.settings.catalogue, app.service.policies
    policies.save(catalogue, app.clock.now)
    kept = policies.find(catalogue.revision)
    assert kept is not None
    assert (kept.plans, kept.tiers) == (catalogue.plans, catalogue.tiers)


def test_staff_page_shows_which_plans_limit_is_in_force(app: InProcessApp) -> None:
    app.grant("r", plan="reader")
    ann = owner_of(app)
    assert "limit of the plan Reader" in plain(ann.get("/reader?id=r"))
    assert "limit of the plan" not in plain(ann.get("/reader?id=other"))
