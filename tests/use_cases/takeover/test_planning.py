"""What each row becomes, and who gains or loses access by it. Pure: no store and no Stripe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from service.domain.catalogue import DAY
from service.domain.sources import Item, Subscription
from service.domain.stripe_facts import ObjectRef, OwnerClaims, StripeFacts
from service.domain.times import read_time
from service.use_cases.takeover.comparison import Comparison, MovedSource, compare
from service.use_cases.takeover.export_file import ExportRow
from service.use_cases.takeover.planning import (
    MemberPlan,
    Person,
    PlannedGrant,
    PlannedSeat,
    Rules,
    choose_links,
    plan_row,
    settle,
)
from service.use_cases.takeover.stripe_view import StripeLink, StripeView
from tests.use_cases.takeover.sample_exports import LEVELS, NOW, catalogue, level_map, read_sample


def _facts(name: str, customer: str, status: str = "active", price: str = "price_month", **more: Any) -> StripeFacts:
    """Return a subscription whose current period began `started` days ago, and lasts 30 days."""
    start = int(NOW) - more.pop("started", 10) * DAY
    item = Item(price, None, None, more.pop("quantity", 1), start, start + 30 * DAY)
    source = Subscription(name, status, (item,), start, **more)
    return StripeFacts(ObjectRef("subscription", name), source, customer, OwnerClaims(), start)


def _view(*facts: StripeFacts, complete: bool = True) -> StripeView:
    by_customer: dict[str, list[StripeFacts]] = {}
    for one in facts:
        by_customer.setdefault(one.customer or "", []).append(one)
    return StripeView(by_customer, {one.ref.id: one for one in facts}, complete)


GHOST_AT_STRIPE = _view(
    _facts("sub_1", "cus_paying"),
    _facts("sub_2", "cus_trial", "trialing", trial_end=int(NOW) + DAY),
    _facts("sub_3", "cus_past_due", "past_due"),
    _facts("sub_4", "cus_past_grace", "past_due", started=20),
    _facts("sub_5", "cus_cancelling", cancel_at=int(NOW) + DAY),
    _facts("sub_6", "cus_cancelled", "canceled", ended_at=int(NOW) - DAY),
    _facts("sub_10", "cus_gift_then_pays"),
    _facts("sub_14", "cus_silver"),
    _facts("sub_15", "cus_larger"),
)
UNKNOWN = StripeView()


def _plan(
    rows: Sequence[ExportRow],
    view: StripeView = UNKNOWN,
    levels: str = LEVELS,
    seats: Mapping[str, Mapping[str, int]] | None = None,
    here: Mapping[str, Person] | None = None,
    moved: Sequence[tuple[Person, str]] = (),
) -> tuple[list[MemberPlan], Comparison]:
    people = {row.member.reader: Person(row.member.reader) for row in rows} | dict(here or {})
    rules = Rules(level_map(levels), catalogue(), NOW)
    plans = [plan_row(row, people, rules) for row in rows]
    choose_links(plans)
    settle(plans, view, seats or {}, rules)
    return plans, compare(plans, people, [MovedSource(owner, source, plans[0]) for owner, source in moved])


def _differences(found: Comparison) -> dict[str, str]:
    """Return the reason of each difference by the end of the reader's ID."""
    return {f"{(one.reader or '')[-2:]}{'+' if one.after else '-'}": one.reason for one in found.differences}


def test_ghost_members_keep_what_stripe_or_a_grant_gives_them() -> None:
    plans, found = _plan(read_sample("ghost"), GHOST_AT_STRIPE)
    assert _differences(found) == {
        "04-": "past_due_beyond_grace",
        "14-": "level_without_plan",
        "15-": "no_subscription_at_stripe",  # Ghost names the smallest customer, another one pays.
    }
    assert (found.same, found.gains, found.loses) == (12, 0, 3)
    linked = [plan.link.id for plan in plans if plan.link]
    assert linked == [row.member.customer for row in read_sample("ghost") if row.member.customer]
    given = {plan.row.member.reader[-2:]: plan.grants for plan in plans if plan.grants}
    assert given == {
        "07": [PlannedGrant("supporter", None)],
        "08": [PlannedGrant("supporter", None)],
        "09": [PlannedGrant("supporter", level_map().ends["gift"])],
        "13": [PlannedGrant("vip", None)],
    }


def test_ghost_gifts_without_an_end_lose_access_and_those_who_pay_do_not() -> None:
    _, found = _plan(read_sample("ghost"), GHOST_AT_STRIPE, LEVELS.partition("[ends]")[0])
    assert _differences(found)["09-"] == "end_unknown"
    assert "10-" not in _differences(found)


def test_ghost_gift_counts_where_stripe_has_nothing_running() -> None:
    plans, found = _plan(
        read_sample("ghost"), _view(*(f for f in GHOST_AT_STRIPE.by_id.values() if f.ref.id != "sub_10"))
    )
    assert "10-" not in _differences(found)
    assert [plan.grants for plan in plans if plan.member.carrier == "either"] == [
        [PlannedGrant("supporter", level_map().ends["gift"])]
    ]


def test_export_counts_where_nothing_is_known_of_a_subscription() -> None:
    _, found = _plan(read_sample("ghost"))
    assert _differences(found) == {"14-": "level_without_plan"}


def test_member_who_pays_again_at_stripe_gains_access() -> None:
    _, found = _plan(read_sample("ghost"), _view(_facts("sub_6", "cus_cancelled")))
    assert _differences(found)["06+"] == "runs_at_stripe"


def test_price_that_no_plan_has_is_named() -> None:
    _, found = _plan(read_sample("ghost")[:1], _view(_facts("sub_1", "cus_paying", price="price_other")))
    assert _differences(found) == {"01-": "price_without_plan"}


def test_leaky_one_time_payments_are_linked_and_granted() -> None:
    plans, found = _plan(read_sample("leaky"))
    once = plans[6]
    assert (once.link, once.grants[0].plan) == (StripeLink("customer", "cus_once"), "supporter")
    over = plans[7]
    assert (over.link, over.grants) == (StripeLink("customer", "cus_once_over"), [])
    assert _differences(found) == {"13-": "end_unknown"}
    assert Counter(plan.skipped for plan in plans if not plan.link and not plan.grants) == {
        "end_unknown": 1,
        "free_level": 1,
        "no_access": 1,
    }


def test_end_of_other_gateways_can_be_set_where_none_is_known() -> None:
    _, found = _plan(read_sample("leaky"), levels=LEVELS + 'recurring = "2027-01-31"')
    assert found.loses == 0


def test_pmp_rows_of_one_person_count_together() -> None:
    rows = read_sample("pmp")
    cancelled = _facts("sub_two_levels", "cus_14", "canceled")
    plans, found = _plan(
        rows, _view(cancelled, *(_facts(r.member.subscription, "cus") for r in rows if r.member.subscription))
    )
    assert _differences(found) == {"10-": "end_unknown", "15-": "end_unreadable"}
    assert found.same + found.loses == len({row.member.reader for row in rows})
    assert [plan.grants for plan in plans if plan.reader == "14"] == [[], plans[14].grants]


@pytest.mark.parametrize(("form", "end"), [("pmp", "2026-12-11T05:00:00Z"), ("leaky", "2026-12-11T04:59:59Z")])
@pytest.mark.parametrize(
    ("status", "reason"),
    [("canceled", None), ("unpaid", "unpaid_at_stripe"), ("past_due", "past_due_beyond_grace")],
)
def test_member_who_has_cancelled_keeps_what_they_have_paid(
    form: str, end: str, status: str, reason: str | None
) -> None:
    """The subscription can be ended at Stripe at once, and the membership runs until `expires`."""
    rows = [row for row in read_sample(form) if row.member.reader == "5"]
    customer = rows[0].member.customer or "cus_5"
    (plan,), found = _plan(rows, _view(_facts("sub_cancelling", customer, status, started=20)))
    assert plan.link is not None
    assert plan.grants == ([PlannedGrant("supporter", int(read_time(end)))] if reason is None else [])
    assert [one.reason for one in found.differences] == ([] if reason is None else [reason])


def test_ghost_gift_counts_although_an_older_subscription_is_not_paid() -> None:
    rows = [row for row in read_sample("ghost") if row.member.carrier == "either"]
    (plan,), found = _plan(rows, _view(_facts("sub_10", "cus_gift_then_pays", "unpaid")))
    assert (len(plan.grants), found.loses) == (1, 0)


@pytest.mark.parametrize("column", ["id,Customer ID,Status", "id,Customer ID,Status,Plan"])
def test_stripe_row_that_does_not_name_the_plans_price_has_what_stripe_says(column: str) -> None:
    """The column can be left out, and of several items the export names one."""
    body = f"{column},reader_id (metadata)\nsub_1,cus_1,active,{'price_addon,' * column.endswith('Plan')}r-1\n"
    rows = read_sample("stripe_subscriptions", body.encode())
    _, found = _plan(rows, _view(_facts("sub_1", "cus_1")))
    assert (found.same, found.loses) == (1, 0)
    _, found = _plan(rows)
    assert [one.reason for one in found.differences] == ["level_without_plan"]


def test_woocommerce_rows_with_a_customer_are_linked_and_granted() -> None:
    plans, found = _plan(read_sample("woocommerce"), _view())
    assert _differences(found) == {"11-": "end_unknown", "15-": "paid_until_passed"}
    assert [bool(plan.link) for plan in plans].count(True) == 8
    assert [bool(plan.link and plan.grants) for plan in plans].count(True) == 4


def test_cancelled_row_does_not_undo_the_paying_one() -> None:
    plans, found = _plan([row for row in read_sample("woocommerce") if row.member.reader == "12"])
    assert [bool(plan.grants) for plan in plans] == [False, True]
    assert (found.same, found.loses) == (1, 0)


def test_latest_end_of_several_rows_counts() -> None:
    body = b"user_id,level_id,subscriber_id,plan,expires,payment_gateway,payment_status\n"
    for end in (b"2027-01-01", b"2027-03-01", b"2027-02-01"):
        body += b"1,1,,,%b,manual,active\n" % end
    plans, _ = _plan(read_sample("leaky", body))
    assert [bool(plan.grants) for plan in plans] == [False, True, False]
    assert [plan.skipped for plan in plans] == ["duplicate", "unchanged", "duplicate"]


def test_stripe_rows_are_judged_by_price_and_product() -> None:
    plans, found = _plan(read_sample("stripe_subscriptions"))
    assert _differences(found) == {"-9-": "level_without_plan", "-": "no_reader_id"}
    by_reader = {plan.reader: plan.link for plan in plans if plan.link}
    assert by_reader["r-1"] == StripeLink("customer", "cus_paying")
    assert by_reader["r-11"] == StripeLink("subscription", "sub_given")
    assert by_reader["r-10"] == StripeLink("subscription", "sub_own")


def test_group_payer_gets_a_seat_while_one_is_free() -> None:
    rows = [row for row in read_sample("stripe_subscriptions") if row.member.reader == "r-8"]
    group = _facts("sub_group", "cus_group", price="price_seat_month", quantity=2)
    plans, found = _plan(rows, _view(group), seats={"sub_group": {"other": 1}})
    assert plans[0].seat == PlannedSeat("sub_group", 2)
    assert found.loses == 0
    plans, found = _plan(rows, _view(group), seats={"sub_group": {"other": 1, "r-8": 2}})
    assert (plans[0].seat, found.loses) == (None, 0)
    plans, found = _plan(rows, _view(group), seats={"sub_group": {"other": 1, "another": 2}})
    assert _differences(found) == {"-8-": "no_free_seat"}


def test_payer_in_two_rows_gets_one_seat_also_where_they_have_a_subscription_of_their_own() -> None:
    header = b"id,Customer ID,Plan,Status,reader_id (metadata)\n"
    body = header + b"sub_group,cus_1,price_seat_month,active,r-1\nsub_own,cus_1,price_month,active,r-1\n"
    group = _facts("sub_group", "cus_1", price="price_seat_month", quantity=2)
    plans, found = _plan(read_sample("stripe_subscriptions", body), _view(group, _facts("sub_own", "cus_1")))
    assert [(plan.seat, plan.skipped) for plan in plans] == [
        (PlannedSeat("sub_group", 2), "unchanged"),
        (None, "duplicate"),
    ]
    assert (found.same, found.loses) == (1, 0)


def test_group_that_nothing_is_known_of_needs_its_subscription() -> None:
    rows = [row for row in read_sample("stripe_subscriptions") if row.member.reader == "r-8"]
    plans, found = _plan(rows)
    assert (plans[0].seat, found.loses) == (PlannedSeat("sub_group", 5), 0)
    body = b"id,complimentary_plan,stripe_customer_id,tiers\n1,,cus_group,Newsroom\n"
    assert _differences(_plan(read_sample("ghost", body))[1]) == {"1-": "group_not_read"}


def test_customer_of_two_readers_is_linked_to_the_one_with_access() -> None:
    body = (
        b"id,complimentary_plan,stripe_customer_id,tiers\n1,,cus_1,\n2,,cus_1,Gold supporter\n3,,cus_1,Gold supporter\n"
    )
    plans, found = _plan(read_sample("ghost", body))
    assert [bool(plan.link) for plan in plans] == [False, True, False]
    assert _differences(found) == {"3-": "linked_to_another_reader"}
    assert plans[0].skipped == "linked_to_another_reader"


def test_same_row_twice_is_linked_once() -> None:
    body = b"id,complimentary_plan,stripe_customer_id,tiers\n1,,cus_1,Gold supporter\n1,,cus_1,Gold supporter\n"
    plans, _ = _plan(read_sample("ghost", body))
    assert [(plan.repeats_link, plan.skipped) for plan in plans] == [(False, "unchanged"), (True, "duplicate")]


def test_free_level_with_a_customer_is_linked_and_has_no_access() -> None:
    body = b"id,complimentary_plan,stripe_customer_id,tiers\n1,,cus_1,Registered\n"
    plans, found = _plan(read_sample("ghost", body))
    assert (plans[0].link, plans[0].access, found.same) == (StripeLink("customer", "cus_1"), False, 1)


def test_rows_without_a_valid_reader_are_named() -> None:
    body = b"id,complimentary_plan,stripe_customer_id,tiers\n,true,,Gold supporter\na/b,true,,Gold supporter\n,,,\n"
    plans, found = _plan(read_sample("ghost", body))
    assert [plan.skipped for plan in plans] == ["no_reader_id", "invalid_reader_id", "no_reader_id"]
    assert [(one.line, one.reader, one.reason) for one in found.differences] == [
        (2, None, "no_reader_id"),
        (3, "a/b", "invalid_reader_id"),
    ]


def test_reader_who_has_access_here_keeps_it() -> None:
    rows = [row for row in read_sample("ghost") if row.member.reader.endswith(("12", "14"))]
    here = {row.member.reader: Person(f"heir-{row.member.reader}", frozenset({"grant:gr_1"})) for row in rows}
    plans, found = _plan(rows, here=here)
    assert [one.reason for one in found.differences] == ["has_access_here"]
    assert plans[0].reader == f"heir-{rows[0].member.reader}"


def test_owner_from_whom_a_link_takes_the_last_source_loses_access() -> None:
    rows = read_sample("ghost")[:1]
    owner = Person("r-before", frozenset({"subscription:sub_1"}))
    assert _differences(_plan(rows, moved=[(owner, "sub_1")])[1]) == {"re-": "linked_to_another_reader"}
    for other in ("grant:gr_1", "seat:sub_1"):
        richer = Person("r-before", frozenset({"subscription:sub_1", other}))
        assert _plan(rows, moved=[(richer, "sub_1")])[1].loses == 0
    outside = Person("r-before", frozenset())
    assert _plan(rows, moved=[(outside, "sub_1")])[1].loses == 0


def test_owner_without_access_in_the_export_loses_what_a_link_takes() -> None:
    rows = [row for row in read_sample("ghost") if row.line in (2, 7)]  # The second has no access there.
    owner = Person(rows[1].member.reader, frozenset({"subscription:sub_1"}))
    found = _plan(rows, here={owner.reader: owner}, moved=[(owner, "sub_1"), (owner, "sub_1")])[1]
    assert [(one.line, one.reader, one.reason) for one in found.differences] == [
        (2, owner.reader, "linked_to_another_reader")
    ]
    assert (found.same, found.gains, found.loses) == (1, 0, 1)
