"""Test what a payload leaves out and an earlier read has found."""

from __future__ import annotations

from dataclasses import replace

from service.domain.sources import Item, Pass, StripeEntitlements, Subscription
from service.domain.stripe_facts import (
    EventContent,
    ObjectRef,
    OwnerClaims,
    PaymentRef,
    StripeFacts,
    keep_known_parts,
)

ITEM = Item("price_month", None, "prod_supporter", 1, 0, 100)
OTHER = replace(ITEM, price="price_print")


def facts(*items: Item, partial: bool = False) -> StripeFacts:
    source = Subscription("sub_1", "active", items, 0)
    return StripeFacts(ObjectRef("subscription", "sub_1"), source, "cus_1", OwnerClaims(), 0, partial=partial)


def test_cut_off_list_of_items_adds_to_the_known_ones() -> None:
    kept = keep_known_parts(facts(ITEM, partial=True), facts(ITEM, OTHER)).source
    assert isinstance(kept, Subscription)
    assert kept.items == (ITEM, OTHER)


def test_whole_list_of_items_replaces_the_known_ones() -> None:
    assert keep_known_parts(facts(ITEM), facts(ITEM, OTHER)) == facts(ITEM)


def test_cut_off_list_counts_alone_if_the_known_object_grants_nothing() -> None:
    known = replace(facts(), source=None)
    assert keep_known_parts(facts(ITEM, partial=True), known) == facts(ITEM, partial=True)
    assert keep_known_parts(facts(ITEM, partial=True), None) == facts(ITEM, partial=True)


def test_whole_or_partial_payload_keeps_the_lookup_keys_that_it_may_leave_out() -> None:
    ref = ObjectRef("entitlements", "cus_1")
    known = StripeFacts(ref, StripeEntitlements("cus_1", ("notebook", "events")), "cus_1", OwnerClaims(), 0)
    cut_off = replace(known, source=StripeEntitlements("cus_1", ("no_ads", "events")), partial=True)
    assert keep_known_parts(cut_off, known).source == StripeEntitlements("cus_1", ("notebook", "events", "no_ads"))
    whole = replace(cut_off, partial=False)
    assert keep_known_parts(whole, known) == whole


def test_pass_keeps_its_line_items_where_a_webhook_carries_none() -> None:
    bought = Pass("cs_1", "price_day", "day", "prod_day", 0, others=(("price_tip", None, None),))
    known = StripeFacts(ObjectRef("session", "cs_1"), bought, "cus_1", OwnerClaims(), 0)

    def kept(price: str | None, lookup_key: str | None = None) -> object:
        of_a_webhook = Pass("cs_1", price, lookup_key, None, 5)
        return keep_known_parts(replace(known, source=of_a_webhook), known).source

    assert kept(None) == kept("price_day") == replace(bought, paid_at=5)
    assert kept("price_year") == Pass("cs_1", "price_year", None, None, 5)
    assert kept(None, "year") == Pass("cs_1", None, "year", None, 5)


def test_event_is_handled_if_it_points_at_an_object_or_changes_prices() -> None:
    payment = PaymentRef("refund", "re_1")
    assert payment.name == "refund:re_1"
    events = (EventContent(), EventContent(refs=(payment,)), EventContent(prices=True))
    assert [event.handled for event in events] == [False, True, True]
