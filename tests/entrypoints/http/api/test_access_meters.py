"""Test meters: whose they are, how visitors join readers, and when windows turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from service.domain.catalogue import DAY

if TYPE_CHECKING:
    from tests.in_process_app import AllAtOnce, InProcessApp, MakeApp
    from tests.running_service import Serve


def figures(answer: dict[str, Any]) -> tuple[str, int, int, int, bool]:
    meter = answer["meter"]
    return answer["reason"], meter["limit"], meter["used"], meter["left"], meter["counted"]


def test_visitor_reads_up_to_the_limit_and_rereads_free(service_app: InProcessApp) -> None:
    ask = service_app.ask
    assert figures(ask("a", visitor="v")) == ("metered", 2, 1, 1, True)
    assert figures(ask("a", visitor="v")) == ("metered", 2, 1, 1, False)
    assert figures(ask("b", visitor="v")) == ("metered", 2, 2, 0, True)
    locked = ask("c", visitor="v")
    assert figures(locked) == ("meter_used_up", 2, 2, 0, False)
    assert (locked["show"], locked["parts"]["notebook"]) == ("upsell", "locked")
    assert figures(ask("a", visitor="v")) == ("metered", 2, 2, 0, False)
    assert figures(ask("a", visitor="w")) == ("metered", 2, 1, 1, True)


def test_uncounted_check_shows_what_a_read_would_and_changes_nothing(service_app: InProcessApp) -> None:
    for _ in range(3):
        assert figures(service_app.ask("a", visitor="v", count=False)) == ("metered", 2, 0, 2, False)
    service_app.ask("a", visitor="v")
    service_app.ask("b", visitor="v")
    assert figures(service_app.ask("c", visitor="v", count=False)) == ("meter_used_up", 2, 2, 0, False)
    assert figures(service_app.ask("b", visitor="v", count=False)) == ("metered", 2, 2, 0, False)


def test_reader_limit_applies_when_a_reader_is_given(service_app: InProcessApp) -> None:
    assert figures(service_app.ask("a", reader="r", visitor="v")) == ("metered", 5, 1, 4, True)
    assert figures(service_app.ask("a", visitor="v")) == ("metered", 2, 1, 1, True)


def test_request_without_reader_and_visitor_must_sign_in(service_app: InProcessApp) -> None:
    for who in ({}, {"reader": None, "visitor": None}):
        answer = service_app.ask("a", **who)
        assert (answer["show"], answer["reason"], answer["meter"]) == ("upsell", "sign_in_required", None)


def test_meter_without_visitor_stories_asks_visitors_to_sign_in(service_app: InProcessApp) -> None:
    story = {"id": "a", "tier": "signed_in"}
    answer = service_app.ask(story, visitor="v")
    assert (answer["reason"], answer["meter"], answer["refresh_after"]) == ("sign_in_required", None, None)
    assert figures(service_app.ask(story, reader="r", visitor="v")) == ("metered", 1, 1, 0, True)
    assert figures(service_app.ask({**story, "id": "b"}, reader="r")) == ("meter_used_up", 1, 1, 0, False)


def test_visitor_stories_join_the_reader_at_the_first_counted_request(service_app: InProcessApp) -> None:
    for story in ("a", "b"):
        service_app.ask(story, visitor="v")
    service_app.ask("b", reader="r")
    assert figures(service_app.ask("c", reader="r", visitor="v", count=False)) == ("metered", 5, 2, 3, False)
    assert service_app.reader("r")["meters"][0]["used"] == 1, "showing the union does not make it"
    assert figures(service_app.ask("c", reader="r", visitor="v")) == ("metered", 5, 3, 2, True)
    assert service_app.reader("r")["meters"][0]["used"] == 3
    assert figures(service_app.ask("c", visitor="v")) == ("meter_used_up", 2, 2, 0, False), (
        "they stay the visitor's too"
    )


def test_joined_stories_join_no_other_reader(service_app: InProcessApp) -> None:
    service_app.ask("a", visitor="v")
    service_app.ask("b", reader="r", visitor="v")
    assert figures(service_app.ask("c", reader="s", visitor="v", count=False)) == ("metered", 5, 0, 5, False)
    assert figures(service_app.ask("c", reader="s", visitor="v")) == ("metered", 5, 1, 4, True)
    assert service_app.reader("r")["meters"][0]["used"] == 2


def test_later_visitor_reads_join_the_same_reader(service_app: InProcessApp) -> None:
    service_app.ask("a", visitor="v")
    service_app.ask("b", reader="r", visitor="v")
    service_app.ask("c", visitor="v")
    assert figures(service_app.ask("b", reader="s", visitor="v", count=False))[2] == 0
    assert figures(service_app.ask("b", reader="r", visitor="v", count=False))[2] == 3
    assert figures(service_app.ask("b", reader="r", visitor="v")) == ("metered", 5, 3, 2, False)
    assert service_app.reader("r")["meters"][0]["used"] == 3


def test_visitor_without_reads_belongs_to_the_first_counting_reader(service_app: InProcessApp) -> None:
    service_app.ask("a", reader="r", visitor="v")
    service_app.ask("b", visitor="v")
    assert figures(service_app.ask("c", reader="s", visitor="v"))[2] == 1
    assert figures(service_app.ask("c", reader="r", visitor="v"))[2] == 3


def test_reread_and_used_up_meter_also_join(service_app: InProcessApp) -> None:
    service_app.ask("a", reader="r")
    service_app.ask("b", visitor="v")
    assert figures(service_app.ask("a", reader="r", visitor="v")) == ("metered", 5, 2, 3, False)
    for number in range(3):
        service_app.ask(f"r{number}", reader="r")
    service_app.ask("c", visitor="v")
    assert figures(service_app.ask("d", reader="r", visitor="v")) == ("meter_used_up", 5, 6, 0, False)
    assert figures(service_app.ask("c", reader="r", visitor="v")) == ("metered", 5, 6, 0, False)


def test_used_may_exceed_the_limit_and_left_is_never_negative(service_app: InProcessApp) -> None:
    for number in range(4):
        service_app.ask(f"r{number}", reader="r")
    for story in ("a", "b"):
        service_app.ask(story, visitor="v")
    assert figures(service_app.ask("new", reader="r", visitor="v")) == ("meter_used_up", 5, 6, 0, False)
    assert service_app.reader("r")["meters"][0] | {"resets_at": ""} == {
        "name": "stories",
        "limit": 5,
        "used": 6,
        "left": 0,
        "plan": None,
        "resets_at": "",
    }


def test_entitled_read_joins_nothing(service_app: InProcessApp) -> None:
    service_app.ask("a", visitor="v")
    granted = service_app.grant("r")
    service_app.ask("b", reader="r", visitor="v")
    assert figures(service_app.ask("c", reader="s", visitor="v"))[2] == 2
    path = f"/v1/readers/r/grants/{granted['id']}?reason=over"
    assert service_app.call("DELETE", path, admin=True).status_code == 200
    assert figures(service_app.ask("c", reader="r", visitor="v"))[2] == 1


def test_free_read_joins_nothing(service_app: InProcessApp) -> None:
    service_app.ask("a", visitor="v")
    service_app.ask({"id": "f", "tier": "free"}, reader="r", visitor="v")
    assert figures(service_app.ask("b", reader="s", visitor="v"))[2] == 2


def test_joining_is_separate_for_each_meter(service_app: InProcessApp) -> None:
    slow = {"id": "a", "tier": "slow"}
    service_app.ask("a", visitor="v")
    service_app.ask(slow, visitor="v")
    service_app.ask("b", reader="r", visitor="v")
    assert figures(service_app.ask({**slow, "id": "b"}, reader="s", visitor="v"))[2] == 2, "this meter had not joined"
    assert figures(service_app.ask({**slow, "id": "b"}, reader="r", visitor="v"))[2] == 1


def test_joining_lasts_as_long_as_the_window(service_app: InProcessApp) -> None:
    service_app.clock.at("2082-12-10T12:00:00Z")
    service_app.ask("a", visitor="v")
    service_app.ask("b", reader="r", visitor="v")
    service_app.clock.at("2083-01-02T12:00:00Z")
    service_app.ask("c", visitor="v")
    assert figures(service_app.ask("d", reader="s", visitor="v"))[2] == 2


@pytest.mark.parametrize(
    ("now", "resets_at"),
    [
        ("2082-11-30T12:00:00Z", "2082-12-01T05:00:00Z"),
        ("2083-02-15T12:00:00-05:00", "2083-03-01T05:00:00Z"),
        ("2083-03-10T12:00:00Z", "2083-04-01T04:00:00Z"),  # summer time begins on the 14th
        ("2083-11-05T12:00:00Z", "2083-12-01T05:00:00Z"),  # and ends on the 7th
        ("2083-11-01T03:59:59Z", "2083-11-01T04:00:00Z"),
    ],
)
def test_month_window_turns_at_site_midnight_across_daylight_saving(
    valkey_app: InProcessApp, now: str, resets_at: str
) -> None:
    valkey_app.clock.at(now)
    answer = valkey_app.ask("a", visitor="v")
    assert answer["meter"]["resets_at"] == answer["refresh_after"] == resets_at
    valkey_app.clock.now = valkey_app.clock.at(resets_at) - 0.001
    assert figures(valkey_app.ask("b", visitor="v")) == ("metered", 2, 2, 0, True)
    valkey_app.clock.at(resets_at)
    assert figures(valkey_app.ask("c", visitor="v")) == ("metered", 2, 1, 1, True)


@pytest.mark.parametrize(
    ("now", "resets_at"),
    [
        ("2082-11-29T12:00:00Z", "2082-11-30T05:00:00Z"),  # a Sunday
        ("2082-11-30T12:00:00Z", "2082-12-07T05:00:00Z"),  # a Monday
        ("2083-03-13T12:00:00Z", "2083-03-15T04:00:00Z"),
        ("2083-11-07T05:30:00Z", "2083-11-08T05:00:00Z"),  # in the hour that comes twice
    ],
)
def test_week_window_starts_on_monday(valkey_app: InProcessApp, now: str, resets_at: str) -> None:
    valkey_app.clock.at(now)
    story = {"id": "a", "tier": "weekly"}
    assert valkey_app.ask(story, visitor="v")["meter"]["resets_at"] == resets_at
    valkey_app.clock.now = valkey_app.clock.at(resets_at) - 1
    assert valkey_app.ask({**story, "id": "b"}, visitor="v")["reason"] == "meter_used_up"
    valkey_app.clock.at(resets_at)
    assert figures(valkey_app.ask({**story, "id": "b"}, visitor="v")) == ("metered", 1, 1, 0, True)


@pytest.mark.parametrize(
    ("now", "resets_at"),
    [
        ("2083-03-14T05:00:00Z", "2083-03-15T04:00:00Z"),  # 23 hours
        ("2083-11-07T04:00:00Z", "2083-11-08T05:00:00Z"),  # 25 hours
    ],
)
def test_day_window_is_a_local_day(valkey_app: InProcessApp, now: str, resets_at: str) -> None:
    valkey_app.clock.at(now)
    assert valkey_app.ask({"id": "a", "tier": "signed_in"}, reader="r")["meter"]["resets_at"] == resets_at


def test_rolling_window_counts_each_story_for_its_own_time(service_app: InProcessApp) -> None:
    clock = service_app.clock

    def ask(story: str, *, count: bool = True) -> dict[str, Any]:
        return service_app.ask({"id": story, "tier": "slow"}, visitor="v", count=count)

    first = clock.at("2082-12-01T10:00:00Z")
    answer = ask("a", count=False)
    assert (answer["meter"]["resets_at"], answer["refresh_after"]) == (None, None)
    assert ask("a")["meter"]["resets_at"] == "2082-12-31T10:00:00Z"
    clock.now = first + 10 * DAY
    answer = ask("b")
    assert figures(answer) == ("metered", 2, 2, 0, True)
    assert answer["meter"]["resets_at"] == answer["refresh_after"] == "2082-12-31T10:00:00Z"
    clock.now = first + 20 * DAY
    assert figures(ask("a"))[4] is False, "reading again is free, and does not count anew"
    assert ask("a")["meter"]["resets_at"] == "2082-12-31T10:00:00Z"
    clock.now = first + 30 * DAY - 1
    assert figures(ask("c")) == ("meter_used_up", 2, 2, 0, False)
    clock.now = first + 30 * DAY
    answer = ask("c")
    assert figures(answer) == ("metered", 2, 2, 0, True)
    assert answer["meter"]["resets_at"] == "2083-01-10T10:00:00Z"
    clock.now = first + 39 * DAY
    assert figures(ask("a"))[0] == "meter_used_up"


def test_joined_stories_keep_their_own_time_in_a_rolling_window(service_app: InProcessApp) -> None:
    clock = service_app.clock
    first = clock.at("2082-12-01T10:00:00Z")
    service_app.ask({"id": "a", "tier": "slow"}, visitor="v")
    clock.now = first + 20 * DAY
    answer = service_app.ask({"id": "b", "tier": "slow"}, visitor="v", reader="r")
    assert figures(answer) == ("metered", 2, 2, 0, True)
    assert answer["meter"]["resets_at"] == "2082-12-31T10:00:00Z"
    clock.now = first + 30 * DAY
    assert figures(service_app.ask({"id": "c", "tier": "slow"}, visitor="v", reader="r")) == ("metered", 2, 2, 0, True)


def test_story_read_by_both_counts_until_the_later_time(service_app: InProcessApp) -> None:
    clock = service_app.clock
    first = clock.at("2082-12-01T10:00:00Z")
    service_app.ask({"id": "a", "tier": "slow"}, reader="r")
    clock.now = first + 10 * DAY
    service_app.ask({"id": "a", "tier": "slow"}, visitor="v")
    for count in (False, True, False):
        answer = service_app.ask({"id": "a", "tier": "slow"}, visitor="v", reader="r", count=count)
        assert figures(answer) == ("metered", 2, 1, 1, False)
        assert answer["meter"]["resets_at"] == answer["refresh_after"] == "2083-01-10T10:00:00Z"
    clock.now = first + 40 * DAY - 1
    for who in ({"reader": "r"}, {"reader": "r", "visitor": "v"}):
        assert figures(service_app.ask({"id": "b", "tier": "slow"}, count=False, **who)) == ("metered", 2, 1, 1, False)
    clock.now = first + 40 * DAY
    assert figures(service_app.ask({"id": "b", "tier": "slow"}, visitor="v", reader="r", count=False))[2] == 0


def test_visitor_joined_to_a_reader_joins_no_other_while_it_counts(service_app: InProcessApp) -> None:
    clock = service_app.clock
    first = clock.at("2082-12-01T10:00:00Z")

    def used(story: str, **who: Any) -> Any:
        return service_app.ask({"id": story, "tier": "slow"}, **who)["meter"]["used"]

    assert used("a", visitor="v") == 1
    assert used("a", visitor="v", reader="r") == 1
    clock.now = first + 20 * DAY
    assert used("b", visitor="v") == 2
    assert used("b", visitor="v", reader="r") == 2
    clock.now = first + 31 * DAY
    assert used("c", visitor="v", reader="other", count=False) == 0
    assert used("c", visitor="v", reader="other") == 1
    clock.now = first + 50 * DAY
    assert used("d", visitor="v") == 1
    assert used("d", visitor="v", reader="other") == 2


def test_changed_window_kind_starts_a_new_window(make_app: MakeApp, store_url: str, policy: str) -> None:
    before = make_app(store_url, policy)
    for story in ("a", "b"):
        before.ask(story, visitor="v")
    after = make_app(store_url, policy.replace('window = "month"', 'window = "30d"'))
    assert figures(after.ask("c", visitor="v")) == ("metered", 2, 1, 1, True)


@pytest.mark.parametrize("who", ["reader", "visitor"])
def test_last_free_story_is_given_once_to_fifty_threads(
    service_app: InProcessApp, all_at_once: AllAtOnce, who: str
) -> None:
    limit = 5 if who == "reader" else 2
    for number in range(limit - 1):
        service_app.ask(f"before{number}", **{who: "x"})
    answers = all_at_once(50, lambda number: service_app.ask(f"last{number}", **{who: "x"}))
    assert [answer["reason"] for answer in answers].count("metered") == 1
    assert [answer["meter"]["counted"] for answer in answers].count(True) == 1
    assert {answer["meter"]["used"] for answer in answers} <= {limit - 1, limit}


@pytest.mark.full
def test_last_free_story_is_given_once_to_fifty_clients_of_two_workers(
    serve: Serve, valkey_url: str, all_at_once: AllAtOnce
) -> None:
    paywall = serve(REDIS_URL=valkey_url)
    for who, limit in (("reader", 5), ("visitor", 2)):
        for turn in range(5):
            name = f"{who}{turn}"
            for number in range(limit - 1):
                paywall.ask(f"before{number}", **{who: name})

            def last(number: int, name: str = name, who: str = who) -> Any:
                body = {"story": {"id": f"last{number}"}, who: name}
                return requests.post(f"{paywall.url}/v1/access", json=body, headers=paywall.as_site, timeout=60).json()

            reasons = [answer["reason"] for answer in all_at_once(50, last)]
            assert reasons.count("metered") == 1
            assert reasons.count("meter_used_up") == 49
