"""Test that after an unlink, ownership is as if the link had never been: in every order, and after merges and crashes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any

import pytest

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.readers.source_codec import field_of
from service.domain.errors import InvalidFields, NotLinked
from service.use_cases.subscriptions.scheduled_jobs import ScheduledJobs
from tests.recorded_stripe import ADA, DAY, NOW, Maker, Notebook, admin_of
from tests.stepped_link import Failure, Killed
from tests.store_servers import ON_VALKEY

pytestmark = ON_VALKEY

BOTH = {"notebook", "no_ads"}
READERS = ["r-1", "r-2", "r-3", "r-4", "r-5"]


def held(stage: Any, reader: str) -> set[str]:
    return set(stage.held(reader, NOW + 10))


def owner(stage: Any, name: str = "subscription:sub_1") -> str | None:
    found: str | None = stage.processor.objects.load(name).owner.reader
    return found


def state_of(stage: Any) -> dict[str, Any]:
    """Return what every reader holds, from which sources, and their customers."""
    found = {}
    for reader in READERS:
        fields = sorted(map(field_of, stage.readers.load_active(reader)))
        found[reader] = (stage.held(reader, NOW + DAY), fields, stage.readers.list_customers(reader))
    return found


def test_unlinked_subscription_returns_to_the_reader_in_its_metadata(
    stage: Any, make: Any, admin: Any, notebook: Any
) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    admin.link_to_reader("r-2", subscription="sub_1", actor=ADA, now=NOW)
    admin.unlink_from_reader("r-2", subscription="sub_1", actor=ADA, now=NOW, reason="wrong person")
    assert (held(stage, "r-1"), held(stage, "r-2")) == (BOTH, set())
    _, entry = notebook.entries()
    assert (entry["action"], entry["reader"], entry["target"]) == ("unlink", "r-2", "sub_1")
    assert (entry["before"], entry["reason"]) == ({"reader": "r-2"}, "wrong person")


@pytest.mark.parametrize("what", [{"subscription": "sub_1"}, {"customer": "cus_1"}])
def test_unlinked_subscription_without_a_claim_is_unassigned(stage: Any, make: Any, admin: Any, what: Any) -> None:
    stage.stripe.put(make.customer())
    make.deliver("customer.subscription.created", make.subscription(reader=None))
    admin.link_to_reader("r-2", **what, actor=ADA, now=NOW)
    make.deliver("customer.subscription.updated", make.subscription(reader=None, end=NOW + 20 * DAY), NOW + 1)
    assert held(stage, "r-2") == BOTH
    admin.unlink_from_reader("r-2", **what, actor=ADA, now=NOW)
    make.deliver("customer.subscription.updated", make.subscription(reader=None, end=NOW + 30 * DAY), NOW + 2)
    assert (owner(stage), owner(stage, "customer:cus_1"), held(stage, "r-2")) == (None, None, set())
    assert stage.readers.list_customers("r-2") == []


@pytest.mark.parametrize("what", [{"subscription": "sub_1"}, {"customer": "cus_1"}])
@pytest.mark.parametrize("claimed", ["before", "during"])
def test_owner_by_a_removed_claim_is_remembered_during_the_link(
    stage: Any, make: Any, admin: Any, what: Any, claimed: str
) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader="r-1" if claimed == "before" else None))
    admin.link_to_reader("r-2", **what, actor=ADA, now=NOW, force=True)
    make.deliver("customer.subscription.updated", make.subscription(reader="r-1"), NOW + 1)
    make.deliver("customer.subscription.updated", make.subscription(reader=None), NOW + 2)
    assert (held(stage, "r-1"), held(stage, "r-2")) == (set(), BOTH)
    admin.unlink_from_reader("r-2", **what, actor=ADA, now=NOW)
    assert (held(stage, "r-1"), held(stage, "r-2")) == (BOTH, set())


def test_link_of_a_subscription_does_not_keep_its_customer(stage: Any, make: Any, admin: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription("sub_0", reader="r-1"))
    make.deliver("customer.subscription.created", make.subscription(reader=None, created=NOW - DAY))
    admin.link_to_reader("r-2", subscription="sub_1", actor=ADA, now=NOW)
    assert owner(stage, "customer:cus_1") == "r-2"
    admin.unlink_from_reader("r-2", subscription="sub_1", actor=ADA, now=NOW)
    assert owner(stage, "customer:cus_1") == "r-1"


def test_unlinking_a_link_of_a_former_release_leaves_it_unassigned(stage: Any, make: Any, admin: Any) -> None:
    """A former release stored neither who would be the owner without the link, nor that the customer's owner is by link."""
    stage.stripe.put(make.customer())
    make.deliver("customer.subscription.created", make.subscription(reader=None))
    admin.link_to_reader("r-2", subscription="sub_1", actor=ADA, now=NOW)
    objects, keys = stage.processor.objects, stage.keys
    number = objects.load("customer:cus_1").number(b"linked:subscription:sub_1#")
    former = ["known", "r-2", "known#", number]
    stage.link.call(keys.stripe_object("customer:cus_1"), "HSET", keys.stripe_object("customer:cus_1"), *former)
    for name, fields in [("subscription:sub_1", ["unlinked"]), ("customer:cus_1", ["unlinked"])]:
        stage.link.call(keys.stripe_object(name), "HDEL", keys.stripe_object(name), *fields)
    assert held(stage, "r-2") == BOTH
    admin.unlink_from_reader("r-2", subscription="sub_1", actor=ADA, now=NOW)
    assert (owner(stage), owner(stage, "customer:cus_1"), held(stage, "r-2")) == (None, None, set())


def test_what_is_not_linked_to_this_reader_is_refused(stage: Any, make: Any, admin: Any, notebook: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    admin.link_to_reader("r-2", subscription="sub_1", actor=ADA, now=NOW)
    for reader, what in [
        ("r-1", {"subscription": "sub_1"}),
        ("r-2", {"customer": "cus_1"}),
        ("r-2", {"subscription": "sub_9"}),
    ]:
        with pytest.raises(NotLinked):
            admin.unlink_from_reader(reader, **what, actor=ADA, now=NOW)
    admin.unlink_from_reader("r-2", subscription="sub_1", actor=ADA, now=NOW)
    with pytest.raises(NotLinked):
        admin.unlink_from_reader("r-2", subscription="sub_1", actor=ADA, now=NOW)
    assert [entry["action"] for entry in notebook.entries()] == ["link", "unlink"]


@pytest.mark.parametrize("asked", ["r-2", "r-3"])
def test_link_of_a_merged_reader_is_removed_under_both_ids(stage: Any, make: Any, admin: Any, asked: str) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    admin.link_to_reader("r-2", subscription="sub_1", actor=ADA, now=NOW)
    admin.merge_readers("r-3", "r-2", ADA, NOW)
    admin.merge_readers("r-4", "r-1", ADA, NOW)
    assert (held(stage, "r-3"), held(stage, "r-4")) == (BOTH, set())
    admin.unlink_from_reader(asked, subscription="sub_1", actor=ADA, now=NOW)
    assert (held(stage, "r-3"), held(stage, "r-4")) == (set(), BOTH)


def test_unlinked_subscription_does_not_restore_an_erased_reader(stage: Any, make: Any, admin: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    admin.link_to_reader("r-2", subscription="sub_1", actor=ADA, now=NOW)
    stage.processor.objects.erased.mark([reader_hash("r-1")], NOW)
    admin.unlink_from_reader("r-2", subscription="sub_1", actor=ADA, now=NOW)
    assert (owner(stage), held(stage, "r-1"), held(stage, "r-2")) == (None, set(), set())


@pytest.mark.parametrize("what", [{"subscription": "sub_9"}, {"customer": "cus_9"}])
def test_link_of_an_object_stripe_does_not_know_needs_force(stage: Any, admin: Any, notebook: Any, what: Any) -> None:
    with pytest.raises(InvalidFields) as refused:
        admin.link_to_reader("r-2", **what, actor=ADA, now=NOW)
    assert [field for field, _ in refused.value.errors] == list(what)
    assert notebook.entries() == []
    admin.link_to_reader("r-2", **what, actor=ADA, now=NOW, force=True)
    assert [entry["action"] for entry in notebook.entries()] == ["link"]


def test_link_is_taken_while_stripe_is_unavailable(stage: Any, admin: Any, notebook: Any) -> None:
    stage.stripe.away = True
    admin.link_to_reader("r-2", subscription="sub_9", actor=ADA, now=NOW)
    assert [entry["action"] for entry in notebook.entries()] == ["link"]


def random_events(random: Random, make: Any) -> list[Callable[[], object]]:
    """Return a random course of events: claims that come, change and go, on two subscriptions and their customer."""
    some = [None, "r-1", "r-3"]
    steps: list[Callable[[], object]] = []
    for at in range(NOW + 1, NOW + 9):
        reader, reference = random.choice(some), random.choice(some)
        kind = random.choice(["subscription", "subscription", "customer", "session", "entitlements"])
        if kind == "subscription":
            name, days = random.choice([("sub_1", 50), ("sub_2", 40)])
            obj = make.subscription(name, reader=reader, created=NOW - days * DAY, end=at + 10 * DAY)
            steps.append(partial(make.deliver, "customer.subscription.updated", obj, at))
        elif kind == "customer":
            steps.append(partial(make.deliver, "customer.updated", make.customer(reader=reader), at))
        elif kind == "session":
            started = {"mode": "subscription", "subscription": "sub_1", "payment_intent": None}
            obj = make.session(reader=reader, client_reference_id=reference, **started)
            steps.append(partial(make.deliver, "checkout.session.completed", obj, at))
        else:
            obj = {
                "object": "entitlements.active_entitlement_summary",
                "customer": "cus_1",
                "entitlements": {"data": [{"id": "ent_1", "lookup_key": "newsmaker_events"}]},
            }
            steps.append(partial(make.deliver, "entitlements.active_entitlement_summary.updated", obj, at))
    return steps


LINKS = [{"subscription": "sub_1"}, {"subscription": "sub_2"}, {"customer": "cus_1"}]


def play(stage: Any, seed: int, *, linked: bool) -> dict[str, Any]:
    """Play events and return the end; with `linked`, links come between them, and all are removed again."""
    random, make = Random(seed), Maker(stage)
    admin = admin_of(stage, Notebook(stage.link, stage.keys), stage.processor)
    stage.stripe.put(make.customer())
    steps = random_events(random, make)
    for what in random.sample(LINKS, random.randint(1, 3)) if linked else []:
        first, last = sorted(random.sample(range(len(steps) + 1), 2))
        target: dict[str, Any] = {
            "reader": random.choice(["r-2", "r-3", "r-4"]),
            **what,
            "actor": ADA,
            "now": NOW + 100,
        }
        steps.insert(last, partial(admin.unlink_from_reader, **target))
        steps.insert(first, partial(admin.link_to_reader, **target, force=True))
    for step in steps:
        step()
    ScheduledJobs(stage.make()).run_due(NOW + 200, everything=True)
    return state_of(stage)


@pytest.mark.parametrize("seed", range(40))
def test_any_order_of_links_and_events_ends_as_without_links(stage_of: Any, seed: int) -> None:
    assert play(stage_of(), seed, linked=True) == play(stage_of(), seed, linked=False)


def test_process_killed_while_unlinking_leaves_no_half_of_it(stage_of: Any, stepped: Any) -> None:
    failure, at, died = Failure(), 0, True
    link = stepped(failure)
    while died:
        at, died = at + 1, False
        stage = stage_of()
        make = Maker(stage)
        make.deliver("customer.subscription.created", make.subscription(reader=None))
        notebook = Notebook(stage.link, stage.keys)
        admin_of(stage, notebook, stage.processor).link_to_reader(
            "r-2", customer="cus_1", actor=ADA, now=NOW, force=True
        )
        admin = admin_of(stage, notebook, stage.make(link), link)
        failure.arm(at)
        try:
            admin.unlink_from_reader("r-2", customer="cus_1", actor=ADA, now=NOW)
        except Killed:
            died = True
        failure.disarm()
        ScheduledJobs(stage.make()).run_due(NOW + 70, everything=True)
        actions = [entry["action"] for entry in notebook.entries()]
        assert (held(stage, "r-2") == set()) == (actions == ["link", "unlink"])
        with suppress(NotLinked):
            admin_of(stage, notebook, stage.processor).unlink_from_reader("r-2", customer="cus_1", actor=ADA, now=NOW)
        assert (held(stage, "r-2"), owner(stage), stage.readers.list_customers("r-2")) == (set(), None, [])
        assert [entry["action"] for entry in notebook.entries()] == ["link", "unlink"]
    assert at > 5
