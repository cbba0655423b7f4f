"""What entitles a reader: sources as Stripe, admins and other providers report them, and the holdings of each.

A source is a fact (a subscription, a pass, a grant). `holdings()` returns what it opens by each plan, until when, and why;
a holding's standing depends on the moment, which is always an argument. `STANDING` is the only place that says what a
Stripe status means. Times are epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from service.domain.catalogue import DAY, HOUR, Catalogue, MeterLimits, Plan


class Standing(StrEnum):
    """Whether a source gives access: good and grace do, ended did, none never did."""

    GOOD = "good"
    GRACE = "grace"
    ENDED = "ended"
    NONE = "none"


LIVE = (Standing.GOOD, Standing.GRACE)
"""The standings that give access."""


class Reason(StrEnum):
    """Why a story is open or locked. The order breaks ties between sources that end at the same moment."""

    FREE = "free"
    REGISTERED = "registered"
    SUBSCRIPTION = "subscription"
    TRIAL = "trial"
    GRACE = "grace"
    PASS = "pass"  # noqa: S105 - a reason code, no password
    SEAT = "seat"
    GRANT = "grant"
    GIFT = "gift"
    INSTITUTION = "institution"
    METERED = "metered"
    STORE_UNAVAILABLE = "store_unavailable"
    NO_ENTITLEMENT = "no_entitlement"
    METER_USED_UP = "meter_used_up"
    SIGN_IN_REQUIRED = "sign_in_required"
    VERIFICATION_REQUIRED = "verification_required"


RANK = {reason: rank for rank, reason in enumerate(Reason)}

SourceType = Literal["subscription", "stripe_entitlement", "external", "pass", "seat", "grant", "gift", "institution"]


def end_order(until: float | None) -> float:
    """Return an end for comparisons: no end is later than every other."""
    return float("inf") if until is None else until


@dataclass(frozen=True, slots=True)
class Holding:
    """What one source opens by one plan: features, and limits of `meters`.

    `until` is `None` where it has no end, `reason` is `None` where it opens nothing. `start` delays access only where
    `waits` is true (a scheduled grant): Stripe's clock may be ahead of ours, and a purchase opens stories at once.
    """

    type: SourceType
    id: str
    plan: str | None
    features: tuple[str, ...]
    status: str
    base: Standing
    reason: Reason | None
    start: int | None
    until: int | None
    waits: bool = False
    ending: bool = False
    confirmed: bool = True
    grant_reason: str | None = None
    actor: str | None = None
    renews: bool = False
    """Whether Stripe bills it again at the period's end. `until` then includes the leeway."""
    meters: MeterLimits = ()

    def standing_at(self, now: float) -> Standing:
        """Return the standing at `now`: `base`, until the end is reached or while a scheduled start lies ahead."""
        if self.base not in LIVE:
            return self.base
        if self._is_expired(now):
            return Standing.ENDED
        return Standing.NONE if self._is_scheduled(now) else self.base

    def status_at(self, now: float) -> str:
        """Return the status of the source; what depends on `now` is `expired`, `scheduled`, and `ended` of a provider's."""
        if self.base is Standing.ENDED or (self.type not in ("external", "grant", "pass") and self.status != "paid"):
            return self.status
        if self._is_expired(now):
            return "ended" if self.type == "external" else "expired"
        return "scheduled" if self._is_scheduled(now) else self.status

    def is_active_at(self, now: float) -> bool:
        """Return whether it gives anything at `now`: it has started, has not ended, and is in good standing or grace."""
        return self._can_open and not self._is_scheduled(now) and not self._is_expired(now)

    def becomes_active_after(self, now: float) -> bool:
        """Return whether it is scheduled to give anything later."""
        return self._can_open and self._is_scheduled(now) and not self._is_expired(now)

    @property
    def _can_open(self) -> bool:
        gives = self.reason is not None and bool(self.features or self.meters)
        return gives and self.base in LIVE

    def _is_scheduled(self, now: float) -> bool:
        return self.waits and self.start is not None and now < self.start

    def _is_expired(self, now: float) -> bool:
        return self.until is not None and now >= self.until

    @property
    def key(self) -> str:
        """Return `type:id`, as a feature names its source."""
        return f"{self.type}:{self.id}"


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
"""Stripe's subscription statuses. An unknown status opens nothing: `(NONE, None)`."""

STARTED = frozenset({"trialing", "active", "past_due", "unpaid", "canceled"})
"""Statuses of a subscription that was trialing or active once. Others say so only with a trial: a first payment can fail."""

TERMINAL = frozenset({"canceled", "incomplete_expired"})
"""Statuses that never change again."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a subscription; `start` and `end` bound the current period, paid or owed."""

    price: str
    lookup_key: str | None
    product: str | None
    quantity: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """A Stripe subscription as last reported. `role` is why this reader has it: it is theirs, a seat in it, or a gift."""

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
    """When a seat was assigned; `None` for the other roles."""

    @property
    def scheduled_end(self) -> int | None:
        """Return when it is set to end: `cancel_at`, or the period's end with `cancel_at_period_end`; else `None`."""
        if self.cancel_at is not None or not self.cancel_at_period_end:
            return self.cancel_at
        return max((item.end for item in self.items), default=None)

    @property
    def has_started(self) -> bool:
        """Return whether it was trialing or active at some time, and is the reader's own."""
        return self.role == "subscription" and (self.status in STARTED or self.trial_end is not None)

    def holdings(self, catalogue: Catalogue) -> tuple[Holding, ...]:
        """Return a holding for each plan that the items belong to; one without a plan if no price is configured."""
        by_plan: dict[str | None, list[Item]] = {}
        for item in self.items:
            plan = catalogue.plan_for(item.price, item.lookup_key, item.product)
            by_plan.setdefault(plan.id if plan else None, []).append(item)
        if len(by_plan) > 1:
            by_plan.pop(None, None)
        by_plan, plans = by_plan or {None: []}, catalogue.plans
        if self.role == "seat":
            # A seat in a plan that no longer has seats opens nothing, but is still listed.
            by_plan = {name: items for name, items in by_plan.items() if name and plans[name].seats} or {None: []}
        return tuple(self._holding(plans[name] if name else None, items, catalogue) for name, items in by_plan.items())

    def _holding(self, plan: Plan | None, items: list[Item], catalogue: Catalogue) -> Holding:
        standing, reason = STANDING.get(self.status, (Standing.NONE, None))
        if reason is not None and self.role != "subscription":
            reason = Reason.SEAT if self.role == "seat" else Reason.GIFT
        # The owner of a group subscription has no seat in it unless one is assigned to them.
        opens = plan is not None and plan.seats == (self.role == "seat")
        return Holding(
            type=self.role,
            id=self.id,
            plan=plan.id if plan else None,
            features=plan.features if plan and opens else (),
            meters=plan.meters if plan and opens else (),
            status=self.status,
            base=standing,
            reason=reason,
            start=self.since if self.role == "seat" else self.created,
            until=self._until(standing, plan, items, catalogue.leeway),
            ending=standing in LIVE and self.scheduled_end is not None,
            confirmed=self.confirmed,
            renews=standing is Standing.GOOD and self.scheduled_end is None,
        )

    def _until(self, standing: Standing, plan: Plan | None, items: list[Item], leeway: int) -> int | None:
        end = self.scheduled_end
        if standing is Standing.ENDED:
            return self.ended_at
        if standing is Standing.NONE:
            return None
        if standing is Standing.GRACE:
            grace_days = plan.grace_days if plan else 14
            # One unpaid item makes the whole subscription past due: the unpaid period is the latest of all items.
            grace_end = max((item.start for item in self.items), default=self.created) + grace_days * DAY
            return grace_end if end is None else min(end, grace_end)
        if end is not None:
            return end
        if self.status == "trialing" and self.trial_end is not None:
            return self.trial_end + leeway
        return max((item.end for item in items or self.items), default=self.created) + leeway


@dataclass(frozen=True, slots=True)
class Pass:
    """A one-time payment that starts at `paid_at`. A full refund, or an open or lost dispute, ends it."""

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
    """The other lines of the same purchase: price, lookup key and product of each."""

    def plan_in(self, catalogue: Catalogue) -> Plan | None:
        """Return the purchased plan: of several lines the first with `pass_hours`, else the first of any plan."""
        bought = ((self.price, self.lookup_key, self.product), *self.others)
        found = [plan for line in bought if (plan := catalogue.plan_for(*line)) is not None]
        return next((plan for plan in found if plan.pass_hours), found[0] if found else None)

    def holdings(self, catalogue: Catalogue) -> tuple[Holding, ...]:
        """Return one holding: the plan's features, for its `pass_hours` from the payment."""
        plan = self.plan_in(catalogue)
        hours = plan.pass_hours if plan else None
        status = "paid"
        if self.refunded or self.disputed:
            status = "refunded" if self.refunded else "disputed"
        base = Standing.GOOD if status == "paid" else Standing.ENDED
        return (
            Holding(
                type="gift" if self.gift else "pass",
                id=self.id,
                plan=plan.id if plan else None,
                features=plan.features if plan and hours else (),
                meters=plan.meters if plan and hours else (),
                status=status,
                base=base if hours else Standing.NONE,
                reason=Reason.GIFT if self.gift else Reason.PASS,
                start=self.paid_at,
                until=self.paid_at + hours * HOUR if hours else None,
                confirmed=self.confirmed,
            ),
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """Access that an admin granted: a plan or single features, with a reason, and an end unless the admin chose none."""

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
        """Return the status that admins see."""
        if self.revoked_at is not None:
            return "revoked"
        if self.until is not None and now >= self.until:
            return "expired"
        return "scheduled" if now < self.start else "active"

    def holdings(self, catalogue: Catalogue) -> tuple[Holding, ...]:
        """Return one holding: the plan as it is configured now, or the single features that still exist."""
        plan = catalogue.plans.get(self.plan) if self.plan else None
        features = plan.features if plan else tuple(name for name in self.features if name in catalogue.features)
        return (
            Holding(
                type="grant",
                id=self.id,
                plan=self.plan,
                features=features,
                meters=plan.meters if plan else (),
                status="revoked" if self.revoked_at is not None else "active",
                base=Standing.GOOD if self.revoked_at is None else Standing.ENDED,
                reason=Reason.GRANT,
                start=self.start,
                until=self.until,
                waits=True,
                grant_reason=self.reason,
                actor=self.actor,
            ),
        )


@dataclass(frozen=True, slots=True)
class StripeEntitlements:
    """The lookup keys of a customer's Stripe entitlements. A lookup key that equals a feature's name opens it."""

    customer: str
    lookup_keys: tuple[str, ...]
    confirmed: bool = True

    def holdings(self, catalogue: Catalogue) -> tuple[Holding, ...]:
        """Return one holding without plan and end: Stripe reports when it ends."""
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


@dataclass(frozen=True, slots=True)
class External:
    """A subscription that is not Stripe's, as a provider of `[providers]` reports it. `id` is `provider:its own ID`."""

    id: str
    plan: str
    start: int
    until: int | None
    ended_at: int | None = None
    """When the provider ended it, however late its `until` is."""

    def is_running_at(self, now: float) -> bool:
        """Return whether it has not ended at `now`."""
        return self.ended_at is None and (self.until is None or now < self.until)

    def holdings(self, catalogue: Catalogue) -> tuple[Holding, ...]:
        """Return one holding: the plan as it is configured now."""
        plan = catalogue.plans.get(self.plan)
        return (
            Holding(
                type="external",
                id=self.id,
                plan=self.plan,
                features=plan.features if plan else (),
                meters=plan.meters if plan else (),
                status="active" if self.ended_at is None else "ended",
                base=Standing.GOOD if self.ended_at is None else Standing.ENDED,
                reason=Reason.SUBSCRIPTION,
                start=self.start,
                until=min(self.until, self.ended_at, key=end_order),
            ),
        )


Source = Subscription | Pass | Grant | StripeEntitlements | External
