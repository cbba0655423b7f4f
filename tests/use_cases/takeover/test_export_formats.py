"""Each format reads every kind of member as the other system means it."""

from __future__ import annotations

import pytest

from service.domain.times import utc
from service.use_cases.takeover.formats.export_format import ExportedMember, clean_cell, read_moment
from service.use_cases.takeover.formats.ghost import split_tiers
from tests.use_cases.takeover.sample_exports import catalogue, read_sample

ZONE = catalogue().zone


def _said(member: ExportedMember) -> tuple[bool, str, str | None]:
    """Return the access, what carries it over, and what the row is linked to."""
    return member.access, member.carrier, member.subscription or member.customer


def _end(member: ExportedMember) -> str | None:
    return member.end_rule or (None if member.until is None else utc(member.until))


def test_ghost_rows_have_access_by_tier_or_complimentary_plan() -> None:
    rows = [row.member for row in read_sample("ghost")]
    assert [_said(one) for one in rows] == [
        (True, "stripe", "cus_paying"),
        (True, "stripe", "cus_trial"),
        (True, "stripe", "cus_past_due"),
        (True, "stripe", "cus_past_grace"),
        (True, "stripe", "cus_cancelling"),
        (False, "stripe", "cus_cancelled"),
        (True, "grant", None),
        (True, "grant", "cus_stale"),
        (True, "grant", None),
        (True, "either", "cus_gift_then_pays"),
        (False, "grant", None),  # Its gift has ended: the ID stays, the tier does not.
        (False, "grant", None),
        (True, "grant", None),
        (True, "stripe", "cus_silver"),
        (True, "stripe", "cus_smallest"),
    ]
    assert [_end(rows[n]) for n in (6, 7, 8, 9)] == ["complimentary", "complimentary", "gift", "gift"]
    assert rows[12].levels == ("Friends, patrons",)


def test_ghost_tiers_are_split_at_commas_but_not_within_known_names() -> None:
    assert split_tiers("Gold, Silver", ()) == ("Gold", "Silver")
    assert split_tiers("Gold,Friends, patrons,Silver", {"Friends, patrons"}) == ("Gold", "Friends, patrons", "Silver")
    assert split_tiers("", {"Gold"}) == ()


def test_older_ghost_export_names_tiers_products() -> None:
    body = b"id,complimentary_plan,stripe_customer_id,products\n1,,,Gold\n"
    assert read_sample("ghost", body)[0].member.levels == ("Gold",)


def test_leaky_rows_follow_status_plan_and_end() -> None:
    rows = [row.member for row in read_sample("leaky")]
    assert [(*_said(one), _end(one)) for one in rows[5:]] == [
        (False, "stripe", "cus_cancelled", "recurring"),
        (True, "grant", "cus_once", "2027-02-02T04:59:59Z"),
        (False, "grant", "cus_once_over", "2026-11-29T04:59:59Z"),
        (True, "grant", None, "2027-07-01T03:59:59Z"),
        (True, "grant", None, None),
        (True, "grant", None, None),
        (True, "grant", None, "2026-12-16T04:59:59Z"),
        (True, "grant", None, "recurring"),
        (True, "grant", None, None),
        (False, "grant", None, None),
        (True, "grant", None, "2027-01-16T05:00:00Z"),
    ]
    assert [_said(one)[:2] for one in rows[:5]] == [(True, "stripe")] * 4 + [(True, "either")]


def test_leaky_renewal_that_has_passed_is_still_a_payer_and_a_cancelled_one_is_not() -> None:
    head = "user_id,level_id,subscriber_id,plan,expires,payment_gateway,payment_status,has_access\n"
    body = head + "1,1,I-1,gold,2026-11-28 23:59:59,paypal_standard,active,yes\n"
    body += "2,1,I-2,gold,2026-11-28 23:59:59,paypal_standard,pending_cancel,yes\n"
    body += "3,1,,,2026-11-28 23:59:59,manual,active,yes\n"
    assert [row.member.access for row in read_sample("leaky", body.encode())] == [True, False, False]


def test_pmp_rows_end_with_their_day_and_other_gateways_with_the_next_payment() -> None:
    rows = [row.member for row in read_sample("pmp")]
    assert [(*_said(one), _end(one)) for one in rows[4:10]] == [
        (True, "either", "sub_cancelling", "2026-12-11T05:00:00Z"),
        (True, "grant", None, None),
        (True, "grant", None, "2027-07-01T04:00:00Z"),
        (True, "grant", None, None),
        (True, "grant", None, "2026-12-16T05:00:00Z"),
        (True, "grant", None, "recurring"),  # The day of the export stands for no next payment.
    ]
    assert _end(rows[-1]) == "unreadable"
    assert [one.reader for one in rows[13:15]] == ["14", "14"]


def test_pmp_list_of_old_members_gives_no_access() -> None:
    body = b"id,membership,subscription_transaction_id,ended\n1,Gold supporter,sub_1,2027-01-01\n"
    assert _said(read_sample("pmp", body)[0].member) == (False, "stripe", "sub_1")


def test_woocommerce_rows_end_with_the_next_payment_or_their_end() -> None:
    rows = [row.member for row in read_sample("woocommerce")]
    assert [(*_said(one), _end(one)) for one in rows] == [
        (True, "grant", "cus_101", "2026-12-15T10:00:00Z"),
        (True, "grant", "cus_102", "2026-12-05T00:00:00Z"),
        (False, "grant", "cus_103", "2026-12-15T10:00:00Z"),
        (True, "grant", "cus_104", "2026-12-10T10:00:00Z"),
        (False, "grant", "cus_105", "2026-06-01T00:00:00Z"),
        (False, "grant", None, "recurring"),
        (True, "grant", None, None),
        (True, "grant", None, "2027-06-30T00:00:00Z"),
        (True, "grant", None, None),
        (True, "grant", None, "2026-12-15T10:00:00Z"),
        (True, "grant", None, "recurring"),
        (False, "grant", "cus_112", "2026-10-01T00:00:00Z"),
        (True, "grant", "cus_113", "2026-12-15T10:00:00Z"),
        (False, "grant", "cus_114", "recurring"),
        (False, "grant", None, "recurring"),
        (True, "grant", None, "2026-11-28T10:00:00Z"),
    ]
    assert rows[12].levels == ("Gold; 2|3: supporter",)


def test_stripe_subscriptions_are_carried_by_stripe_whatever_their_status() -> None:
    rows = [row.member for row in read_sample("stripe_subscriptions")]
    assert [one.access for one in rows] == [True] * 5 + [False] + [True] * 6 + [False, True]
    assert {one.carrier for one in rows} == {"stripe"}
    assert rows[7].quantity == 5
    given = rows[11]
    assert (given.reader, given.only_subscription, given.customer) == ("r-11", True, "cus_two")


def test_stripe_customers_are_told_by_the_missing_column() -> None:
    rows = [row.member for row in read_sample("stripe_customers")]
    assert [(one.reader, one.customer, one.subscription, one.access) for one in rows] == [
        ("r-1", "cus_paying", None, True),
        ("r-2", "cus_without", None, False),
        ("", "cus_nobody", None, False),
    ]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('="0123"', "0123"),
        ("'-5", "-5"),
        ("'=SUM(1)", "=SUM(1)"),
        (" 7 ", "7"),
        ("'t Hooft", "'t Hooft"),
        ('="a""b"', 'a"b'),
    ],
)
def test_cells_lose_what_protects_them_from_a_spreadsheet(cell: str, value: str) -> None:
    assert clean_cell(cell) == value


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("2026-12-10", "2026-12-11T05:00:00Z"),
        ("2026-12-10 23:59:59", "2026-12-11T04:59:59Z"),
        ("2026-12-10 08:00", "2026-12-10T13:00:00Z"),
        ("2026-12-10T08:00:00.000Z", "2026-12-10T08:00:00Z"),
        ("2026-12-10 08:00:00+01:00", "2026-12-10T07:00:00Z"),
    ],
)
def test_times_without_a_zone_are_the_sites_and_dates_last_all_day(cell: str, moment: str) -> None:
    found = read_moment(cell, ZONE)
    assert found is not None
    assert utc(found) == moment


@pytest.mark.parametrize("cell", ["", "0", "0000-00-00 00:00:00", "0000-00-00", "Never", "N/A", "k. A.", "なし"])
def test_words_for_no_end_are_no_moment(cell: str) -> None:
    assert read_moment(cell, ZONE) is None


@pytest.mark.parametrize("cell", ["2026-13-40", "31.12.2026", "12/31/2026", "1735689600", "2026-12"])
def test_other_forms_of_a_time_are_unreadable_rather_than_no_end(cell: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_moment(cell, ZONE)
