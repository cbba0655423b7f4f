"""Test the processor with the real gateway and SDK against the look-alike."""

from __future__ import annotations

import time
from typing import Any

import pytest

from service.adapters.stripe.gateway import Gateway
from service.adapters.stripe.transport import RateLimit
from service.adapters.stripe.webhook import parse_api_event
from service.domain.errors import InvalidFields
from service.use_cases.subscriptions.catch_up import CatchUp
from service.use_cases.subscriptions.full_sync import FullSync
from service.use_cases.subscriptions.scheduled_jobs import ScheduledJobs
from stripe_lookalike import RunningLookalike
from tests.recorded_stripe import ADA, admin_of

NOW = 2_000_000_000


@pytest.fixture
def processor(stage: Any, lookalike: RunningLookalike) -> Any:
    gateway = Gateway("sk_test_x", lookalike.url, RateLimit(per_second=1_000, burst=1_000))
    return stage.make(gateway=gateway, timer=time.monotonic)


def check(stage: Any, processor: Any, story: Any) -> None:
    now = story["events"][-1]["created"] + 1
    assert stage.held(story["reader"], now) == stage.expected(story, now)
    counts = processor.pending_work.count()
    assert (counts["pending"], counts["unread"], counts["unspread"]) == (0, 0, 0)


def test_catch_up_alone_applies_every_lifecycle(stage: Any, processor: Any, control: Any, stories: Any) -> None:
    for story in stories.values():
        control.load(story)
    now = max(story["events"][-1]["created"] for story in stories.values())
    CatchUp(processor).catch_up(processor.gateway, now)
    for story in stories.values():
        check(stage, processor, story)


def test_webhooks_alone_apply_every_lifecycle(stage: Any, processor: Any, control: Any, stories: Any) -> None:
    for story in stories.values():
        control.load(story)
    for story in stories.values():
        for event in reversed(story["events"]):
            processor.receive_event(parse_api_event(event), story["events"][-1]["created"])
        check(stage, processor, story)


def test_full_sync_alone_finds_all_subscriptions(stage: Any, processor: Any, control: Any, stories: Any) -> None:
    """Start without events, as a site with subscribers does when it sets up the service."""
    for story in stories.values():
        control.load({**story, "events": []})
    now = max(story["events"][-1]["created"] for story in stories.values())
    swept = FullSync(processor).sync_all(processor.gateway, now)
    assert {drift.what for drift in swept.drift} == {"unknown"}
    for story in stories.values():
        if not story["final"]["checkout_sessions"]:
            check(stage, processor, story)
    assert FullSync(processor).sync_all(processor.gateway, now).drift == []


@pytest.mark.full
def test_webhook_is_acknowledged_in_time_while_stripe_hangs(
    stage: Any, processor: Any, control: Any, stories: Any
) -> None:
    story = stories["signup_active"]
    control.load(story)
    control.ask("POST", "/faults", {"hang": 60})
    for event in story["events"]:
        begun = time.monotonic()
        processor.receive_event(parse_api_event(event), event["created"])
        assert time.monotonic() - begun < 20
    now = story["events"][-1]["created"] + 1
    assert stage.held(story["reader"], now) == stage.expected(story, now)
    control.ask("DELETE", "/faults")
    ScheduledJobs(processor).run_due(now, everything=True)
    check(stage, processor, story)
    assert all(source.confirmed for source in stage.readers.load_active(story["reader"]))


@pytest.mark.parametrize("what", [{"customer": "cus_unknown"}, {"subscription": "sub_unknown"}])
def test_link_of_an_unknown_id_is_refused_only_while_stripe_answers(
    stage: Any, notebook: Any, processor: Any, lookalike: RunningLookalike, what: Any
) -> None:
    admin = admin_of(stage, notebook, processor)
    with pytest.raises(InvalidFields):
        admin.link_to_reader("r-1", **what, actor=ADA, now=NOW)
    unreachable = Gateway("sk_test_x", "http://127.0.0.1:9", RateLimit(per_second=1_000, burst=1_000))
    admin = admin_of(stage, notebook, stage.make(gateway=unreachable, timer=time.monotonic))
    admin.link_to_reader("r-1", **what, actor=ADA, now=NOW)
    assert [entry["action"] for entry in notebook.entries()] == ["link"]
