"""Test the twelve recorded lifecycles: the result is what Stripe's final objects say."""

from __future__ import annotations

from typing import Any

import pytest

NAMES = [
    "cancel_at_period_end",
    "cancel_now",
    "dispute_won",
    "dunning_to_canceled",
    "incomplete_then_active",
    "past_due_recovered",
    "refund_partial_then_full",
    "renewal_fails_past_due",
    "signup_active",
    "trial_to_active",
    "two_renewals",
    "upgrade_midcycle",
]


@pytest.mark.parametrize("name", NAMES)
def test_ordered_lifecycle_gives_what_stripe_reports(stage: Any, stories: Any, name: str) -> None:
    story = stories[name]
    for event in story["events"]:
        stage.stripe.happen(event)
        stage.deliver(event)
    now = story["events"][-1]["created"] + 1
    assert stage.held(story["reader"], now) == stage.expected(story, now)


@pytest.mark.parametrize("name", NAMES)
def test_lifecycle_by_payloads_alone_gives_the_same(stage: Any, stories: Any, name: str) -> None:
    story = stories[name]
    stage.stripe.away = True
    for event in reversed(story["events"]):
        stage.deliver(event)
    now = story["events"][-1]["created"] + 1
    assert stage.held(story["reader"], now) == stage.expected(story, now)
