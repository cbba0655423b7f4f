"""Test what each source gives, until when, and its standing, to the second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from itertools import permutations
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.catalogue import DAY, HOUR, Catalogue, Plan
from service.domain.sources import (
    RANK,
    STANDING,
    TERMINAL,
    External,
    Grant,
    Holding,
    Item,
    Pass,
    Reason,
    Source,
    Standing,
    StripeEntitlements,
    Subscription,
)

NOW = 1_795_000_000
MONTH = 30 * DAY
LEEWAY = 36 * HOUR
GOOD, GRACE, ENDED, NONE = Standing.GOOD, Standing.GRACE, Standing.ENDED, Standing.NONE

PLANS = {
    "supporter": Plan("supporter", "Supporter", ("notebook", "no_ads"), prices=("price_month",), grace_days=10),
    "archive": Plan(
        "archive", "Archive", ("archive",), prices=("price_year",), products=("prod_archive",), grace_days=3
    ),
    "day_pass": Plan("day_pass", "Day pass", ("notebook",), prices=("price_day",), pass_hours=24),
    "newsroom": Plan("newsroom", "Group", ("notebook",), prices=("price_seat",), seats=True),
    "vip": Plan("vip", "VIP", ("notebook", "events")),
}
CATALOGUE = Catalogue(
    site_name="The Daily Ledger",
    zone=UTC,
    origins=(),
    features=dict.fromkeys(("notebook", "no_ads", "archive", "events"), "A line"),
    plans=PLANS,
    tiers={},
    default_tier="t",
    leeway=LEEWAY,
)

CONTRACT: Mapping[str, tuple[str, str | None]] = {
    "trialing": ("good", "trial"),
    "active": ("good", "subscription"),
    "past_due": ("grace", "grace"),
    "incomplete": ("none", None),
    "canceled": ("ended", None),
    "incomplete_expired": ("ended", None),
    "unpaid": ("ended", None),
    "paused": ("ended", None),
}
"""Status → standing, reason: the contract's table, written down a second time."""

GIVING = tuple(status for status, (_, reason) in CONTRACT.items() if reason)
UNKNOWN = st.text(max_size=12).filter(lambda word: word not in CONTRACT)
MOMENTS = st.integers(NOW - 2 * MONTH, NOW + 2 * MONTH)
ROLES = st.sampled_from(["subscription", "seat", "gift"])


def item(price: str, start: int = NOW, end: int = NOW + MONTH) -> Item:
    return Item(price, None, None, 1, start, end)


def subscription(
    status: str = "active", *items: Item, role: Literal["subscription", "seat", "gift"] = "subscription"
) -> Subscription:
    since = NOW + 5 if role == "seat" else None
    return Subscription("sub_1", status, items or (item("price_month"),), NOW - 7, role=role, since=since)


def only(source: Source) -> Holding:
    (holding,) = source.holdings(CATALOGUE)
    return holding


def by_plan(source: Source) -> dict[str | None, Holding]:
    return {holding.plan: holding for holding in source.holdings(CATALOGUE)}


# ------------------------------------------------------------------------------------------------ the tables


def test_every_status_has_the_standing_of_the_contract() -> None:
    assert {status: (standing.value, reason) for status, (standing, reason) in STANDING.items()} == CONTRACT
    assert set(TERMINAL) == {"canceled", "incomplete_expired"}


def test_standings_and_reasons_are_those_of_the_contract_in_order() -> None:
    assert [standing.value for standing in Standing] == ["good", "grace", "ended", "none"]
    opened = [
        "free",
        "registered",
        "subscription",
        "trial",
        "grace",
        "pass",
        "seat",
        "grant",
        "gift",
        "institution",
        "metered",
    ]
    locked = ["no_entitlement", "meter_used_up", "sign_in_required", "verification_required"]
    assert [reason.value for reason in Reason] == [*opened, "store_unavailable", *locked]
    assert sorted(RANK, key=RANK.__getitem__) == list(Reason)


# --------------------------------------------------------------------------------------------- subscriptions


@given(st.one_of(st.sampled_from(sorted(CONTRACT)), UNKNOWN), ROLES, MOMENTS)
def test_status_gives_access_only_where_the_table_has_a_reason(
    status: str, role: Literal["subscription", "seat", "gift"], now: int
) -> None:
    price = "price_seat" if role == "seat" else "price_month"
    holding = only(subscription(status, item(price, NOW - MONTH, NOW), role=role))
    standing, reason = CONTRACT.get(status, ("none", None))
    of_role = reason if role == "subscription" or reason is None else role
    assert (holding.base.value, holding.reason, holding.status_at(now)) == (standing, of_role, status)
    assert holding.is_active_at(now) is (reason is not None and holding.until is not None and now < holding.until)


@given(UNKNOWN)
def test_unknown_status_gives_nothing(status: str) -> None:
    holding = only(subscription(status))
    assert (holding.base, holding.reason, holding.until) == (NONE, None, None)


@given(st.sampled_from(GIVING), st.one_of(st.none(), MOMENTS), st.booleans(), st.integers(-3, 3))
def test_access_holds_while_now_is_before_until(status: str, cancel_at: int | None, flag: bool, off: int) -> None:
    given_ = replace(subscription(status), cancel_at=cancel_at, cancel_at_period_end=flag, trial_end=NOW + DAY)
    holding = only(given_)
    assert holding.until is not None
    now = holding.until + off
    assert holding.is_active_at(now) is (off < 0)
    assert holding.standing_at(now) is (STANDING[status][0] if off < 0 else ENDED)


def test_active_subscription_holds_until_period_end_plus_leeway() -> None:
    holding = only(subscription("active", item("price_month", NOW, NOW + MONTH)))
    assert (holding.until, holding.ending, holding.start) == (NOW + MONTH + LEEWAY, False, NOW - 7)


def test_trial_holds_until_trial_end_plus_leeway() -> None:
    trial = replace(subscription("trialing", item("price_month", NOW, NOW + MONTH)), trial_end=NOW + 7 * DAY)
    assert only(trial).until == NOW + 7 * DAY + LEEWAY
    assert only(replace(trial, trial_end=None)).until == NOW + MONTH + LEEWAY, "without its end: the period's"


def test_leeway_is_read_from_the_current_catalogue() -> None:
    (holding,) = subscription("active").holdings(replace(CATALOGUE, leeway=0))
    assert holding.until == NOW + MONTH


@pytest.mark.parametrize("status", ["active", "trialing"])
def test_cancel_at_is_the_exact_end_without_leeway(status: str) -> None:
    for cancel_at in (NOW + 3, NOW + MONTH, NOW + 3 * MONTH):
        ended = replace(subscription(status), cancel_at=cancel_at, trial_end=NOW + DAY)
        assert (only(ended).until, only(ended).ending) == (cancel_at, True)


@pytest.mark.parametrize("status", ["active", "trialing"])
def test_cancel_at_period_end_ends_at_period_end_without_leeway(status: str) -> None:
    ended = replace(subscription(status), cancel_at_period_end=True, trial_end=NOW + MONTH)
    assert (only(ended).until, only(ended).ending) == (NOW + MONTH, True)


def test_cancel_at_takes_precedence_over_cancel_at_period_end() -> None:
    both = replace(subscription("active"), cancel_at=NOW + 3, cancel_at_period_end=True)
    assert only(both).until == both.scheduled_end == NOW + 3


def test_cancel_at_period_end_ends_all_plans_with_the_last_period() -> None:
    items = item("price_month", NOW, NOW + MONTH), item("price_year", NOW, NOW + 12 * MONTH)
    ended = by_plan(replace(subscription("active", *items), cancel_at_period_end=True))
    assert {holding.until for holding in ended.values()} == {NOW + 12 * MONTH}


def test_cancel_at_period_end_without_items_schedules_no_end() -> None:
    empty = Subscription("sub_1", "active", (), NOW - 7, cancel_at_period_end=True)
    assert empty.scheduled_end is None
    assert (only(empty).plan, only(empty).features, only(empty).until) == (None, (), NOW - 7 + LEEWAY)


@given(st.sampled_from(sorted(CONTRACT)), MOMENTS, MOMENTS)
def test_scheduled_end_that_passed_without_event_ends_the_standing(status: str, cancel_at: int, now: int) -> None:
    holding = only(replace(subscription(status), cancel_at=cancel_at))
    assert holding.status_at(now) == status
    assert holding.ending is (status in GIVING)
    if status in GIVING and now >= cancel_at:
        assert holding.standing_at(now) is ENDED


def test_past_due_keeps_access_for_grace_days_of_the_unpaid_period() -> None:
    holding = only(subscription("past_due", item("price_month", NOW, NOW + MONTH)))
    assert (holding.until, holding.reason, holding.ending) == (NOW + 10 * DAY, Reason.GRACE, False)
    assert holding.standing_at(NOW + 10 * DAY - 1) is GRACE
    assert holding.standing_at(NOW + 10 * DAY) is ENDED


def test_past_due_grace_uses_latest_period_and_grace_days_of_each_plan() -> None:
    items = item("price_month", NOW, NOW + MONTH), item("price_year", NOW - 6 * MONTH, NOW + 6 * MONTH)
    held = by_plan(subscription("past_due", *items))
    assert {plan: holding.until for plan, holding in held.items()} == {
        "supporter": NOW + 10 * DAY,
        "archive": NOW + 3 * DAY,
    }


@given(st.integers(1, 60))
def test_scheduled_end_within_grace_shortens_it_and_a_later_one_does_not(days: int) -> None:
    holding = only(replace(subscription("past_due"), cancel_at=NOW + days * DAY))
    assert (holding.until, holding.ending) == (NOW + min(days, 10) * DAY, True)


def test_past_due_price_of_no_plan_has_14_grace_days_and_no_features() -> None:
    holding = only(subscription("past_due", item("price_unknown")))
    assert (holding.plan, holding.features, holding.until) == (None, (), NOW + 14 * DAY)
    assert not holding.is_active_at(NOW)


@given(st.sampled_from(["canceled", "incomplete_expired", "unpaid", "paused"]), st.one_of(st.none(), MOMENTS), MOMENTS)
def test_ended_subscription_gives_nothing_and_keeps_its_end(status: str, ended_at: int | None, now: int) -> None:
    over = replace(subscription(status), ended_at=ended_at, cancel_at=NOW + MONTH, cancel_at_period_end=True)
    holding = only(over)
    assert (holding.until, holding.ending, holding.standing_at(now)) == (ended_at, False, ENDED)
    assert not holding.is_active_at(now)
    assert not holding.becomes_active_after(now)


def test_plan_of_several_items_has_their_latest_period_end() -> None:
    items = (
        item("price_month", NOW, NOW + MONTH),
        item("price_month", NOW, NOW + 2 * MONTH),
        Item("price_other", None, "prod_archive", 1, NOW, NOW + 12 * MONTH),
    )
    held = by_plan(subscription("active", *items))
    assert {plan: holding.until for plan, holding in held.items()} == {
        "supporter": NOW + 2 * MONTH + LEEWAY,
        "archive": NOW + 12 * MONTH + LEEWAY,
    }


def test_items_of_several_plans_give_one_holding_per_plan() -> None:
    items = item("price_month"), item("price_year"), item("price_month"), item("price_unknown")
    holdings = subscription("active", *items).holdings(CATALOGUE)
    assert [(holding.id, holding.plan) for holding in holdings] == [("sub_1", "supporter"), ("sub_1", "archive")]
    assert {holding.key for holding in holdings} == {"subscription:sub_1"}


def test_unmapped_price_beside_a_plan_is_not_listed() -> None:
    assert list(by_plan(subscription("active", item("price_unknown"), item("price_month")))) == ["supporter"]


def test_unmapped_price_is_kept_and_counts_once_configured() -> None:
    source = subscription("active", Item("price_new", "key_new", "prod_new", 1, NOW, NOW + MONTH))
    unknown = only(source)
    assert (unknown.plan, unknown.features, unknown.until) == (None, (), NOW + MONTH + LEEWAY)
    assert not unknown.is_active_at(NOW)
    bare = replace(PLANS["supporter"], prices=())
    by_id, by_key = replace(bare, prices=("price_new",)), replace(bare, prices=("key_new",))
    for plan in (by_id, by_key, replace(bare, products=("prod_new",))):
        later = replace(CATALOGUE, plans={"supporter": plan})
        (known,) = source.holdings(later)
        assert (known.plan, known.features) == ("supporter", ("notebook", "no_ads"))
        assert known.is_active_at(NOW)


def test_new_subscription_ahead_of_our_clock_is_active_at_once() -> None:
    ahead = replace(subscription("active", item("price_month", NOW + 90, NOW + MONTH)), created=NOW + 90)
    assert only(ahead).is_active_at(NOW)


@pytest.mark.parametrize("confirmed", [True, False])
def test_holding_is_as_confirmed_as_its_source(confirmed: bool) -> None:
    reports: list[Subscription | Pass | StripeEntitlements] = [
        subscription(),
        subscription("active", item("price_seat"), role="seat"),
        subscription(role="gift"),
        Pass("cs_1", "price_day", None, None, NOW),
        StripeEntitlements("cus_1", ("notebook",)),
    ]
    for source in reports:
        assert only(replace(source, confirmed=confirmed)).confirmed is confirmed


# ----------------------------------------------------------------------------------------- seats, gifts, passes


def test_group_owner_holds_no_seat_unless_assigned_one() -> None:
    for role in ("subscription", "gift"):
        owner = only(replace(subscription("active", item("price_seat")), role=role))
        assert (owner.type, owner.plan, owner.features) == (role, "newsroom", ())
        assert not owner.is_active_at(NOW)
    seat = only(subscription("active", item("price_seat"), role="seat"))
    assert (seat.type, seat.id, seat.features, seat.reason) == ("seat", "sub_1", ("notebook",), Reason.SEAT)
    assert (seat.start, seat.until) == (NOW + 5, NOW + MONTH + LEEWAY), "from when it was given, until its group ends"
    assert seat.is_active_at(NOW), "a seat counts from the moment it is reported"


def test_seat_gives_only_the_group_plan() -> None:
    items = item("price_month"), item("price_seat")
    assert list(by_plan(subscription("active", *items, role="seat"))) == ["newsroom"]
    assert list(by_plan(subscription("active", *items))) == ["supporter", "newsroom"]


def test_seat_on_non_group_plan_grants_nothing_and_is_listed() -> None:
    seat = only(subscription("active", item("price_month"), role="seat"))
    assert (seat.type, seat.plan, seat.features, seat.until) == ("seat", None, (), NOW + MONTH + LEEWAY)


@pytest.mark.parametrize("status", GIVING)
def test_gift_and_seat_reason_is_the_same_for_every_status(status: str) -> None:
    gift = only(subscription(status, role="gift"))
    assert (gift.type, gift.id, gift.reason, gift.base) == ("gift", "sub_1", Reason.GIFT, STANDING[status][0])
    seat = only(subscription(status, item("price_seat"), role="seat"))
    assert (seat.type, seat.reason, seat.base) == ("seat", Reason.SEAT, STANDING[status][0])


def test_pass_runs_from_payment_for_the_hours_of_its_plan() -> None:
    holding = only(Pass("cs_1", "price_day", None, None, NOW))
    assert (holding.type, holding.id, holding.reason) == ("pass", "cs_1", Reason.PASS)
    assert (holding.start, holding.until, holding.features) == (NOW, NOW + 24 * HOUR, ("notebook",))
    assert (holding.status_at(NOW + 24 * HOUR - 1), holding.standing_at(NOW + 24 * HOUR - 1)) == ("paid", GOOD)
    assert (holding.status_at(NOW + 24 * HOUR), holding.standing_at(NOW + 24 * HOUR)) == ("expired", ENDED)


@pytest.mark.parametrize("prices", list(permutations(["price_tip", "price_month", "price_day"])))
def test_pass_among_several_prices_is_the_one_that_opens_something(prices: tuple[str, ...]) -> None:
    first, *others = prices
    bought = Pass("cs_1", first, None, None, NOW, others=tuple((price, None, None) for price in others))
    holding = only(bought)
    assert (holding.plan, holding.features, holding.until) == ("day_pass", ("notebook",), NOW + 24 * HOUR)


def test_passes_run_separately_and_do_not_add_up() -> None:
    first, second = (only(Pass(f"cs_{at}", "price_day", None, None, NOW + at)) for at in (0, HOUR))
    assert (first.until, second.until) == (NOW + 24 * HOUR, NOW + 25 * HOUR)


@pytest.mark.parametrize(
    ("refunded", "disputed", "status"),
    [(False, False, "paid"), (True, False, "refunded"), (False, True, "disputed"), (True, True, "refunded")],
)
@pytest.mark.parametrize("gift", [False, True])
def test_pass_ends_with_full_refund_or_while_disputed(refunded: bool, disputed: bool, status: str, gift: bool) -> None:
    holding = only(Pass("cs_1", "price_day", None, None, NOW, refunded, disputed, gift=gift))
    assert holding.is_active_at(NOW) is (status == "paid")
    assert holding.standing_at(NOW) is (GOOD if status == "paid" else ENDED)
    assert holding.status_at(NOW) == status
    assert holding.status_at(NOW + 2 * DAY) == ("expired" if status == "paid" else status)


def test_pass_for_another_person_is_a_gift() -> None:
    holding = only(Pass("cs_1", "price_day", None, None, NOW, gift=True))
    assert (holding.type, holding.id, holding.reason) == ("gift", "cs_1", Reason.GIFT)


@pytest.mark.parametrize("price", ["price_month", "price_unknown", None])
def test_payment_for_a_non_pass_price_gives_nothing(price: str | None) -> None:
    holding = only(Pass("cs_1", price, None, None, NOW))
    assert (holding.features, holding.until, holding.standing_at(NOW), holding.status_at(NOW)) == (
        (),
        None,
        NONE,
        "paid",
    )
    assert not holding.is_active_at(NOW)


# ------------------------------------------------------------------------------ grants, Stripe's entitlements


def grant(
    start: int = NOW, until: int | None = NOW + MONTH, revoked_at: int | None = None, plan: str | None = "vip"
) -> Grant:
    features = () if plan else ("no_ads", "gone", "notebook")
    return Grant("g_1", plan, features, "Thanks for the photographs", start, until, "desk", NOW - 9, revoked_at)


@given(MOMENTS, st.one_of(st.none(), MOMENTS), st.one_of(st.none(), MOMENTS), MOMENTS)
def test_grant_status_follows_start_end_and_revocation(
    start: int, until: int | None, revoked_at: int | None, now: int
) -> None:
    if revoked_at is not None:
        status, standing = "revoked", ENDED
    elif until is not None and until <= now:
        status, standing = "expired", ENDED
    elif now < start:
        status, standing = "scheduled", NONE
    else:
        status, standing = "active", GOOD
    source = grant(start, until, revoked_at)
    holding = only(source)
    assert (source.status_at(now), holding.status_at(now), holding.standing_at(now)) == (status, status, standing)
    assert holding.is_active_at(now) is (status == "active")
    assert holding.becomes_active_after(now) is (status == "scheduled")


def test_grant_gives_current_plan_features_or_its_known_features() -> None:
    holding = only(grant())
    assert (holding.type, holding.id, holding.plan, holding.features) == ("grant", "g_1", "vip", ("notebook", "events"))
    assert (holding.start, holding.until, holding.reason, holding.ending) == (NOW, NOW + MONTH, Reason.GRANT, False)
    assert (holding.grant_reason, holding.actor) == ("Thanks for the photographs", "desk")
    single = only(grant(plan=None))
    assert (single.plan, single.features) == (None, ("no_ads", "notebook"))


def test_grant_of_a_removed_plan_gives_nothing_and_keeps_its_plan() -> None:
    holding = only(grant(plan="gold"))
    assert (holding.plan, holding.features) == ("gold", ())
    assert not holding.is_active_at(NOW)


def test_grant_without_end_never_ends() -> None:
    assert only(grant(until=None)).is_active_at(NOW + 10**10)


@given(st.sets(st.sampled_from(["notebook", "archive", "NOTEBOOK", "foreign"])), MOMENTS)
def test_stripe_entitlements_give_features_by_lookup_key(keys: set[str], now: int) -> None:
    holding = only(StripeEntitlements("cus_1", tuple(keys)))
    assert (holding.type, holding.id, holding.plan, holding.until) == ("stripe_entitlement", "cus_1", None, None)
    assert holding.features == tuple(name for name in ("notebook", "archive") if name in keys)
    assert (holding.status_at(now), holding.standing_at(now), holding.reason) == ("active", GOOD, Reason.SUBSCRIPTION)
    assert holding.is_active_at(now) is bool(holding.features)


@pytest.mark.parametrize(
    ("status", "trial_end", "role", "started"),
    [
        ("active", None, "subscription", True),
        ("unpaid", None, "subscription", True),
        ("incomplete", None, "subscription", False),
        ("incomplete_expired", NOW, "subscription", True),
        ("active", None, "seat", False),
        ("active", None, "gift", False),
    ],
)
def test_subscription_of_the_reader_that_ran_or_was_on_trial_has_started(
    status: str, trial_end: int | None, role: Literal["subscription", "seat", "gift"], started: bool
) -> None:
    assert Subscription("sub_1", status, (), 0, trial_end=trial_end, role=role).has_started is started


def test_external_subscription_runs_until_its_end_or_the_providers_word() -> None:
    endless = External("print:1", "supporter", NOW - DAY, None)
    until, ended = replace(endless, until=NOW), replace(endless, ended_at=NOW + DAY)
    assert [one.is_running_at(NOW) for one in (endless, until, ended)] == [True, False, False]
    assert until.is_running_at(NOW - 1)
