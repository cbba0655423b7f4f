"""Test the translation of Stripe objects in every shape a webhook or an answer may have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from service.adapters.stripe import translate
from service.adapters.stripe.translate import id_of, integer, rows, text
from service.domain.payments import Payment
from service.domain.sources import STANDING, Item, Pass, StripeEntitlements, Subscription
from service.domain.stripe_facts import OwnerClaims, StripeFacts
from tests.stripe_fixtures import BORN, MONTH, Made

PAID_FOR = Item("price_month", "monthly", "prod_supporter", 1, BORN, BORN + MONTH)


def subscription(obj: Any) -> tuple[StripeFacts, Subscription]:
    facts = translate.subscription_facts(obj)
    assert facts is not None
    assert isinstance(facts.source, Subscription)
    return facts, facts.source


def item(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "si_1",
        "price": {"id": "price_month", "lookup_key": "monthly", "product": "prod_supporter"},
        "quantity": 1,
        "current_period_start": BORN,
        "current_period_end": BORN + MONTH,
    }
    return {name: value for name, value in {**row, **changes}.items() if value is not ...}


def with_items(*items_of: dict[str, Any], **changes: Any) -> Subscription:
    return subscription(Made.subscription(items={"object": "list", "data": list(items_of)}, **changes))[1]


def test_subscription_is_translated_with_items_customer_and_claims() -> None:
    facts, source = subscription(Made.subscription())
    assert source == Subscription("sub_1", "active", (PAID_FOR,), BORN)
    assert (facts.ref.name, facts.customer, facts.claims) == (
        "subscription:sub_1",
        "cus_1",
        OwnerClaims(reader_id="r-1"),
    )
    assert (facts.terminal, facts.partial, facts.quantity) == (False, False, 1)


@pytest.mark.parametrize("status", [*STANDING, "something_new"])
def test_every_status_keeps_the_name_of_stripe(status: str) -> None:
    facts, source = subscription(Made.subscription(status=status))
    assert source.status == status
    assert facts.terminal == (status in ("canceled", "incomplete_expired"))


@pytest.mark.parametrize("status", [None, 7, "", [], ...])
def test_missing_status_is_unknown(status: Any) -> None:
    obj = Made.subscription(status=status)
    if status is ...:
        del obj["status"]
    assert subscription(obj)[1].status not in STANDING


def test_end_dates_are_translated_unchanged() -> None:
    ends = {"trial_end": 1, "cancel_at": 2, "ended_at": 3, "cancel_at_period_end": True}
    source = subscription(Made.subscription(**ends))[1]
    assert (source.trial_end, source.cancel_at, source.ended_at, source.cancel_at_period_end) == (1, 2, 3, True)


def test_pause_collection_and_pending_update_change_nothing() -> None:
    later = {"subscription_items": [item(price="price_year")], "expires_at": 1}
    paused = Made.subscription(pause_collection={"behavior": "void"}, pending_update=later, schedule="sub_sched_1")
    assert subscription(paused)[1] == subscription(Made.subscription())[1]


def test_top_level_period_of_old_versions_is_read() -> None:
    old = item(current_period_start=..., current_period_end=...)
    source = with_items(old, current_period_start=BORN, current_period_end=BORN + MONTH)
    assert source.items == (PAID_FOR,)


def test_item_period_takes_precedence_over_the_top_level_period() -> None:
    source = with_items(item(), current_period_start=1, current_period_end=2)
    assert source.items == (PAID_FOR,)


def test_several_items_keep_their_periods_and_quantities() -> None:
    year = item(id="si_2", price={"id": "price_year"}, quantity=5, current_period_end=BORN + 365 * 86_400)
    obj = Made.subscription(items={"data": [item(), year]})
    facts, source = subscription(obj)
    assert [(one.price, one.quantity, one.end) for one in source.items] == [
        ("price_month", 1, BORN + MONTH),
        ("price_year", 5, BORN + 365 * 86_400),
    ]
    assert facts.quantity == 6


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"price": "price_month"}, ("price_month", None, None)),
        (
            {"price": ..., "plan": {"id": "price_month", "product": "prod_supporter"}},
            ("price_month", None, "prod_supporter"),
        ),
        ({"price": None, "plan": "gold-2019"}, ("gold-2019", None, None)),
        (
            {"price": {"id": "price_month", "lookup_key": "monthly", "product": {"id": "prod_supporter"}}},
            ("price_month", "monthly", "prod_supporter"),
        ),
    ],
)
def test_price_is_read_from_id_object_or_plan(changes: Any, expected: tuple[str | None, ...]) -> None:
    (found,) = with_items(item(**changes)).items
    assert (found.price, found.lookup_key, found.product) == expected


def test_oldest_shape_has_its_only_price_at_the_top_level() -> None:
    obj = Made.subscription(plan={"id": "gold"}, quantity=2, current_period_start=1, current_period_end=9)
    del obj["items"]
    assert subscription(obj)[1].items == (Item("gold", None, None, 2, 1, 9),)


@pytest.mark.parametrize("bad", [{"price": ...}, {"price": {}}, {"price": 7}, {"deleted": True}])
def test_invalid_item_is_ignored(bad: Any) -> None:
    assert with_items(item(**bad), item()).items == (PAID_FOR,)


@pytest.mark.parametrize(("quantity", "taken"), [(..., 1), (None, 1), ("7", 1), (-3, 0), (Decimal("4"), 4), (True, 1)])
def test_unreadable_quantity_is_one(quantity: Any, taken: int) -> None:
    assert with_items(item(quantity=quantity)).items[0].quantity == taken


def test_truncated_item_list_is_partial_unless_read_fully() -> None:
    obj = Made.subscription(items={"data": [item()], "has_more": True})
    assert subscription(obj)[0].partial
    whole_list = translate.subscription_facts(obj, [item(), item(price="price_year")])
    assert whole_list is not None
    assert not whole_list.partial
    assert whole_list.quantity == 2


def test_subscription_without_period_ends_when_it_starts() -> None:
    (found,) = with_items(item(current_period_start=..., current_period_end=...)).items
    assert (found.start, found.end) == (BORN, BORN)


@pytest.mark.parametrize(
    ("changes", "customer"),
    [
        ({"customer": {"id": "cus_1", "object": "customer"}}, "cus_1"),
        ({"customer": None, "customer_account": "acct_9"}, "acct_9"),
        ({"customer": None}, None),
    ],
)
def test_customer_is_read_from_id_object_or_account(changes: Any, customer: str | None) -> None:
    assert subscription(Made.subscription(**changes))[0].customer == customer


@pytest.mark.parametrize("read", [translate.subscription_facts, translate.session_facts, translate.customer_facts])
@pytest.mark.parametrize("obj", [{}, {"id": None}, {"id": 7}, {"id": ""}, {"id": "\ud800"}])
def test_object_without_id_is_ignored(read: Callable[[Any], StripeFacts | None], obj: Any) -> None:
    assert read(obj) is None


def test_claims_are_read_from_metadata_and_never_from_email() -> None:
    metadata = {"reader_id": "r-1", "gift_recipient": "r-2", "gift": "pending", "email": "r@example.org"}
    obj = Made.session(metadata=metadata, customer_details={"email": "r@example.org"}, client_reference_id="r-3")
    facts = translate.session_facts(obj)
    assert facts is not None
    assert facts.claims == OwnerClaims("r-2", True, "r-1", "r-3")
    odd: Any
    for odd in (None, [], "x", {"reader_id": 7, "gift_recipient": "", "gift": True}):
        assert translate.owner_claims({"metadata": odd}) == OwnerClaims()


PASSES = [("complete", "paid"), ("complete", "no_payment_required")]


@pytest.mark.parametrize("mode", ["payment", "subscription", "setup", "something_new", None])
@pytest.mark.parametrize("status", ["open", "complete", "expired"])
@pytest.mark.parametrize("payment_status", ["paid", "unpaid", "no_payment_required", None])
def test_session_is_a_pass_only_when_paid_and_complete(mode: Any, status: str, payment_status: Any) -> None:
    facts = translate.session_facts(
        Made.session(mode=mode, status=status, payment_status=payment_status), paid_at=BORN + 5
    )
    assert facts is not None
    if mode == "payment" and (status, payment_status) in PASSES:
        assert facts.source == Pass("cs_test_1", "price_day", None, None, paid_at=BORN + 5)
        assert facts.terminal
    else:
        assert facts.source is None
        assert not facts.terminal
    assert (facts.payment is not None) == (mode == "payment")


def test_pass_has_the_price_of_our_checkout_or_of_all_line_items() -> None:
    lines: list[dict[str, Any]] = [
        {"price": None},
        {"price": {"id": "price_day", "lookup_key": "day", "product": "prod_day_pass"}},
        {"price": {"id": "price_tip"}},
    ]
    named = translate.session_facts(Made.session(), lines=lines)
    unnamed = translate.session_facts(Made.session(metadata={}), lines=lines)
    unknown = translate.session_facts(Made.session(metadata={}))
    assert named is not None
    assert unnamed is not None
    assert unknown is not None
    assert named.source == Pass("cs_test_1", "price_day", "day", "prod_day_pass", paid_at=BORN)
    assert unnamed.source == replace(named.source, others=(("price_tip", None, None),))
    assert unknown.source == Pass("cs_test_1", None, None, None, paid_at=BORN)
    expanded = translate.session_facts(Made.session(metadata={}, line_items={"data": lines}))
    assert expanded is not None
    assert expanded.source == unnamed.source


def test_refund_and_dispute_of_the_payment_are_in_the_pass() -> None:
    back = translate.session_facts(Made.session(), payment=Payment("pi_1", 300, refunded=300, disputed=True))
    assert back is not None
    assert isinstance(back.source, Pass)
    assert (back.source.refunded, back.source.disputed) == (True, True)


def test_subscription_session_names_its_subscription() -> None:
    facts = translate.session_facts(Made.session(mode="subscription", subscription={"id": "sub_1"}))
    assert facts is not None
    assert facts.subscription == "sub_1"


def test_customer_has_its_claims_and_deleted_flag() -> None:
    facts = translate.customer_facts({"id": "cus_1", "metadata": {"reader_id": "r-1"}, "email": "r@example.org"})
    assert facts is not None
    assert (facts.customer, facts.claims, facts.deleted) == ("cus_1", OwnerClaims(reader_id="r-1"), False)
    gone = translate.customer_facts({"id": "cus_1", "object": "customer", "deleted": True})
    assert gone is not None
    assert gone.deleted
    assert gone.terminal


def test_entitlement_summary_is_complete_or_partial() -> None:
    rows_of = [
        {"lookup_key": "notebook"},
        {"lookup_key": "no_ads"},
        {"lookup_key": None},
        {"lookup_key": "notebook"},
        7,
    ]
    summary = {"customer": "cus_1", "entitlements": {"data": rows_of, "has_more": False}}
    facts = translate.summary_facts(summary)
    assert facts is not None
    assert (facts.ref.name, facts.partial) == ("entitlements:cus_1", False)
    assert facts.source == StripeEntitlements("cus_1", ("notebook", "no_ads"))
    cut = translate.summary_facts({"customer": "cus_1", "entitlements": {"data": rows_of, "has_more": True}})
    assert cut is not None
    assert cut.partial
    assert translate.summary_facts({"customer": None}) is None


@pytest.mark.parametrize("name", ["subscription", "subscription_pre_basil"])
def test_old_and_new_subscription_shapes_translate_the_same(
    name: str, template: Callable[[str], dict[str, Any]]
) -> None:
    facts, source = subscription(template(name))
    assert source == Subscription(
        "sub_TEMPLATE",
        "active",
        (Item("price_TEMPLATE", None, "prod_TEMPLATE", 1, BORN, BORN + MONTH),),
        BORN,
    )
    assert facts.customer == "cus_TEMPLATE"


@pytest.mark.parametrize("name", ["invoice", "invoice_pre_basil"])
def test_old_and_new_invoice_shapes_lead_to_the_subscription(
    name: str, template: Callable[[str], dict[str, Any]]
) -> None:
    assert translate.subscription_billed_by(template(name)) == "sub_TEMPLATE"


def test_recorded_final_objects_are_translated(stories: list[dict[str, Any]]) -> None:
    for story in stories:
        final = story["final"]
        for obj in final["subscriptions"].values():
            assert all(one.end > one.start for one in subscription(obj)[1].items)
        for name, obj in final["checkout_sessions"].items():
            answer = translate.session_facts(obj, lines=final["checkout_line_items"].get(name))
            assert answer is not None
            assert isinstance(answer.source, Pass) == (obj["mode"] == "payment")


@pytest.mark.parametrize(
    ("value", "read"),
    [(1, 1), (1.0, 1), (Decimal("5"), 5), (True, None), ("5", None), (float("nan"), None), (float("inf"), None)],
)
def test_whole_number_is_read_or_none(value: Any, read: int | None) -> None:
    assert integer(value) == read


def test_oversized_or_malformed_values_are_none() -> None:
    assert integer(10**30) is None
    assert integer(Decimal("NaN")) is None
    assert id_of({"id": {"id": "x"}}) is None
    assert text("\udc00") is None
    assert rows({"data": "x"}) == rows(None) == rows("x") == []


USER_IDS = ("user_id", "reader_id", "uid")


@pytest.mark.parametrize(
    ("metadata", "reader"),
    [
        ({"user_id": "u-1", "reader_id": "r-1"}, "u-1"),
        ({"user_id": "", "reader_id": "r-1"}, "r-1"),
        ({"user_id": "no/id", "uid": "u-3"}, "u-3"),
        ({"user_id": "no/id"}, "no/id"),
        ({"plan": "x"}, None),
        (None, None),
    ],
)
def test_first_metadata_key_with_a_valid_id_names_the_reader(metadata: Any, reader: str | None) -> None:
    obj = translate.with_reader_id({"id": "sub_1", "metadata": metadata}, USER_IDS)
    assert translate.owner_claims(obj).reader_id == reader


def test_metadata_key_that_is_not_configured_names_nobody() -> None:
    obj = translate.with_reader_id({"metadata": {"reader_id": "r-1", "gift": "pending"}}, ("user_id",))
    assert translate.owner_claims(obj) == OwnerClaims(gift_pending=True)


@pytest.mark.parametrize(
    ("now", "former", "reader"),
    [
        ({"user_id": "u-2"}, {"user_id": "u-1"}, {"reader_id": "u-1"}),
        ({"user_id": "u-2", "uid": "u-9"}, {"user_id": None}, {"reader_id": "u-9"}),
        ({"user_id": "u-2", "uid": "u-9"}, {"uid": "u-8"}, {"reader_id": "u-2"}),
        ({"user_id": "u-2"}, {"reader_id": "r-1", "plan": "x"}, {"reader_id": "u-2", "plan": "x"}),
        ({"user_id": "u-2"}, {"plan": "x"}, {"plan": "x"}),
    ],
)
def test_former_reader_is_named_by_the_same_keys(now: Any, former: Any, reader: Any) -> None:
    """What did not change is as the object has it now."""
    found = translate.with_former_reader_id({"metadata": former}, {"metadata": now}, USER_IDS)
    assert {name: value for name, value in found["metadata"].items() if name in ("reader_id", "plan")} == reader
