"""Test how moments are read and written."""

from __future__ import annotations

import pytest

from service.domain.times import LAST_SECOND, read_time, write_time


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-11-20T09:00:00Z", 1_795_165_200),
        ("2026-11-20t10:00:00+01:00", 1_795_165_200),
        ("2026-11-20 09:00:00.5Z", 1_795_165_200.5),
    ],
)
def test_time_with_an_offset_is_read_as_epoch_seconds(written: str, moment: float) -> None:
    assert read_time(written) == moment


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (1_795_165_200, "as a string"),
        ("tomorrow", "a date and a time"),
        ("2026-11-20", "a date and a time"),
        ("2026-13-01T09:00:00Z", "a date and a time that exist"),
        ("2026-02-29T09:00:00Z", "a date and a time that exist"),
        ("0001-01-01T00:00:00+14:00", "a date and a time that exist"),
        ("2026-11-20T09:00:00", "offset"),
        (f"2026-11-20T09:00:00.{'0' * 33}Z", "a date and a time"),  # Texts are cached, so none may be long.
    ],
)
def test_what_is_no_moment_is_refused_with_the_reason(written: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_time(written)


def test_moment_is_written_in_utc_and_none_after_the_last_year() -> None:
    assert write_time(1_795_165_200.9) == "2026-11-20T09:00:00Z"
    assert write_time(LAST_SECOND) == "9999-12-31T23:59:59Z"
    assert write_time(LAST_SECOND + 1) is None
    assert write_time(None) is None
