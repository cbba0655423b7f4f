"""Test what `[grants]` allows admins to grant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.catalogue import DAY, Catalogue, GrantPolicy, Plan
from service.domain.grant_rules import find_end_mistakes, find_mistakes, needs_second_admin

NOW = 1_795_000_000
PLANS = {name: Plan(name, name, ("notebook",)) for name in ("supporter", "vip")}
STARTS = st.integers(NOW - 500 * DAY, NOW + 500 * DAY)
ENDS = st.one_of(st.none(), st.integers(NOW - 500 * DAY, NOW + 1_500 * DAY), st.integers(NOW - 2, NOW + 2))


def under(policy: GrantPolicy) -> Catalogue:
    return Catalogue("Site", UTC, (), {"notebook": "n", "no_ads": "a"}, PLANS, {}, "t", grants=policy)


def wrong(
    policy: GrantPolicy, *, plan: str | None = None, features: tuple[str, ...] = (), until: int | None = NOW + DAY
) -> Mapping[str, str]:
    return dict(find_mistakes(under(policy), plan=plan, features=features, start=NOW, until=until, now=NOW))


def test_empty_grant_policy_allows_every_existing_plan_and_feature() -> None:
    for plan in PLANS:
        assert wrong(GrantPolicy(), plan=plan) == {}
    assert wrong(GrantPolicy(), features=("notebook", "no_ads")) == {}
    assert wrong(GrantPolicy(), plan="vip", until=None) == {}


def test_unknown_plan_is_rejected_with_the_known_plans() -> None:
    assert wrong(GrantPolicy(), plan="gold") == {"plan": "there is no plan 'gold'; there are supporter, vip"}


def test_unknown_feature_is_rejected_at_its_place() -> None:
    found = wrong(GrantPolicy(), features=("events", "notebook", "gold"))
    assert set(found) == {"features.0", "features.2"}
    assert "notebook, no_ads" in found["features.0"]


def test_grant_policy_plans_limit_what_may_be_granted() -> None:
    policy = GrantPolicy(plans=("vip",))
    assert wrong(policy, plan="vip") == {}
    assert set(wrong(policy, plan="supporter")) == {"plan"}
    assert set(wrong(policy, features=("notebook",))) == {"features"}


def test_grant_needs_either_plan_or_features() -> None:
    for both in (wrong(GrantPolicy()), wrong(GrantPolicy(), plan="vip", features=("no_ads",))):
        assert set(both) == {"plan", "features"}


def test_all_grant_mistakes_are_reported_at_once() -> None:
    found = wrong(GrantPolicy(plans=("vip",), longest=DAY), features=("gold",), until=None)
    assert set(found) == {"features", "features.0", "until"}


@given(STARTS, ENDS, st.sampled_from([None, DAY, 400 * DAY]))
def test_grant_end_is_after_now_and_start_and_within_the_longest(
    start: int, until: int | None, longest: int | None
) -> None:
    length = None if until is None else until - now_or(start)
    fine = longest is None if length is None else length > 0 and (longest is None or length <= longest)
    found = find_end_mistakes(under(GrantPolicy(longest=longest)), start=start, until=until, now=NOW)
    assert [field for field, _ in found] == ([] if fine else ["until"])


def now_or(start: int) -> int:
    """Return the later of `start` and now: the length of a grant does not include the past."""
    return max(NOW, start)


@pytest.mark.parametrize(
    ("start", "until", "said"),
    [
        (NOW - DAY, NOW, "lies in the past"),
        (NOW + DAY, NOW + DAY, "later than from"),
        (NOW, NOW + 31 * DAY, "at most 30 days"),
        (NOW, None, "without an end"),
    ],
)
def test_rejected_grant_end_names_the_rule_it_breaks(start: int, until: int | None, said: str) -> None:
    found = find_end_mistakes(under(GrantPolicy(longest=30 * DAY)), start=start, until=until, now=NOW)
    assert said in found[0][1]


@pytest.mark.parametrize(
    ("longest", "said"), [(400 * DAY, "400 days"), (DAY // 2, "12 hours"), (90 * 60, "90 minutes"), (61, "61 seconds")]
)
def test_longest_grant_length_is_reported_in_a_fitting_unit(longest: int, said: str) -> None:
    for until in (None, NOW + 401 * DAY):
        assert wrong(GrantPolicy(longest=longest), plan="vip", until=until)["until"].endswith(f"at most {said}")


@given(st.integers(1, 300), STARTS, ENDS)
def test_second_admin_is_not_needed_without_a_confirm_policy(readers: int, start: int, until: int | None) -> None:
    assert not needs_second_admin(under(GrantPolicy()), start=start, until=until, now=NOW, readers=readers)


@given(st.integers(1, 300), STARTS, ENDS)
def test_second_admin_is_needed_beyond_either_bound_or_without_end(readers: int, start: int, until: int | None) -> None:
    both = under(GrantPolicy(confirm_readers=100, confirm_length=90 * DAY))
    many, long = readers > 100, until is None or until - now_or(start) > 90 * DAY
    assert needs_second_admin(both, start=start, until=until, now=NOW, readers=readers) is (many or long)
    only_many = under(GrantPolicy(confirm_readers=100))
    assert needs_second_admin(only_many, start=start, until=until, now=NOW, readers=readers) is many
    only_long = under(GrantPolicy(confirm_length=90 * DAY))
    assert needs_second_admin(only_long, start=start, until=until, now=NOW, readers=readers) is long
