"""The color of each thing in charts, legends and tiles, so that a color means the same on every page.

A color is the name of a variable of `admin.css`, which has its light and its dark value. Plans have the deep tones, outcomes of
access checks the bright ones, and states those of their badges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from service.domain.catalogue import Catalogue
from service.entrypoints.responses.labels import TONES

PLAN_COLORS = ("plan-1", "plan-2", "plan-3", "plan-4", "plan-5", "plan-6")
OTHER = "other"
"""Of what has no color of its own: single features, former plans, new reasons."""
CONVERSION = "paid"


class Outcome(NamedTuple):
    """Reasons of access checks that one color stands for."""

    name: str
    color: str
    show: str
    reasons: tuple[str, ...]


OUTCOMES = (
    Outcome("Full story: paid", "paid", "full", ("subscription", "trial", "grace", "pass", "seat", "institution")),
    Outcome("Full story: grant or gift", "granted", "full", ("grant", "gift")),
    Outcome("Full story: one of the free stories", "metered", "full", ("metered",)),
    Outcome("Full story: free or registered", "free", "full", ("free", "registered")),
    Outcome("Paywall: free stories used up", "used-up", "upsell", ("meter_used_up",)),
    Outcome("Paywall: no subscription", "no-plan", "upsell", ("no_entitlement",)),
    Outcome("Paywall: sign-in required", "sign-in", "upsell", ("sign_in_required", "verification_required")),
)
"""What an access check can come to, in the order of a stack from its bottom. Anything else is `OTHER`."""

DELIVERY_TONES: Mapping[str, str] = {**TONES, "repeat": "accent"}


def plan_color(plan: str, catalogue: Catalogue) -> str:
    """Return the color of a plan, which follows its place in `paywall.toml`."""
    plans = list(catalogue.plans)
    return PLAN_COLORS[plans.index(plan) % len(PLAN_COLORS)] if plan in plans else OTHER


def delivery_color(state: str) -> str:
    """Return the color of what became of a webhook delivery."""
    return DELIVERY_TONES.get(state, "quiet")
