"""Test the status of a story pass, and how many gifts a reader can give."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

from service.domain.catalogue import Catalogue, Plan
from service.domain.sources import Holding, Reason, Standing
from service.domain.story_passes import StoryPass, gifts_per_month

NOW = 1_795_000_000
ACTIVE = StoryPass("p-1", "s-1", openings=2, until=NOW + 1, reason="newsletter", actor="ann", created_at=NOW, used=1)


def test_pass_is_active_until_it_is_used_up_expired_or_revoked() -> None:
    used_up = replace(ACTIVE, used=2)
    revoked = replace(used_up, revoked_at=NOW)
    assert [one.status_at(NOW) for one in (ACTIVE, used_up, revoked)] == ["active", "used_up", "revoked"]
    assert [one.status_at(NOW + 1) for one in (ACTIVE, used_up, revoked)] == ["expired", "expired", "revoked"]


def test_highest_number_of_gifts_among_active_plans_counts() -> None:
    plans = {name: Plan(name, name, ("notebook",), gifts_per_month=gifts) for name, gifts in (("a", 3), ("b", 9))}
    catalogue = Catalogue("The Daily Ledger", UTC, (), {"notebook": "x"}, plans, {}, "t")
    until = {"a": NOW + 1, "b": NOW, None: NOW + 1}
    held = [
        Holding("grant", "g", plan, ("notebook",), "active", Standing.GOOD, Reason.GRANT, None, end)
        for plan, end in until.items()
    ]
    assert gifts_per_month(held, catalogue, NOW) == 3
    assert gifts_per_month(held, catalogue, NOW - 1) == 9
    assert gifts_per_month([], catalogue, NOW) == 0
