"""Test owner resolution: claims, customers, sessions, links, and changes of owner."""

from __future__ import annotations

from typing import Any

import pytest

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.readers.source_codec import field_of
from tests.store_servers import ON_VALKEY

pytestmark = ON_VALKEY

DAY = 86_400
NOW = 2_000_000_000
BOTH = {"notebook", "no_ads"}
ADMIN = Actor("ada", "203.0.113.1")


def held(stage: Any, reader: str) -> set[str]:
    return set(stage.held(reader, NOW + 10))


def test_unassigned_object_is_assigned_when_the_customer_names_a_reader(stage: Any, make: Any) -> None:
    stage.stripe.put(make.customer())
    make.deliver("customer.subscription.created", make.subscription(reader=None))
    assert stage.processor.objects.load("subscription:sub_1").owner.reader is None
    make.deliver("customer.updated", make.customer(reader="r-7"))
    assert held(stage, "r-7") == BOTH
    assert stage.readers.list_customers("r-7") == ["cus_1"]


def test_deciding_customer_is_read_without_an_event(stage: Any, make: Any) -> None:
    stage.stripe.put(make.customer(reader="r-7"))
    make.deliver("customer.subscription.created", make.subscription(reader=None))
    assert held(stage, "r-7") == BOTH


def test_deciding_customer_that_cannot_be_read_is_read_later(stage: Any, make: Any, run_jobs: Any) -> None:
    stage.stripe.put(make.customer(reader="r-7"))
    stage.stripe.away = True
    make.deliver("customer.subscription.created", make.subscription(reader=None))
    assert held(stage, "r-7") == set()
    stage.stripe.away = False
    run_jobs(NOW + 100)
    assert held(stage, "r-7") == BOTH


@pytest.mark.parametrize("session_first", [True, False])
def test_subscription_belongs_to_the_reader_of_its_session(stage: Any, make: Any, session_first: bool) -> None:
    stage.stripe.put(make.customer(reader="r-9"))
    sub = stage.stripe.put(make.subscription(reader=None))
    session = make.session(
        reader=None, mode="subscription", subscription="sub_1", payment_intent=None, client_reference_id="r-2"
    )
    deliveries = [
        lambda: make.deliver("checkout.session.completed", session),
        lambda: make.deliver("customer.subscription.created", sub),
    ]
    for deliver in deliveries if session_first else reversed(deliveries):
        deliver()
    assert held(stage, "r-2") == BOTH
    assert held(stage, "r-9") == set()


def test_session_alone_adds_the_subscription_it_started(stage: Any, make: Any) -> None:
    stage.stripe.put(make.subscription(reader=None))
    session = make.session(reader="r-2", mode="subscription", subscription="sub_1", payment_intent=None)
    make.deliver("checkout.session.completed", session)
    assert held(stage, "r-2") == BOTH


def test_changed_owner_gets_the_source_and_the_old_one_loses_it(stage: Any, make: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    make.deliver("customer.subscription.updated", make.subscription(reader="r-2"), NOW + 1)
    assert (held(stage, "r-1"), held(stage, "r-2")) == (set(), BOTH)
    assert stage.readers.load_all("r-1") == []
    assert stage.readers.list_customers("r-1") == []
    make.deliver("customer.subscription.updated", make.subscription(reader="r-1"), NOW + 2)
    assert (held(stage, "r-1"), held(stage, "r-2")) == (BOTH, set())


def test_owner_stays_when_the_claim_is_removed(stage: Any, make: Any) -> None:
    stage.stripe.put(make.customer())
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    make.deliver("customer.subscription.updated", make.subscription(reader=None), NOW + 1)
    assert held(stage, "r-1") == BOTH


def test_gift_belongs_to_the_recipient_and_lists_no_customer(stage: Any, make: Any) -> None:
    gift = make.subscription(reader="r-1", metadata={"reader_id": "r-1", "gift_recipient": "r-2"})
    make.deliver("customer.subscription.created", gift)
    assert (held(stage, "r-1"), held(stage, "r-2")) == (set(), BOTH)
    assert stage.readers.list_customers("r-2") == []
    (gift,) = stage.readers.load_active("r-2")
    assert field_of(gift) == b"f:sub_1"


def test_pending_gift_is_unassigned_until_linked(stage: Any, make: Any, admin: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription(metadata={"reader_id": "r-1", "gift": "pending"}))
    assert held(stage, "r-1") == set()
    assert admin.link_to_reader("r-2", subscription="sub_1", actor=ADMIN, now=NOW).was is None
    assert held(stage, "r-2") == BOTH


def test_link_overrides_all_metadata_and_is_audited(stage: Any, make: Any, admin: Any, notebook: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    linked = admin.link_to_reader("r-2", subscription="sub_1", actor=ADMIN, now=NOW)
    assert (linked.reader, linked.was) == ("r-2", "r-1")
    make.deliver("customer.subscription.updated", make.subscription(reader="r-1", end=NOW + 50 * DAY), NOW + 1)
    assert (held(stage, "r-1"), held(stage, "r-2")) == (set(), BOTH)
    (entry,) = notebook.entries()
    assert (entry["action"], entry["reader"], entry["target"]) == ("link", "r-2", "sub_1")
    assert (entry["before"], entry["after"]) == ({"reader": "r-1"}, {"reader": "r-2"})


def test_repeated_link_changes_nothing(stage: Any, make: Any, admin: Any, notebook: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    for _ in range(2):
        admin.link_to_reader("r-2", subscription="sub_1", actor=ADMIN, now=NOW)
    assert len(notebook.entries()) == 1


def test_link_of_a_customer_moves_all_its_objects(stage: Any, make: Any, admin: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    make.deliver("checkout.session.completed", make.session(reader="r-1"))
    admin.link_to_reader("r-2", customer="cus_1", actor=ADMIN, now=NOW, force=True)
    assert held(stage, "r-1") == set()
    assert set(map(field_of, stage.readers.load_active("r-2"))) == {b"s:sub_1", b"p:cs_1"}
    make.deliver("customer.subscription.created", make.subscription("sub_2", reader="r-1"))
    assert b"s:sub_2" in map(field_of, stage.readers.load_active("r-2"))


@pytest.mark.parametrize("what", ["subscription", "customer"])
def test_link_of_an_unreported_object_applies_when_it_arrives(stage: Any, make: Any, admin: Any, what: str) -> None:
    name = {"subscription": "sub_1", "customer": "cus_1"}[what]
    assert admin.link_to_reader("r-2", **{what: name}, actor=ADMIN, now=NOW, force=True).was is None
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    assert (held(stage, "r-1"), held(stage, "r-2")) == (set(), BOTH)


def test_link_of_an_object_stripe_knows_applies_at_once(stage: Any, make: Any, admin: Any) -> None:
    stage.stripe.put(make.subscription(reader=None))
    admin.link_to_reader("r-2", subscription="sub_1", actor=ADMIN, now=NOW)
    assert held(stage, "r-2") == BOTH


def test_stripe_does_not_restore_an_erased_reader(stage: Any, make: Any, admin: Any) -> None:
    stage.processor.objects.erased.mark([reader_hash("r-1")], NOW - 5)
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    assert held(stage, "r-1") == set()
    make.deliver("customer.subscription.created", make.subscription("sub_2", reader="r-1", created=NOW))
    assert list(map(field_of, stage.readers.load_active("r-1"))) == [b"s:sub_2"]
    admin.link_to_reader("r-1", subscription="sub_1", actor=ADMIN, now=NOW)
    assert set(map(field_of, stage.readers.load_active("r-1"))) == {b"s:sub_1", b"s:sub_2"}


def test_deleted_customer_ends_its_subscriptions_without_their_events(stage: Any, make: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription())
    make.deliver("customer.subscription.created", make.subscription("sub_2"))
    stage.stripe.away = True
    make.deliver("customer.deleted", make.customer(), NOW + 5)
    assert held(stage, "r-1") == set()
    ends = {source.ended_at for source in stage.readers.load_all("r-1")}
    assert ends == {NOW + 5}


def test_deleted_customer_has_the_same_owner_in_any_order(stage: Any, make: Any) -> None:
    stage.stripe.away = True
    first, second = make.customer("cus_1", reader="r-1"), make.customer("cus_2", reader="r-1")
    stage.deliver(make.event("customer.created", first, NOW))
    stage.deliver(make.event("customer.deleted", first, NOW + 2))
    stage.deliver(make.event("customer.deleted", second, NOW + 2))
    stage.deliver(make.event("customer.created", second, NOW))
    assert sorted(stage.readers.list_customers("r-1")) == ["cus_1", "cus_2"]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0)])
def test_pass_of_a_deleted_customer_has_the_same_owner_in_any_order(
    stage: Any, make: Any, order: tuple[int, ...]
) -> None:
    """The event of the deletion carries the customer's metadata, and may come first."""
    stage.stripe.away = True
    customer = make.customer(reader="r-1")
    events = [
        make.event("customer.created", customer, NOW),
        make.event("checkout.session.completed", make.session(reader=None), NOW + 1),
        make.event("customer.deleted", customer, NOW + 2),
    ]
    for place in order:
        stage.deliver(events[place], NOW + 5)
    assert held(stage, "r-1") == {"notebook"}


def test_entitlements_belong_to_the_reader_of_the_customer(stage: Any, make: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription(status="unpaid"))
    assert held(stage, "r-1") == set()
    summary = {
        "object": "entitlements.active_entitlement_summary",
        "customer": "cus_1",
        "entitlements": {"data": [{"id": "ent_1", "lookup_key": "newsmaker_events"}, {"id": "e2", "lookup_key": "x"}]},
    }
    make.deliver("entitlements.active_entitlement_summary.updated", summary)
    assert stage.held("r-1", NOW) == {"newsmaker_events": None}
    summary["entitlements"] = {"data": []}
    make.deliver("entitlements.active_entitlement_summary.updated", summary, NOW + 1)
    assert held(stage, "r-1") == set()


def test_truncated_summary_adds_entitlements_and_removes_none(stage: Any, make: Any) -> None:
    stage.stripe.away = True
    make.deliver("customer.created", make.customer(reader="r-1"))
    summary = {
        "object": "entitlements.active_entitlement_summary",
        "customer": "cus_1",
        "entitlements": {"data": [{"id": "ent_1", "lookup_key": "notebook"}]},
    }
    make.deliver("entitlements.active_entitlement_summary.updated", summary)
    summary["entitlements"] = {"data": [{"id": "ent_2", "lookup_key": "no_ads"}], "has_more": True}
    make.deliver("entitlements.active_entitlement_summary.updated", summary, NOW + 1)
    assert held(stage, "r-1") == BOTH
