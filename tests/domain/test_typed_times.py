"""Test dates and spans as people type them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from service.domain.typed_times import read_typed_time

NEW_YORK, BEIRUT = ZoneInfo("America/New_York"), ZoneInfo("Asia/Beirut")
NOW = 1_795_000_000.5


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("typed", "end", "start"),
    [
        ("2027-01-01", "2027-01-02T00:00:00-05:00", "2027-01-01T00:00:00-05:00"),
        ("2027-03-14", "2027-03-15T00:00:00-04:00", "2027-03-14T00:00:00-05:00"),  # the clock goes forward
        ("2027-12-31", "2028-01-01T00:00:00-05:00", "2027-12-31T00:00:00-05:00"),
    ],
)
def test_date_is_the_whole_day_as_an_end_and_its_start_otherwise(typed: str, end: str, start: str) -> None:
    assert read_typed_time(typed, NOW, NEW_YORK, is_end=True) == moment(end)
    assert read_typed_time(typed, NOW, NEW_YORK, is_end=False) == moment(start)


def test_date_whose_midnight_is_skipped_starts_at_the_first_moment() -> None:
    """In Beirut the clock goes from 00:00 to 01:00 on that night."""
    first = moment("2027-03-28T01:00:00+03:00")
    assert read_typed_time("2027-03-28", NOW, BEIRUT, is_end=False) == first
    assert read_typed_time("2027-03-27", NOW, BEIRUT, is_end=True) == first


@pytest.mark.parametrize(
    ("typed", "seconds"), [("30d", 30 * 86_400), ("1d", 86_400), ("12h", 43_200), ("036h", 129_600)]
)
def test_span_counts_from_now_in_days_of_24_hours(typed: str, seconds: int) -> None:
    for is_end in (True, False):
        assert read_typed_time(typed, NOW, NEW_YORK, is_end=is_end) == int(NOW) + seconds


def test_time_with_an_offset_is_taken_as_before() -> None:
    for typed in ("2027-01-01T09:00:00Z", "2027-01-01 09:00:00Z", "2027-01-01t10:00+01:00"):
        assert read_typed_time(typed, NOW, NEW_YORK, is_end=True) == moment("2027-01-01T09:00:00+00:00")


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("0d", "above zero"),
        ("00h", "above zero"),
        ("-3d", "must be a date"),
        ("1.5d", "must be a date"),
        ("30", "must be a date"),
        ("30 d", "must be a date"),
        ("30D", "must be a date"),
        ("9999999d", "year 10000"),
        ("٣d", "must be a date"),
        ("2027-02-30", "exists"),
        ("01/02/2027", "must be a date"),
        ("9999-12-31", "years 2 to 9998"),
        ("0001-01-01", "years 2 to 9998"),
        ("2027-01-01T09:00", "offset"),
        ("tomorrow", "must be a date"),
        ("", "must be a date"),
    ],
)
def test_anything_else_is_refused_with_what_to_type(typed: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_typed_time(typed, NOW, NEW_YORK, is_end=True)
