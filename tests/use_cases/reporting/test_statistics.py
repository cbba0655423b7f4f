"""Test what a period comes to, the period before it, and weeks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from service.use_cases.reporting.statistics import Delay, Period, Point, _totals, by_week, conversion

EMPTY = Point("2026-11-01", {}, 0, 0, 0, {}, {}, Delay(0, None, None, None))


def day(when: str, **fields: Any) -> Point:
    return replace(EMPTY, when=when, **fields)


@pytest.mark.parametrize(
    ("first", "last", "previous"),
    [
        (date(2026, 11, 23), date(2026, 11, 29), Period(date(2026, 11, 16), date(2026, 11, 22))),
        (date(2026, 3, 1), date(2026, 3, 1), Period(date(2026, 2, 28), date(2026, 2, 28))),
    ],
)
def test_previous_period_ends_the_day_before_and_is_as_long(first: date, last: date, previous: Period) -> None:
    assert Period(first, last).previous == previous
    assert len(Period(first, last).days) == len(previous.days)


def test_totals_add_up_days_and_take_the_last_counts() -> None:
    points = [
        day("2026-11-01", started=2, entitlements={"vip": 9}, past_due=4),
        day("2026-11-02", started=1, canceled=1, entitlements={"vip": 5}, past_due=0, begun=1, upsell_readers=10),
        day("2026-11-03"),
    ]
    found = _totals(points, is_whole=False)
    assert (found.active, found.past_due, found.started, found.canceled) == ({"vip": 5}, 0, 3, 1)
    assert found.conversion.share == 0.1


def test_period_counted_only_in_part_has_no_sums_to_compare_with() -> None:
    points = [day("2026-11-01"), day("2026-11-02", started=3, entitlements={"vip": 5}, past_due=1)]
    found = _totals(points, is_whole=False)
    assert (found.active, found.past_due, found.started, found.canceled) == ({"vip": 5}, 1, None, None)
    assert _totals(points, is_whole=True).started == 3
    assert _totals([], is_whole=False).active is None


def test_weeks_begin_on_monday_and_have_one_share_each() -> None:
    points = [day(f"2026-11-{number}", begun=1, upsell_readers=4) for number in range(21, 31)]
    weeks = list(by_week(points))
    assert [monday.isoformat() for monday, _ in weeks] == ["2026-11-16", "2026-11-23", "2026-11-30"]
    assert [conversion(days).cases for _, days in weeks] == [8, 28, 4]
