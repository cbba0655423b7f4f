"""Test crashes: a process that dies before any command, and a store killed between any two."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from redis.crc import key_slot

from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.link import Link
from service.adapters.stripe.webhook import parse_api_event
from service.domain.errors import StoreUnavailable
from service.use_cases.subscriptions.scheduled_jobs import ScheduledJobs
from tests.recorded_stripe import ADA, Maker, Notebook, Stage, admin_of
from tests.stepped_link import PATIENT, Failure, Killed, SteppedLink
from tests.store_clusters import BuildCluster

DAY = 86_400
NOW = 2_000_000_000


Story = Callable[[Any, Any], list[dict[str, Any]]]


def a_new_subscription(stage: Any, make: Any) -> list[dict[str, Any]]:
    return [make.event("customer.subscription.created", make.subscription())]


def a_change_of_owner(stage: Any, make: Any) -> list[dict[str, Any]]:
    make.deliver("customer.subscription.created", make.subscription(reader="r-0"))
    return [make.event("customer.subscription.updated", make.subscription(), NOW + 1)]


def a_session_and_its_subscription(stage: Any, make: Any) -> list[dict[str, Any]]:
    session = make.session(mode="subscription", subscription="sub_1", payment_intent=None)
    return [
        make.event("checkout.session.completed", session),
        make.event("customer.subscription.created", make.subscription(reader=None)),
    ]


def a_refund_given_back(stage: Any, make: Any) -> list[dict[str, Any]]:
    make.deliver("checkout.session.completed", make.session())
    return [
        make.event("refund.created", make.refund(300)),
        make.event("refund.failed", make.refund(300, status="failed"), NOW + 1),
        make.event("customer.subscription.created", make.subscription()),
    ]


def a_customer_that_is_deleted(stage: Any, make: Any) -> list[dict[str, Any]]:
    make.deliver("customer.subscription.created", make.subscription("sub_0", customer="cus_0", end=NOW + DAY))
    make.deliver("customer.subscription.created", make.subscription())
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
    """Check the state that all of these end in."""
    held = stage.held("r-1", NOW + 2 * DAY)
    assert held == dict.fromkeys(["notebook", "no_ads"], NOW + 12 * DAY)
    assert stage.held("r-0", NOW) == {}
    counts = stage.processor.pending_work.count()
    assert (counts["pending"], counts["unread"], counts["unspread"]) == (0, 0, 0)
    assert {entry.state for entry in stage.processor.ledger.load_page(100)[0]} <= {"applied", "stale"}


@pytest.mark.full
@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("story", STORIES)
def test_process_killed_before_any_command_loses_nothing(stage_of: Any, stepped: Any, story: Story, away: bool) -> None:
    """Kill the process at every point between receiving and done; the worker runs a minute later."""
    failure, at, died = Failure(), 0, True
    link = stepped(failure)
    while died:
        at, died = at + 1, False
        stage = stage_of()
        events = [stage.stripe.happen(event) for event in story(stage, Maker(stage))]
        stage.stripe.away = away
        failure.arm(at)
        for event in events:
            try:
                stage.deliver(event, NOW + 5, stage.make(link))
            except Killed:
                died = True
                failure.disarm()
                if stage.processor.ledger.find(event["id"]) is None:  # Never acknowledged: Stripe sends it again.
                    stage.deliver(event, NOW + 6)
        stage.stripe.away = False
        ScheduledJobs(stage.make()).run_due(NOW + 70 + 8, everything=away)
        right(stage)
    assert at > 8


@pytest.mark.full
@pytest.mark.parametrize("story", STORIES)
def test_lost_reply_to_any_command_loses_nothing(stage_of: Any, stepped: Any, story: Story) -> None:
    """The store has done the command, and the process sees an outage."""
    failure, at = Failure(replies_only=True), 0
    link = stepped(after=failure)
    while at == 0 or failure.struck:
        at += 1
        stage = stage_of()
        processor = stage.make(link)
        events = [stage.stripe.happen(event) for event in story(stage, Maker(stage))]
        failure.arm(at)
        for event in events:
            try:
                stage.deliver(event, NOW + 5, processor)
            except StoreUnavailable:  # Never acknowledged: Stripe sends it again.
                stage.deliver(event, NOW + 6, processor)
        with suppress(StoreUnavailable):
            processor.finish_postponed(NOW + 10)
        ScheduledJobs(stage.make()).run_due(NOW + 70, everything=True)
        right(stage)
    assert at > 8


@pytest.mark.full
@pytest.mark.parametrize(
    ("story", "kind"), [*((story, "valkey") for story in STORIES), (a_session_and_its_subscription, "redis8")]
)
def test_store_killed_between_any_two_commands_loses_nothing(
    story: Story, kind: str, launch: Any, catalogue: Any
) -> None:
    server = launch(kind, appendonly="yes", appendfsync="always")
    at, left, struck = 0, 0, True

    def restart(name: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            server.end()
            server.start()

    link = SteppedLink(parse_address(server.url), before=restart)
    assert link.wait(60)
    while struck:
        at += 1
        link.each_master("FLUSHALL")
        stage = Stage(link, catalogue)
        events = [stage.stripe.happen(event) for event in story(stage, Maker(stage))]
        left = at
        for event in events:
            acknowledged = False
            while not acknowledged:
                try:
                    stage.processor.receive_event(parse_api_event(event), NOW + 5)
                    acknowledged = True
                except StoreUnavailable:
                    assert link.wait(60)
        struck, left = left <= 0, 0
        assert link.wait(60)
        ScheduledJobs(stage.make()).run_due(NOW + 70, everything=True)
        right(stage)
    link.close()
    assert at > 8


class OneSlot(Link):
    """A link that requires one slot for each script, as a cluster does."""

    def run(self, script: Any, keys: Any, args: Any) -> Any:
        assert len({key_slot(key) for key in keys}) == 1, script.name
        return super().run(script, keys, args)


@pytest.mark.parametrize("story", STORIES)
def test_keys_of_every_script_share_a_slot(story: Story, store_url: str, catalogue: Any, connect: Any) -> None:
    link = OneSlot(parse_address(store_url), timeout=PATIENT)
    assert link.wait(60)
    stage = Stage(link, catalogue)
    make = Maker(stage)
    for event in story(stage, make):
        stage.deliver(stage.stripe.happen(event), NOW + 5)
    admin = admin_of(stage, Notebook(link, stage.keys), stage.processor)
    admin.link_to_reader("r-1", subscription="sub_1", actor=ADA, now=NOW)
    admin.merge_readers("r-2", "r-1", ADA, NOW)
    ScheduledJobs(stage.processor).run_due(NOW + 70, everything=True)
    link.close()


def test_no_key_contains_personal_data(stage: Any, make: Any, admin: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader="r-personal", price="price_seat_month"))
    admin.assign_seat("sub_1", "r-personal-2", ADA, NOW)
    keys = [key for page in stage.link.scan_nodes(b"*") for key in page]
    assert keys
    assert not [key for key in keys if b"personal" in key]
    assert all(key.startswith(b"pw:") for key in keys)


@pytest.mark.full
def test_cluster_serves_events_merges_and_refunds(build_cluster: BuildCluster, catalogue: Any, connect: Any) -> None:
    link = connect(build_cluster("valkey").url)
    assert link.wait(60)
    stage = Stage(link, catalogue)
    make = Maker(stage)
    for event in a_refund_given_back(stage, make):
        stage.deliver(stage.stripe.happen(event), NOW + 5)
    right(stage)
    admin = admin_of(stage, Notebook(link, stage.keys), stage.processor)
    admin.merge_readers("r-2", "r-1", ADA, NOW)
    assert set(stage.held("r-2", NOW + 2 * DAY)) == {"notebook", "no_ads"}
    ScheduledJobs(stage.processor).run_due(NOW + 70, everything=True)
