"""Test the limits of meters that plans have: from which sources, which one is in force, and when it changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Literal

import pytest

from service.domain.catalogue import Catalogue, MeterPolicy, Plan, Story, Tier
from service.domain.decision import decide, explain, resolve_entitlements
from service.domain.meter import MeterLimit, MeterUse, Tally, window_at
from service.domain.reader_sentences import reader_sentence
from service.domain.reader_states import summarize_holdings
from service.domain.sources import External, Grant, Item, Pass, Source, Subscription

NOW = 1_795_000_000
MONTH = 30 * 86_400
METER = MeterPolicy("stories", 2, 5, "rolling", UTC, MONTH)
TIER = Tier("metered", ("notebook",), meter="stories")
PLANS = (
    Plan("reader", "Reader", (), ("price_reader",), meters=(("stories", 20), ("others", 3))),
    Plan("local", "Local", ("no_ads",), ("price_local",), meters=(("stories", 9),)),
    Plan("same", "Same", (), ("price_same",), meters=(("stories", 20),)),
    Plan("equal", "Equal", (), ("price_equal",), meters=(("stories", 5),)),
    Plan("less", "Less", (), ("price_less",), meters=(("stories", 2),)),
    Plan("group", "Group", (), ("price_seat",), seats=True, meters=(("stories", 20),)),
    Plan("day", "Day", (), ("price_day",), pass_hours=24, meters=(("stories", 20),)),
    Plan("supporter", "Supporter", ("notebook",), ("price_month",)),
)
CATALOGUE = Catalogue(
    "Site",
    UTC,
    (),
    {"notebook": "", "no_ads": ""},
    {plan.id: plan for plan in PLANS},
    {TIER.name: TIER},
    TIER.name,
    meters={"stories": METER},
    leeway=0,
)


def subscription(
    status: str, price: str = "price_reader", role: Literal["subscription", "seat", "gift"] = "subscription"
) -> Subscription:
    item = Item(price, None, None, 1, NOW - 9, NOW + 9)
    return Subscription("sub_1", status, (item,), NOW - 9, trial_end=NOW + 9, role=role, ended_at=NOW - 1)


def grant(plan: str, start: int = -9, until: int | None = 9) -> Grant:
    return Grant("g", plan, (), "", NOW + start, None if until is None else NOW + until, "", NOW)


def limit_of(*sources: Source, now: float = NOW) -> MeterLimit:
    holdings = [holding for source in sources for holding in source.holdings(CATALOGUE)]
    return resolve_entitlements(holdings, CATALOGUE.features, now).meter_limit(METER, now)


OWN = MeterLimit(5)


@pytest.mark.parametrize(
    ("source", "limit"),
    [
        (subscription("active"), 20),
        (subscription("trialing"), 20),
        (subscription("past_due"), 20),
        (subscription("canceled"), 5),
        (subscription("incomplete"), 5),
        (subscription("unpaid"), 5),
        (subscription("active", role="gift"), 20),
        (subscription("active", "price_seat", "seat"), 20),
        (subscription("active", "price_seat"), 5),
        (subscription("active", "price_month"), 5),
        (Pass("cs_1", "price_day", None, None, NOW - 9), 20),
        (Pass("cs_1", "price_day", None, None, NOW - 9, gift=True), 20),
        (Pass("cs_1", "price_day", None, None, NOW - 9, refunded=True), 5),
        (Pass("cs_1", "price_reader", None, None, NOW - 9), 5),
        (grant("reader"), 20),
        (grant("reader", start=1), 5),
        (grant("reader", until=0), 5),
        (replace(grant("reader"), revoked_at=NOW - 1), 5),
        (grant("less"), 5),
        (External("print:1", "reader", NOW - 9, NOW + 9), 20),
        (External("print:1", "reader", NOW - 9, NOW + 9, ended_at=NOW - 1), 5),
    ],
)
def test_limit_holds_while_the_source_is_good_or_in_grace(source: Source, limit: int) -> None:
    found = limit_of(source)
    assert found.stories == limit
    assert (found.plan is None) is (limit == 5)


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ((), OWN),
        ((grant("reader"), grant("local")), MeterLimit(20, "reader", NOW + 9)),
        ((grant("local"), grant("reader", until=None)), MeterLimit(20, "reader", None)),
        # Of equal limits the source that lasts longest; of equal ends the order of sources.
        ((grant("reader"), grant("same", until=10)), MeterLimit(20, "same", NOW + 10)),
        ((grant("same", until=10), grant("reader")), MeterLimit(20, "same", NOW + 10)),
        ((grant("same"), grant("reader")), MeterLimit(20, "reader", NOW + 9)),
        # Only a higher limit that begins later changes the one in force.
        ((grant("local"), grant("reader", start=4)), MeterLimit(9, "local", NOW + 4)),
        ((grant("reader"), grant("local", start=4)), MeterLimit(20, "reader", NOW + 9)),
        ((grant("reader", start=4),), MeterLimit(5, None, NOW + 4)),
        ((grant("less", start=4), grant("equal")), OWN),
    ],
)
def test_highest_limit_is_in_force_until_it_can_change(sources: tuple[Source, ...], expected: MeterLimit) -> None:
    assert limit_of(*sources) == expected


def test_limit_changes_at_its_end_to_the_second() -> None:
    assert limit_of(grant("reader"), now=NOW + 8.9).stories == 20
    assert limit_of(grant("reader"), now=NOW + 9) == OWN


def test_plan_without_features_gives_no_access_and_no_feature() -> None:
    holdings = grant("reader").holdings(CATALOGUE)
    state = summarize_holdings(holdings, NOW)
    assert (state.access, state.plans, state.standing.value) == (False, ("reader",), "good")
    assert summarize_holdings(grant("local").holdings(CATALOGUE), NOW).access
    held = resolve_entitlements(holdings, CATALOGUE.features, NOW)
    # Its end changes no feature, so it changes no answer that no meter decides.
    assert (held.features, held.changes_at, held.limits_change_at) == ((), None, NOW + 9)


def test_explanation_and_sentence_name_the_plan() -> None:
    held = resolve_entitlements(grant("reader").holdings(CATALOGUE), CATALOGUE.features, NOW)
    read = Tally({b"a": NOW - 1})
    use = MeterUse(METER, window_at(METER, NOW), b"s", read, None)
    meter = use.standing(held.meter_limit(METER, NOW))
    decision = decide(Story("s"), TIER, held, meter, now=NOW, catalogue=CATALOGUE)
    assert explain(decision, TIER)[-1].values["plan"] == "reader"
    assert reader_sentence(decision, CATALOGUE).startswith("This is one of your 20 stories with Reader; 19 left")
    assert decision.refresh_after == NOW + 9
