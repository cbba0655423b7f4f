"""What gives a reader a plan: the facts as they were told, and what each gives, until when.

`STANDING` is the only place that says what a Stripe status means. A source knows no clock: `holdings()` says what it
gives and when that ends. Times are epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from service.domain.catalogue import DAY, HOUR, Catalogue, Plan
from service.domain.holdings import RANK as RANK
from service.domain.holdings import Holding as Holding
from service.domain.holdings import Reason as Reason
from service.domain.holdings import SourceType as SourceType
from service.domain.holdings import Standing as Standing

STANDING: dict[str, tuple[Standing, Reason | None]] = {
    "trialing": (Standing.GOOD, Reason.TRIAL),
    "active": (Standing.GOOD, Reason.SUBSCRIPTION),
    "past_due": (Standing.GRACE, Reason.GRACE),
    "incomplete": (Standing.NONE, None),
    "canceled": (Standing.ENDED, None),
    "incomplete_expired": (Standing.ENDED, None),
    "unpaid": (Standing.ENDED, None),
    "paused": (Standing.ENDED, None),
}
"""Stripe's statuses. A word that is not here gives nothing: `(NONE, None)`."""

TERMINAL = frozenset({"canceled", "incomplete_expired"})
"""Statuses that never give way to another."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a subscription; `start` and `end` bound the period paid for (or owed)."""

    price: str
    lookup_key: str | None
    product: str | None
    quantity: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """A Stripe subscription as last told. `role` says why this reader has it: own, a seat of it, or as a gift."""

    id: str
    status: str
    items: tuple[Item, ...]
    created: int
    trial_end: int | None = None
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    ended_at: int | None = None
    confirmed: bool = True
    role: Literal["subscription", "seat", "gift"] = "subscription"
    since: int | None = None
    """When a seat was given; `None` for the other roles."""

    @property
    def scheduled_end(self) -> int | None:
        """When it will end, if that is settled: `cancel_at`, or the period's end with `cancel_at_period_end`."""
        if self.cancel_at is not None:
            return self.cancel_at
        if self.cancel_at_period_end and self.items:
            return max(item.end for item in self.items)
        return None

    def holdings(self, catalogue: Catalogue) -> tuple[Holding, ...]:
        """One a plan that the items belong to; one without a plan where no price is configured."""
        by_plan: dict[str | None, list[Item]] = {}
        for item in self.items:
            plan = catalogue.plan_for(item.price, item.lookup_key, item.product)
            by_plan.setdefault(plan.id if plan else None, []).append(item)
        if len(by_plan) > 1:
            by_plan.pop(None, None)
        if not by_plan:
            by_plan = {None: []}
        plans = catalogue.plans
        if self.role == "seat":
            # What is no group's any more gives a seat nothing, but is still told.
            by_plan = {name: items for name, items in by_plan.items() if name and plans[name].seats} or {None: []}
        return tuple(self._holding(plans[name] if name else None, items, catalogue) for name, items in by_plan.items())

    def _holding(self, plan: Plan | None, items: list[Item], catalogue: Catalogue) -> Holding:
        standing, reason = STANDING.get(self.status, (Standing.NONE, None))
        if reason is not None and self.role != "subscription":
            reason = Reason.SEAT if self.role == "seat" else Reason.GIFT
        # Whose a group is, by payment or as a gift, holds no seat in it unless given one.
        gives = plan is not None and plan.seats == (self.role == "seat")
        return Holding(
            type=self.role,
            id=self.id,
            plan=plan.id if plan else None,
            features=plan.features if plan and gives else (),
            status=self.status,
            base=standing,
            reason=reason,
            start=self.since if self.role == "seat" else self.created,
            until=self._until(standing, plan, items, catalogue.leeway),
            ending=standing in (Standing.GOOD, Standing.GRACE) and self.scheduled_end is not None,
            confirmed=self.confirmed,
        )

    def _until(self, standing: Standing, plan: Plan | None, items: list[Item], leeway: int) -> int | None:
        end = self.scheduled_end
        if standing is Standing.ENDED:
            return self.ended_at
        if standing is Standing.NONE:
            return None
        if standing is Standing.GRACE:
            grace_days = plan.grace_days if plan else 14
            # One item's unpaid renewal makes all of them past due: the unpaid period is the subscription's latest.
            grace_end = max((item.start for item in self.items), default=self.created) + grace_days * DAY
            return grace_end if end is None else min(end, grace_end)
        if end is not None:
            return end
        if self.status == "trialing" and self.trial_end is not None:
            return self.trial_end + leeway
        return max((item.end for item in items or self.items), default=self.created) + leeway


@dataclass(frozen=True, slots=True)
class Pass:
    """A one-time payment. `paid_at` is when it starts; a full refund, an open or a lost dispute ends it."""

    id: str
    price: str | None
    lookup_key: str | None
    product: str | None
    paid_at: int
    refunded: bool = False
    disputed: bool = False
    confirmed: bool = True
    gift: bool = False
    others: tuple[tuple[str | None, str | None, str | None], ...] = ()
    """What else was bought with it: price, lookup key and product of each."""

    def plan_in(self, catalogue: Catalogue) -> Plan | None:
        """The plan that was bought: of several lines the first that opens something, else the first of any plan."""
        bought = ((self.price, self.lookup_key, self.product), *self.others)
        found = [plan for line in bought if (plan := catalogue.plan_for(*line)) is not None]
        return next((plan for plan in found if plan.pass_hours), found[0] if found else None)

    def holdings(self, catalogue: Catalogue) -> tuple[Holding, ...]:
        """One: what the plan opens, for its `pass_hours` from the payment."""
        plan = self.plan_in(catalogue)
        hours = plan.pass_hours if plan else None
        status = "refunded" if self.refunded else "disputed" if self.disputed else "paid"
        return (
            Holding(
                type="gift" if self.gift else "pass",
                id=self.id,
                plan=plan.id if plan else None,
                features=plan.features if plan and hours else (),
                status=status,
                base=Standing.GOOD if status == "paid" and hours else Standing.ENDED if hours else Standing.NONE,
                reason=Reason.GIFT if self.gift else Reason.PASS,
                start=self.paid_at,
                until=self.paid_at + hours * HOUR if hours else None,
                confirmed=self.confirmed,
            ),
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """Access that an admin gave: a plan or single features, with a reason, and an end unless none was chosen."""

    id: str
    plan: str | None
    features: tuple[str, ...]
    reason: str
    start: int
    until: int | None
    actor: str
    created_at: int
    revoked_at: int | None = None
    import_id: str | None = None

    def status_at(self, now: float) -> Literal["active", "scheduled", "expired", "revoked"]:
        """The word that admins read."""
        if self.revoked_at is not None:
            return "revoked"
        if self.until is not None and now >= self.until:
            return "expired"
        return "scheduled" if now < self.start else "active"

    def holdings(self, catalogue: Catalogue) -> tuple[Holding, ...]:
        """One: the plan as it is now, or the single features that are still known."""
        plan = catalogue.plans.get(self.plan) if self.plan else None
        features = plan.features if plan else tuple(name for name in self.features if name in catalogue.features)
        return (
            Holding(
                type="grant",
                id=self.id,
                plan=self.plan,
                features=features,
                status="revoked" if self.revoked_at is not None else "active",
                base=Standing.GOOD if self.revoked_at is None else Standing.ENDED,
                reason=Reason.GRANT,
                start=self.start,
                until=self.until,
                waits=True,
                note=self.reason,
                actor=self.actor,
            ),
        )


@dataclass(frozen=True, slots=True)
class StripeEntitlements:
    """The lookup keys of Stripe's own entitlements that a customer holds; those named like a feature give it."""

    customer: str
    lookup_keys: tuple[str, ...]
    confirmed: bool = True

    def holdings(self, catalogue: Catalogue) -> tuple[Holding, ...]:
        """One, without plan or end: Stripe itself says when it is over."""
        return (
            Holding(
                type="stripe_entitlement",
                id=self.customer,
                plan=None,
                features=tuple(name for name in catalogue.features if name in self.lookup_keys),
                status="active",
                base=Standing.GOOD,
                reason=Reason.SUBSCRIPTION,
                start=None,
                until=None,
                confirmed=self.confirmed,
            ),
        )


Source = Subscription | Pass | Grant | StripeEntitlements


def unconfirmed(source: Subscription | Pass | StripeEntitlements) -> Subscription | Pass | StripeEntitlements:
    """The same facts, marked as resting on a payload that Stripe has not been asked about since."""
    return replace(source, confirmed=False)
