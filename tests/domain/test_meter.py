"""Test meter windows: calendar windows start at local midnight, rolling windows count each story separately."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.catalogue import DAY, HOUR, MeterPolicy
from service.domain.meter import (
    EMPTY_TALLY,
    MeterLimit,
    MeterStanding,
    MeterUse,
    MeterWindow,
    Tally,
    window_at,
)

NOW = 1_795_000_000


def drop_expired(policy: MeterPolicy, read: Mapping[bytes, int], now: float) -> dict[bytes, int]:
    """Return the stories of a rolling window that still count, as the store keeps them."""
    return {story: at for story, at in read.items() if now < at + policy.length}


Calendar = Literal["day", "week", "month"]
CALENDAR: tuple[Calendar, ...] = ("day", "week", "month")

LEAPS = {
    "UTC": ["2026-11-24"],
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "Europe/London": ["2026-03-29", "2026-10-25"],
    "Asia/Kathmandu": ["1986-01-01", "2026-06-01"],  # a quarter past; once a jump of 15 minutes at midnight
    "Australia/Lord_Howe": ["2026-04-05", "2026-10-04"],  # half an hour of daylight saving
    "America/Havana": ["2026-03-08", "2026-11-01"],  # no midnight in spring, two in autumn
    "Asia/Beirut": ["2026-03-29", "2026-10-25"],  # no midnight in spring, 23:00 twice in autumn
    "America/Sao_Paulo": ["2018-11-04", "2019-02-17"],
    "Africa/Cairo": ["2026-04-24", "2026-10-30"],
    "Pacific/Apia": ["2011-12-30", "2011-09-24"],  # 30 December 2011 never was
    "Pacific/Kiritimati": ["1995-01-01", "1994-12-31"],  # a skipped day, and 40 minutes beside it
    "America/St_Johns": ["2010-03-14", "2010-11-07"],  # put back at 00:01: the day before is read twice
    "America/Toronto": ["1987-10-25", "1970-04-26"],
    "Asia/Manila": ["1990-05-21", "1990-07-29"],
    "Africa/Monrovia": ["1972-01-07"],  # 44 minutes and 30 seconds
}
"""Zones and days on, or right beside, which their clocks do something odd."""


@st.composite
def policies_and_moments(draw: st.DrawFn) -> tuple[MeterPolicy, float]:
    name = draw(st.sampled_from(sorted(LEAPS)))
    zone = ZoneInfo(name)
    day = datetime.fromisoformat(draw(st.sampled_from(LEAPS[name]))).replace(tzinfo=UTC).timestamp()
    near = st.integers(-60 * HOUR, 60 * HOUR).map(lambda off: day + off)
    far = st.integers(-400 * DAY, 400 * DAY).map(lambda off: day + off)
    to_the_second = st.integers(-3, 3).map(lambda off: begins(name, str(date.fromtimestamp(day))) + off)
    fractions = st.sampled_from([0.0, 0.5, 0.999_999_8])
    return calendar(draw(st.sampled_from(CALENDAR)), zone), draw(st.one_of(near, far, to_the_second)) + draw(fractions)


def calendar(window: Calendar, zone: ZoneInfo) -> MeterPolicy:
    return MeterPolicy("stories", 2, 5, window, zone)


def rolling(length: int = 30 * DAY) -> MeterPolicy:
    return MeterPolicy("stories", 2, 5, "rolling", UTC, length)


@cache
def begins(zone: str, day: str) -> int:
    """Search for the first second at which the local date is this day or later."""
    wanted, there = date.fromisoformat(day), ZoneInfo(zone)
    utc_midnight = int(datetime(wanted.year, wanted.month, wanted.day, tzinfo=UTC).timestamp())

    def reached(moment: int) -> bool:
        return datetime.fromtimestamp(moment, there).date() >= wanted

    coarse = next(at for at in range(utc_midnight - 36 * HOUR, utc_midnight + 36 * HOUR, 15) if reached(at))
    return next(at for at in range(coarse - 15, coarse + 1) if reached(at))


def first_day(window: Calendar, day: date) -> date:
    while (window == "week" and day.isoweekday() != 1) or (window == "month" and day.day != 1):
        day -= timedelta(days=1)
    return day


def next_first_day(window: Calendar, day: date) -> date:
    following = day + timedelta(days=1)
    while first_day(window, following) != following:
        following += timedelta(days=1)
    return following


@given(policies_and_moments())
def test_every_moment_lies_in_its_window(case: tuple[MeterPolicy, float]) -> None:
    policy, now = case
    window = window_at(policy, now)
    assert window.start <= now < window.end


@given(policies_and_moments())
def test_windows_tile_without_gap_or_overlap(case: tuple[MeterPolicy, float]) -> None:
    policy, now = case
    window = window_at(policy, now)
    assert window_at(policy, window.start) == window_at(policy, window.end - 1) == window
    assert window_at(policy, window.start - 1).end == window.start
    assert window_at(policy, window.end).start == window.end


@given(policies_and_moments())
def test_window_starts_at_the_first_moment_of_its_local_day(case: tuple[MeterPolicy, float]) -> None:
    policy, now = case
    assert isinstance(policy.zone, ZoneInfo)
    assert policy.window != "rolling"
    zone = policy.zone
    window = window_at(policy, now)
    day = datetime.fromtimestamp(window.start, zone).date()
    first = first_day(policy.window, day)
    assert window.start == begins(str(zone), str(first))
    assert window.end == begins(str(zone), str(next_first_day(policy.window, day)))


@given(policies_and_moments())
def test_window_starts_at_local_midnight_where_it_exists(case: tuple[MeterPolicy, float]) -> None:
    policy, now = case
    start = datetime.fromtimestamp(window_at(policy, now).start, policy.zone)
    midnight = start.replace(hour=0, minute=0, second=0)
    exists = datetime.fromtimestamp(midnight.timestamp(), policy.zone).replace(tzinfo=None) == midnight.replace(
        tzinfo=None
    )
    assert start == midnight or not exists


@pytest.mark.parametrize(
    ("zone", "at", "start", "end"),
    [
        ("America/New_York", "2026-03-08T12:00Z", "2026-03-08T05:00Z", "2026-03-09T04:00Z"),  # 23 hours
        ("America/New_York", "2026-11-01T12:00Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),  # 25 hours
        ("America/Havana", "2026-03-08T12:00Z", "2026-03-08T05:00Z", "2026-03-09T04:00Z"),  # begins at 01:00
        ("America/Havana", "2026-11-01T05:30Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),  # the second 00:30
        ("Asia/Beirut", "2026-10-24T20:30Z", "2026-10-23T21:00Z", "2026-10-24T22:00Z"),  # the first 23:30
        ("Asia/Beirut", "2026-10-24T21:30Z", "2026-10-23T21:00Z", "2026-10-24T22:00Z"),  # the second
        ("Asia/Kathmandu", "2026-11-24T12:00Z", "2026-11-23T18:15Z", "2026-11-24T18:15Z"),
        ("Australia/Lord_Howe", "2026-04-04T16:00Z", "2026-04-04T13:00Z", "2026-04-05T13:30Z"),  # 24 and a half
        ("Pacific/Apia", "2011-12-30T09:00Z", "2011-12-29T10:00Z", "2011-12-30T10:00Z"),
        ("Pacific/Apia", "2011-12-30T11:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"),
        ("America/St_Johns", "2010-11-07T02:40Z", "2010-11-07T02:30Z", "2010-11-08T03:30Z"),  # the second 23:10
    ],
)
def test_day_window_length_follows_daylight_saving_changes(zone: str, at: str, start: str, end: str) -> None:
    moment, first, last = (datetime.fromisoformat(text).timestamp() for text in (at, start, end))
    assert window_at(calendar("day", ZoneInfo(zone)), moment) == MeterWindow(int(first), int(last))


def test_week_starts_on_monday_and_month_on_the_first() -> None:
    zone = ZoneInfo("America/New_York")
    sunday = datetime(2026, 11, 1, 23, 59, 59, tzinfo=zone).timestamp()
    week, month = (window_at(calendar(window, zone), sunday) for window in ("week", "month"))
    assert datetime.fromtimestamp(week.start, zone).isoformat() == "2026-10-26T00:00:00-04:00"
    assert datetime.fromtimestamp(week.end, zone).isoformat() == "2026-11-02T00:00:00-05:00"
    assert datetime.fromtimestamp(month.start, zone).isoformat() == "2026-11-01T00:00:00-04:00"
    assert datetime.fromtimestamp(month.end, zone).isoformat() == "2026-12-01T00:00:00-05:00"


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati", "Asia/Kolkata"])
@pytest.mark.parametrize("window", ["day", "week", "month"])
@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
def test_window_exists_at_the_ends_of_the_calendar(zone: str, window: Literal["day", "week", "month"], at: str) -> None:
    found = window_at(calendar(window, ZoneInfo(zone)), datetime.fromisoformat(at).timestamp())
    assert found.start < found.end


@given(st.integers(0, 4 * 10**9), st.integers(1, 400))
def test_rolling_window_is_the_time_a_story_read_now_counts(now: int, days: int) -> None:
    policy = rolling(days * DAY)
    assert policy.rolling
    assert not calendar("month", ZoneInfo("UTC")).rolling
    assert window_at(policy, now) == MeterWindow(now, now + days * DAY)
    assert drop_expired(policy, {b"s": now}, now + days * DAY - 1) == {b"s": now}
    assert drop_expired(policy, {b"s": now}, now + days * DAY) == {}


def standing(
    policy: MeterPolicy, read: Mapping[bytes, int], window: MeterWindow, *, story: bytes = b"s", limit: int = 3
) -> MeterStanding:
    found = MeterUse(policy, window, story, Tally(read), None).standing(MeterLimit(limit))
    assert found is not None
    return found


READ = st.dictionaries(st.binary(min_size=1, max_size=2), st.integers(NOW - 40 * DAY, NOW), max_size=8)


@given(READ)
def test_rolling_window_frees_each_story_after_its_own_length(
    read: dict[bytes, int],
) -> None:
    policy = rolling()
    counting = drop_expired(policy, read, NOW)
    assert counting == {story: at for story, at in read.items() if NOW - at < 30 * DAY}
    frees = standing(policy, counting, window_at(policy, NOW)).resets_at
    assert (frees is None) is (not counting)
    if frees is not None:
        assert frees > NOW
        assert drop_expired(policy, counting, frees - 1) == counting
        assert len(drop_expired(policy, counting, frees)) < len(counting)


@given(READ, st.integers(0, 8), st.binary(min_size=1, max_size=2), st.sampled_from(["month", "rolling"]))
def test_meter_opens_while_stories_are_left_or_story_was_counted(
    read: dict[bytes, int], limit: int, story: bytes, window: str
) -> None:
    policy = rolling() if window == "rolling" else calendar("month", ZoneInfo("America/New_York"))
    at = window_at(policy, NOW)
    now = standing(policy, read, at, story=story, limit=limit)
    oldest_ends = min((read_at + policy.length for read_at in read.values()), default=None)
    resets_at = oldest_ends if window == "rolling" else at.end
    assert now == MeterStanding("stories", limit, len(read), story in read, resets_at)
    assert now.opens is (story in read or len(read) < limit)
    assert now.left == max(0, limit - len(read))
    assert now.would_count is (story not in read and len(read) < limit)
    assert not now.counted


def test_calendar_window_resets_at_its_end_whatever_was_read() -> None:
    policy = calendar("month", ZoneInfo("America/New_York"))
    window = window_at(policy, datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())
    end = int(datetime(2026, 12, 1, 5, tzinfo=UTC).timestamp())
    assert [standing(policy, read, window).resets_at for read in ({}, {b"s": 0})] == [end, end]


def test_empty_tally_has_no_reads_and_no_joined_visitor() -> None:
    assert Tally({}) == EMPTY_TALLY
    assert (EMPTY_TALLY.read, EMPTY_TALLY.joined) == ({}, None)


def test_standing_changes_when_a_visitor_is_another_readers_no_longer() -> None:
    def changes_at(visitor: Tally, limit: MeterLimit, *, signed_in: bool = True) -> int | None:
        reader, marks = (EMPTY_TALLY, (b"reader",)) if signed_in else (None, ())
        use = MeterUse(rolling(), MeterWindow(9, 9 + 30 * DAY), b"story", reader, visitor, marks)
        standing = use.standing(limit)
        assert standing is not None
        return standing.changes_at

    of_another = Tally({b"story": 5}, b"another", 50)
    assert changes_at(of_another, MeterLimit(2)) == 50
    assert changes_at(of_another, MeterLimit(2, "plan", 40)) == 40
    assert changes_at(of_another, MeterLimit(2, "plan", 60)) == 50
    assert changes_at(Tally({b"story": 5}, b"reader", 50), MeterLimit(2)) is None
    assert changes_at(Tally({}, b"another", 50), MeterLimit(2)) is None
    # A visitor's stories then join the meter of whoever signs in, so that signing in can open less.
    assert changes_at(of_another, MeterLimit(2), signed_in=False) == 50
    assert changes_at(Tally({b"story": 5}), MeterLimit(2), signed_in=False) is None
