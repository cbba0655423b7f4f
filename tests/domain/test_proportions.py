"""Test Wilson's interval against published values and its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.proportions import wilson


@pytest.mark.parametrize(
    ("hits", "cases", "low", "high"),
    [(10, 100, 0.05522914, 0.17436566), (0, 10, 0.0, 0.27753279), (10, 10, 0.72246721, 1.0), (1, 2, 0.09453, 0.90547)],
)
def test_wilson_interval_matches_published_values(hits: int, cases: int, low: float, high: float) -> None:
    found = wilson(hits, cases)
    assert found.low == pytest.approx(low, abs=1e-5)
    assert found.high == pytest.approx(high, abs=1e-5)


def test_wilson_interval_without_cases_has_no_share() -> None:
    assert (wilson(0, 0).share, wilson(3, 0).low, wilson(0, -1).high) == (None, None, None)


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_wilson_interval_contains_the_share_and_stays_in_0_to_1(hits: int, cases: int) -> None:
    found = wilson(hits, cases)
    assert found.share is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.share <= found.high <= 1
