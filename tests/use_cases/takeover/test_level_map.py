"""`takeover.toml`: what it says, every mistake in it, and the one that is proposed."""

from __future__ import annotations

import pytest

from service.domain.errors import InvalidFields
from service.domain.times import read_time
from service.use_cases.takeover.level_map import LevelCount, LevelMap, propose, read_level_map
from service.use_cases.takeover.planning import count_levels
from tests.use_cases.takeover.sample_exports import catalogue, level_map, read_sample


def _mistakes(text: str) -> dict[str, str]:
    with pytest.raises(InvalidFields) as caught:
        level_map(text)
    return dict(caught.value.errors)


def test_ends_are_dates_times_or_never() -> None:
    assert level_map("").ends == {"complimentary": None}
    given = level_map('[ends]\ncomplimentary = 2027-01-01\ngift = "2027-06-30"\nrecurring = "2027-01-31T12:00:00Z"')
    assert given.ends == {
        "complimentary": int(read_time("2027-01-02T05:00:00Z")),
        "gift": int(read_time("2027-07-01T04:00:00Z")),
        "recurring": int(read_time("2027-01-31T12:00:00Z")),
    }


def test_numbers_can_name_levels() -> None:
    assert level_map('free = [0, "1"]\n[levels]\n2 = "vip"').known_levels == {"0", "1", "2"}


def test_every_mistake_is_named() -> None:
    found = _mistakes(
        'fre = []\nfree = ["Gold"]\n[levels]\nGold = "vip"\nSilver = "none"\nTin = ""\n[ends]\ngift = "30d"\nlifetime = "never"'
    )
    assert set(found) == {"fre", "levels.Gold", "levels.Silver", "levels.Tin", "ends.gift", "ends.lifetime"}
    assert "supporter, newsroom, vip" in found["levels.Silver"]
    assert set(_mistakes("free = 1\nlevels = 2\nends = 3")) == {"free", "levels", "ends"}
    assert set(_mistakes('levels.Gold = ["vip"]\nends.gift = 1')) == {"levels.Gold", "ends.gift"}


@pytest.mark.parametrize("end", ['"soon"', '"30d"', '"2027-02-30"', "2027-06-30T00:00:00", "1", "[]"])
def test_wrong_end_is_not_answered_with_a_form_that_is_refused(end: str) -> None:
    """A span is allowed in other places, and not here."""
    assert _mistakes(f"ends.gift = {end}") == {
        "ends.gift": 'must be a date ("2027-06-30"), a time with its offset, or "never"'
    }


def test_file_that_is_no_toml_is_refused() -> None:
    assert "TOML" in _mistakes("free = [")["takeover.toml"]


def test_proposal_lists_every_level_with_its_count() -> None:
    levels = {
        "Gold": LevelCount(3, 2),
        "Supporter": LevelCount(1, 1),
        'A "b"': LevelCount(1, 0),
        "Free": LevelCount(9, 9),
    }
    text = propose(levels, "ghost", catalogue())
    assert 'free = ["Free"]' in text
    assert '"Gold" = ""  # 3 rows, 2 with access' in text
    assert '"Supporter" = "supporter"  # 1 row, 1 with access' in text
    assert text.index('"Gold"') < text.index('"Supporter"')


@pytest.mark.parametrize("sample", ["ghost", "leaky", "pmp", "woocommerce", "stripe_subscriptions"])
def test_proposal_with_plans_filled_in_is_read(sample: str) -> None:
    rows = read_sample(sample)
    text = propose(count_levels(rows), sample, catalogue()).replace('= ""', '= "vip"')
    found = read_level_map(text.encode(), catalogue())
    named = {level for row in rows if row.member.access for level in row.member.levels}
    assert named <= found.known_levels
    assert LevelMap().known_levels == frozenset()
