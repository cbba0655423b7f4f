"""What is known of subscriptions at Stripe, and what a link to them opens here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from service.domain.catalogue import Catalogue
from service.domain.sources import LIVE, Holding
from service.domain.stripe_facts import StripeFacts
from service.use_cases.takeover.reasons import TakeoverReason

LinkKind = Literal["customer", "subscription"]


class StripeLink(NamedTuple):
    """A customer or a subscription at Stripe that is to belong to a reader."""

    kind: LinkKind
    id: str


@dataclass(frozen=True, slots=True)
class StripeView:
    """Subscriptions by customer and by ID. Where it is not `complete`, what is missing is unknown."""

    by_customer: Mapping[str, list[StripeFacts]] = field(default_factory=dict)
    by_id: Mapping[str, StripeFacts] = field(default_factory=dict)
    complete: bool = False

    def list_linked(self, link: StripeLink) -> list[StripeFacts] | None:
        """Return the subscriptions that a link covers; `None` if nothing is known of them."""
        if link.kind == "subscription":
            found = self.by_id.get(link.id)
            known = [found] if found is not None else []
        else:
            known = self.by_customer.get(link.id, [])
        return known if known or self.complete else None


@dataclass(frozen=True, slots=True)
class StripeOutcome:
    """Whether a link opens something here by itself, or why not. `group` pays for seats, of which the owner gets one."""

    opens: bool
    reason: TakeoverReason | None = None
    group: StripeFacts | None = None


_UNPAID_STATUSES = ("unpaid", "paused", "incomplete", "incomplete_expired")


def judge(subscriptions: list[StripeFacts], catalogue: Catalogue, now: float) -> StripeOutcome:
    """Return what subscriptions open for their owner at `now`."""
    held = [(one, holding) for one in subscriptions if one.source for holding in one.source.holdings(catalogue)]
    groups = (
        one for one, holding in held if _pays(holding, now) and holding.plan and catalogue.plans[holding.plan].seats
    )
    group = next(groups, None)
    if any(holding.is_active_at(now) for _, holding in held):
        return StripeOutcome(True, None, group)
    if group is not None:
        return StripeOutcome(False, "no_free_seat", group)
    holdings = [holding for _, holding in held]
    if any(_pays(holding, now) and holding.plan is None for holding in holdings):
        return StripeOutcome(False, "price_without_plan")
    if any(_pays(holding, now) for holding in holdings):
        return StripeOutcome(False, "plan_without_features")
    if any(holding.status == "past_due" for holding in holdings):
        return StripeOutcome(False, "past_due_beyond_grace")
    if any(holding.status in _UNPAID_STATUSES for holding in holdings):
        return StripeOutcome(False, "unpaid_at_stripe")
    return StripeOutcome(False, "ended_at_stripe" if holdings else "no_subscription_at_stripe")


def _pays(holding: Holding, now: float) -> bool:
    return holding.standing_at(now) in LIVE
