"""Crashes: a process that dies before any of its commands, and a store that is killed between any two of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis.crc import key_slot

from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.link import Link
from service.adapters.stripe.webhook import envelope
from service.domain.errors import StoreUnavailable
from service.use_cases.subscriptions.scheduled_jobs import Chores
from tests.adapters.redis.test_link_cluster import build
from tests.use_cases.subscriptions import conftest as playing

DAY = 86_400
NOW = 2_000_000_000

__all__ = ["build"]  # a fixture

Story = Callable[[Any, Any], list[dict[str, Any]]]


def a_new_subscription(stage: Any, make: Any) -> list[dict[str, Any]]:
    return [make.event("customer.subscription.created", make.subscription())]


def a_change_of_owner(stage: Any, make: Any) -> list[dict[str, Any]]:
    make.tell("customer.subscription.created", make.subscription(reader="r-0"))
    return [make.event("customer.subscription.updated", make.subscription(), NOW + 1)]


def a_session_and_its_subscription(stage: Any, make: Any) -> list[dict[str, Any]]:
    session = make.session(mode="subscription", subscription="sub_1", payment_intent=None)
    return [
        make.event("checkout.session.completed", session),
        make.event("customer.subscription.created", make.subscription(reader=None)),
    ]


def a_refund_given_back(stage: Any, make: Any) -> list[dict[str, Any]]:
    make.tell("checkout.session.completed", make.session())
    return [
        make.event("refund.created", make.refund(300)),
        make.event("refund.failed", make.refund(300, status="failed"), NOW + 1),
        make.event("customer.subscription.created", make.subscription()),
    ]


def a_customer_that_is_deleted(stage: Any, make: Any) -> list[dict[str, Any]]:
    make.tell("customer.subscription.created", make.subscription("sub_0", customer="cus_0", end=NOW + DAY))
    make.tell("customer.subscription.created", make.subscription())
    return [
        make.event("customer.deleted", make.customer("cus_0")),
        make.event("customer.subscription.updated", make.subscription(), NOW + 2),
    ]


STORIES: list[Story] = [
    a_new_subscription,
    a_change_of_owner,
    a_session_and_its_subscription,
    a_refund_given_back,
    a_customer_that_is_deleted,
]


def right(stage: Any) -> None:
    """What all of these end in."""
    held = stage.held("r-1", NOW + 2 * DAY)
    assert held == dict.fromkeys(["notebook", "no_ads"], NOW + 12 * DAY)
    assert stage.held("r-0", NOW) == {}
    counts = stage.engine.marks.counts()
    assert (counts["pending"], counts["unread"], counts["unspread"]) == (0, 0, 0)
    assert {entry.state for entry in stage.engine.ledger.page(100)[0]} <= {"applied", "stale"}


@pytest.mark.full
@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("story", STORIES)
def test_a_process_killed_before_any_of_its_commands_loses_nothing(stage_of: Any, story: Story, away: bool) -> None:
    """`kill -9` at every point between receiving and done; the worker comes a minute later."""
    at, died = 0, True
    while died:
        at, died = at + 1, False
        stage = stage_of()
        make = playing.Maker(stage)
        events = [stage.stripe.happen(event) for event in story(stage, make)]
        stage.stripe.away = away
        left = [at]

        def step(left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise playing.Killed

        stage.link.step = step
        for event in events:
            try:
                stage.tell(event, NOW + 5, stage.make())
            except playing.Killed:
                died = True
                if stage.engine.ledger.find(event["id"]) is None:  # Never acknowledged: Stripe sends it again.
                    stage.tell(event, NOW + 6)
        stage.link.step = lambda: None
        stage.stripe.away = False
        Chores(stage.make()).run(NOW + 70 + 8, everything=away)
        right(stage)
    assert at > 8


@pytest.mark.full
@pytest.mark.parametrize("kind", ["valkey", "redis8"])
@pytest.mark.parametrize("story", STORIES)
def test_a_store_killed_between_any_two_commands_loses_nothing(
    story: Story, kind: str, launch: Any, catalogue: Any
) -> None:
    server = launch(kind, appendonly="yes", appendfsync="always")
    link = playing.SteppedLink(parse_address(server.url))
    assert link.wait(5)
    at, struck = 0, True
    while struck:
        at, struck = at + 1, False
        link.each_master("FLUSHALL")
        stage = playing.Stage(link, catalogue)
        events = [stage.stripe.happen(event) for event in story(stage, playing.Maker(stage))]
        left = [at]

        def step(left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                server.end()
                server.start()

        link.step = step
        for event in events:
            acknowledged = False
            while not acknowledged:
                try:
                    stage.engine.receive(envelope(event), NOW + 5)
                    acknowledged = True
                except StoreUnavailable:
                    assert link.wait(10)
        struck = left[0] <= 0
        link.step = lambda: None
        assert link.wait(10)
        Chores(stage.make()).run(NOW + 70, everything=True)
        right(stage)
    link.close()
    assert at > 8


class OneSlot(Link):
    """A link that holds every script to one slot, as a cluster does."""

    def run(self, script: Any, keys: Any, args: Any) -> Any:
        assert len({key_slot(key) for key in keys}) == 1, script.name
        return super().run(script, keys, args)


@pytest.mark.parametrize("story", STORIES)
def test_the_keys_of_every_script_share_a_slot(story: Story, store_url: str, catalogue: Any, connect: Any) -> None:
    link = OneSlot(parse_address(store_url), timeout=playing.PATIENT)
    assert link.wait(5)
    stage = playing.Stage(link, catalogue)
    make = playing.Maker(stage)
    for event in story(stage, make):
        stage.tell(stage.stripe.happen(event), NOW + 5)
    admin = playing.admin_of(stage, playing.Notebook(link, stage.keys), stage.engine)
    admin.link("r-1", subscription="sub_1", actor=playing.ADA, now=NOW)
    admin.merge("r-2", "r-1", playing.ADA, NOW)
    Chores(stage.engine).run(NOW + 70, everything=True)
    link.close()


def test_nothing_personal_is_in_a_key(stage: Any, make: Any, admin: Any) -> None:
    make.tell("customer.subscription.created", make.subscription(reader="r-personal", price="price_seat_month"))
    admin.give_seat("sub_1", "r-personal-2", playing.ADA, NOW)
    keys = [key for page in stage.link.scan_nodes(b"*") for key in page]
    assert keys
    assert not [key for key in keys if b"personal" in key]
    assert all(key.startswith(b"pw:") for key in keys)


@pytest.mark.full
def test_a_real_cluster_serves_all_of_it(build: Any, catalogue: Any, connect: Any) -> None:
    link = connect(build("valkey").url)
    assert link.wait(10)
    stage = playing.Stage(link, catalogue)
    make = playing.Maker(stage)
    for event in a_refund_given_back(stage, make):
        stage.tell(stage.stripe.happen(event), NOW + 5)
    right(stage)
    admin = playing.admin_of(stage, playing.Notebook(link, stage.keys), stage.engine)
    admin.merge("r-2", "r-1", playing.ADA, NOW)
    assert set(stage.held("r-2", NOW + 2 * DAY)) == {"notebook", "no_ads"}
    Chores(stage.engine).run(NOW + 70, everything=True)
