"""Why a row changes nothing, and why a reader gains or loses access: the only list of these words."""

from __future__ import annotations

from typing import Literal

TakeoverReason = Literal[
    "no_access",
    "free_level",
    "unchanged",
    "duplicate",
    "no_reader_id",
    "invalid_reader_id",
    "level_without_plan",
    "plan_without_features",
    "end_unknown",
    "end_unreadable",
    "paid_until_passed",
    "no_stripe_id",
    "linked_to_another_reader",
    "past_due_beyond_grace",
    "ended_at_stripe",
    "unpaid_at_stripe",
    "no_subscription_at_stripe",
    "price_without_plan",
    "no_free_seat",
    "group_not_read",
    "runs_at_stripe",
    "has_access_here",
]
