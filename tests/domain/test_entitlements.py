"""Test which source gives each feature, and when that can change."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from service.domain.decision import NO_ENTITLEMENTS, Entitlements, precedence, resolve_entitlements
from service.domain.sources import Holding, Reason, Standing

NOW = 1_795_000_000
FEATURES = ("notebook", "no_ads", "events")
ORDER = ("subscription", "trial", "grace", "pass", "seat", "grant", "gift", "institution")
"""The contract's order of the reasons that a source can have."""

MOMENTS = st.integers(NOW - 4, NOW + 4)
STANDINGS: list[tuple[Standing, Reason | None]] = [(Standing.ENDED, None), (Standing.NONE, None)]
STANDINGS += [(base, Reason(word)) for word in ORDER for base in (Standing.GOOD, Standing.GRACE)]
GIVEN = [given_ for length in range(4) for given_ in combinations(FEATURES, length)]
NEAR = [None, *range(NOW - 4, NOW + 5)]
POOL = [
    Holding("subscription", "", "supporter", names, "active", base, reason, start, until, waits)
    for (base, reason), names, start, until, waits in product(STANDINGS, GIVEN, NEAR, NEAR, (True, False))
]
"""Everything that a holding can be, close together in time, so that ends and starts meet."""


def holdings() -> st.SearchStrategy[list[Holding]]:
    return st.lists(st.sampled_from(POOL), max_size=6).map(
        lambda found: [replace(each, id=f"s{place * 5 % 7}") for place, each in enumerate(found)]
    )


def holding(until: int | None = None, reason: str = "subscription", name: str = "s", **more: object) -> Holding:
    basis = Holding(
        "subscription", name, "supporter", ("notebook",), "active", Standing.GOOD, Reason(reason), NOW - 9, until
    )
    return replace(basis, **more)  # type: ignore[arg-type]  # a field of the caller's


def best(*found: Holding, feature: str = "notebook") -> Holding:
    return resolve_entitlements(found, FEATURES, NOW).by_feature[feature]


@given(holdings(), MOMENTS)
def test_features_are_the_union_over_active_sources(found: list[Holding], now: int) -> None:
    held = resolve_entitlements(found, FEATURES, now)
    giving = {name for each in found if each.is_active_at(now) for name in each.features}
    assert held.features == tuple(name for name in FEATURES if name in giving), "in the catalogue's order"


@given(holdings(), MOMENTS)
def test_feature_comes_from_source_with_latest_end_then_reason_order(found: list[Holding], now: int) -> None:
    for name, winner in resolve_entitlements(found, FEATURES, now).by_feature.items():
        rivals = [each for each in found if each.is_active_at(now) and name in each.features]
        assert winner in rivals
        for rival in rivals:
            ends = [10**12 if each.until is None else each.until for each in (winner, rival)]
            assert ends[0] >= ends[1]
            if ends[0] == ends[1]:
                assert winner.reason is not None
                assert rival.reason is not None
                assert ORDER.index(winner.reason.value) <= ORDER.index(rival.reason.value)


def test_source_without_end_has_the_latest_end() -> None:
    assert best(holding(NOW + 9, name="a"), holding(None, "gift", "b")).id == "b"


def test_equal_ends_are_ranked_by_the_reason_order_of_the_contract() -> None:
    for until in (None, NOW + 9):
        ranked = [holding(until, reason, name=str(9 - place)) for place, reason in enumerate(ORDER)]
        for place, better in enumerate(ranked):
            for worse in ranked[place:]:
                assert best(better, worse) == best(worse, better) == better


@given(holdings(), MOMENTS, st.randoms(use_true_random=False))
def test_stored_order_of_sources_does_not_change_the_result(found: list[Holding], now: int, chance: Random) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert resolve_entitlements(shuffled, FEATURES, now) == resolve_entitlements(found, FEATURES, now)


def test_plans_of_one_subscription_with_equal_ends_have_a_stable_winner() -> None:
    two = holding(NOW + 9, plan="archive"), holding(NOW + 9, plan="supporter")
    assert best(*two) == best(*reversed(two))


@given(holdings(), MOMENTS, st.lists(st.sampled_from([*FEATURES, "unknown"]), max_size=3, unique=True))
def test_opener_is_the_source_with_the_latest_end(found: list[Holding], now: int, requires: list[str]) -> None:
    held = resolve_entitlements(found, FEATURES, now)
    opener = held.opener(requires)
    assert held.opens(requires) is (opener is not None)
    able = [each for each in found if each.is_active_at(now) and not set(requires).isdisjoint(each.features)]
    assert opener == (min(able, key=precedence) if able else None)


@given(holdings(), holdings(), MOMENTS)
def test_adding_a_source_never_removes_a_feature_or_shortens_it(
    found: list[Holding], more: list[Holding], now: int
) -> None:
    before, after = (resolve_entitlements(sources, FEATURES, now).by_feature for sources in (found, [*found, *more]))
    assert set(before) <= set(after)
    for name, winner in before.items():
        assert precedence(after[name])[0] <= precedence(winner)[0]


@given(holdings(), st.data(), MOMENTS)
def test_ending_one_source_never_touches_another(found: list[Holding], data: st.DataObject, now: int) -> None:
    if not found:
        return
    place = data.draw(st.integers(0, len(found) - 1))
    over = replace(found[place], base=Standing.ENDED, reason=None)
    before = resolve_entitlements(found, FEATURES, now).by_feature
    after = resolve_entitlements([*found[:place], over, *found[place + 1 :]], FEATURES, now).by_feature
    rest = resolve_entitlements([*found[:place], *found[place + 1 :]], FEATURES, now).by_feature
    assert after == rest
    for name, winner in before.items():
        if winner is not found[place]:
            assert after[name] is winner


@given(holdings(), MOMENTS)
def test_features_stay_the_same_until_changes_at(found: list[Holding], now: int) -> None:
    held = resolve_entitlements(found, FEATURES, now)
    ends = [winner.until for winner in held.by_feature.values() if winner.until is not None]
    starts = [each.start for each in found if each.becomes_active_after(now) and each.start is not None]
    assert held.changes_at == min([*ends, *starts], default=None)
    for later in range(now, NOW + 12 if held.changes_at is None else held.changes_at):
        assert resolve_entitlements(found, FEATURES, later).by_feature == held.by_feature
    if held.changes_at is not None and held.changes_at in ends:
        assert resolve_entitlements(found, FEATURES, held.changes_at).by_feature != held.by_feature


def test_end_of_a_source_that_another_outlasts_is_no_change() -> None:
    held = resolve_entitlements([holding(NOW + 3, name="a"), holding(NOW + 9, name="b")], FEATURES, NOW)
    assert held.changes_at == NOW + 9


def test_reader_without_sources_has_no_features_and_no_change() -> None:
    assert resolve_entitlements([], FEATURES, NOW) == NO_ENTITLEMENTS == Entitlements({}, None)
    assert (NO_ENTITLEMENTS.features, NO_ENTITLEMENTS.opener(FEATURES)) == ((), None)


def test_source_ending_before_its_start_never_starts() -> None:
    never = holding(NOW - 1, start=NOW + 5, waits=True)
    assert resolve_entitlements([never], FEATURES, NOW) == NO_ENTITLEMENTS
    assert never.standing_at(NOW) is Standing.ENDED
