"""Test what a payload leaves out and an earlier read has found."""

from __future__ import annotations

from dataclasses import replace

from service.domain.sources import Item, Subscription
from service.domain.stripe_facts import ObjectRef, OwnerClaims, StripeFacts, keep_known_parts

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
