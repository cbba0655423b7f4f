"""Decide what each row of an export becomes: a link, grants, both, or nothing with a reason. Pure.

A row with access whose level has no plan gives nothing here, whatever Stripe says, until `takeover.toml` has a line for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.domain.catalogue import Catalogue
from service.domain.ids import wrong_reader_id
from service.domain.sources import end_order
from service.use_cases.subscriptions.projections import seats_paid_for
from service.use_cases.takeover.export_file import ExportRow
from service.use_cases.takeover.formats.export_format import ExportedMember
from service.use_cases.takeover.level_map import LevelCount, LevelMap
from service.use_cases.takeover.reasons import TakeoverReason
from service.use_cases.takeover.stripe_view import StripeLink, StripeView, judge


@dataclass(frozen=True, slots=True)
class Person:
    """A reader under the ID that stays after merges, and the sources that give them access here now, as `type:id`."""

    reader: str
    sources: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PlannedGrant:
    """A plan for a reader, until a moment in epoch seconds; `None` for no end."""

    plan: str
    until: int | None


@dataclass(frozen=True, slots=True)
class PlannedSeat:
    """A seat for the owner of a group, of as many as the export or Stripe says are paid."""

    subscription: str
    quantity: int


@dataclass(slots=True)
class MemberPlan:
    """What a row becomes. `trouble` is why its access does not arrive; `opens` is whether it does."""

    row: ExportRow
    reader: str | None
    access: bool
    plans: tuple[str, ...]
    trouble: TakeoverReason | None = None
    opens: bool = False
    link: StripeLink | None = None
    repeats_link: bool = False
    """Whether a row before makes the same link."""
    grants: list[PlannedGrant] = field(default_factory=list)
    seat: PlannedSeat | None = None
    skipped: TakeoverReason = "no_access"
    """The reason for which the row counts as skipped, should it change nothing."""

    @property
    def member(self) -> ExportedMember:
        return self.row.member


@dataclass(frozen=True, slots=True)
class Rules:
    """What rows are judged by: the levels, the policy, and the moment."""

    levels: LevelMap
    catalogue: Catalogue
    now: float


def count_levels(rows: Sequence[ExportRow]) -> dict[str, LevelCount]:
    """Return how many rows have each level; a row without a level at all counts under an empty name."""
    found: dict[str, LevelCount] = {}
    for row in rows:
        for level in row.member.levels:
            count = found.setdefault(level, LevelCount())
            count.rows += 1
            count.access += row.member.access
    if set(found) == {""} or (found.get("") and not found[""].access):
        del found[""]
    return found


def plan_row(row: ExportRow, people: Mapping[str, Person], rules: Rules) -> MemberPlan:
    """Return what a row needs by itself; `choose_links` and `settle` compare it with the others."""
    member, levels = row.member, rules.levels
    paid = [level for level in member.levels if level not in levels.free]
    plans = dict.fromkeys(plan for level in paid if (plan := _plan_of(level, member, rules)))
    wrong = wrong_reader_id(member.reader)
    access = member.access and bool(paid)
    found = MemberPlan(row, None if wrong else people[member.reader].reader, access, tuple(plans))
    if member.access and not paid:
        found.skipped = "free_level"
    if wrong:
        found.skipped = "invalid_reader_id" if member.reader else "no_reader_id"
        found.trouble = found.skipped if access else None
    elif access and not plans:
        found.trouble = "level_without_plan"
    elif access and member.carrier == "grant":
        found.trouble = _plan_grants(found, rules)
    if found.trouble:
        found.skipped = found.trouble
    return found


def _plan_of(level: str, member: ExportedMember, rules: Rules) -> str | None:
    """Return the plan of a level: by `takeover.toml`; of a price of Stripe also by `paywall.toml`."""
    if named := rules.levels.plans.get(level):
        return named
    plan = rules.catalogue.plan_for(level, None, member.product) if member.is_price else None
    return plan.id if plan is not None else None


def _plan_grants(found: MemberPlan, rules: Rules) -> TakeoverReason | None:
    """Plan the grants of a member whose access is not carried by Stripe. Return why there are none."""
    member, until = found.member, found.member.until
    if member.end_rule is not None:
        if member.end_rule not in rules.levels.ends:
            return "end_unreadable" if member.end_rule == "unreadable" else "end_unknown"
        until = rules.levels.ends[member.end_rule]
    if until is not None and until <= rules.now:
        return "paid_until_passed"
    found.grants = [PlannedGrant(plan, until) for plan in found.plans]
    found.opens = any(rules.catalogue.plans[plan].features for plan in found.plans)
    return None if found.opens else "plan_without_features"


def choose_links(plans: Sequence[MemberPlan]) -> None:
    """Choose the customer or the subscription that each row links to its reader, each for one reader only.

    A customer is linked rather than one subscription, so that the next subscription is known as well. Where rows name
    several readers for a customer, each of their subscriptions is linked.
    """
    readers: dict[str, set[str | None]] = {}
    for plan in plans:
        if plan.member.customer and plan.reader:
            readers.setdefault(plan.member.customer, set()).add(plan.reader)
    owners: dict[StripeLink, str] = {}
    for plan in sorted(plans, key=lambda plan: not plan.access):
        member = plan.member
        if plan.reader is None:
            continue
        is_shared = member.only_subscription or len(readers.get(member.customer or "", ())) > 1
        if member.customer and not (is_shared and member.subscription):
            link = StripeLink("customer", member.customer)
        elif member.subscription:
            link = StripeLink("subscription", member.subscription)
        else:
            if plan.access and member.carrier == "stripe" and not plan.trouble:
                plan.trouble = plan.skipped = "no_stripe_id"
            continue
        plan.repeats_link = link in owners
        if owners.setdefault(link, plan.reader) == plan.reader:
            plan.link, plan.skipped = link, "duplicate" if plan.repeats_link else "unchanged"
        else:
            plan.skipped = "linked_to_another_reader"
            plan.trouble = plan.trouble or (plan.skipped if plan.access and member.carrier == "stripe" else None)


def settle(plans: Sequence[MemberPlan], view: StripeView, seats: Mapping[str, Mapping[str, int]], rules: Rules) -> None:
    """Decide what each link opens, which seats and gifts that leaves to give, and keep one grant of each plan a reader.

    `seats` are those in use, by subscription and reader.
    """
    for plan in plans:
        # Prices have their plans by paywall.toml: Stripe can know of one that the row does not name.
        if plan.link is not None and (plan.trouble != "level_without_plan" or plan.member.is_price):
            _settle_link(plan, plan.link, view, seats, rules)
        if plan.access and plan.member.carrier == "either" and not plan.opens:
            is_gift = plan.member.end_rule == "gift"
            if plan.trouble in (None, *_ENDED_REASONS) or (is_gift and plan.trouble in _UNPAID_REASONS):
                plan.trouble = _plan_grants(plan, rules)
    _merge_grants(plans)


_ENDED_REASONS = ("ended_at_stripe", "no_subscription_at_stripe")
_UNPAID_REASONS = ("unpaid_at_stripe", "past_due_beyond_grace")


def _settle_link(
    plan: MemberPlan, link: StripeLink, view: StripeView, seats: Mapping[str, Mapping[str, int]], rules: Rules
) -> None:
    known = view.list_linked(link)
    if known is None:
        if plan.trouble != "level_without_plan":
            _trust_export(plan, seats, rules.catalogue)
        return
    outcome = judge(known, rules.catalogue, rules.now)
    opens = outcome.opens
    if outcome.group is not None:
        seats_paid = seats_paid_for(outcome.group, rules.catalogue) or 0
        used = seats.get(outcome.group.ref.id, {})
        has_seat = plan.reader in used or len(used) < seats_paid
        opens = opens or has_seat
        if has_seat and plan.reader not in used and not plan.repeats_link:
            plan.seat = PlannedSeat(outcome.group.ref.id, seats_paid)
    if opens:
        plan.opens, plan.trouble = True, None
    elif plan.access and plan.member.carrier != "grant":
        plan.trouble = outcome.reason


def _trust_export(plan: MemberPlan, seats: Mapping[str, Mapping[str, int]], catalogue: Catalogue) -> None:
    """Where nothing is known of a subscription, assume that it is what the export says."""
    member, group = plan.member, plan.member.subscription
    if not plan.access or member.carrier != "stripe":
        return
    if not is_for_group(plan, catalogue):
        plan.opens = any(catalogue.plans[name].features for name in plan.plans)
        plan.trouble = None if plan.opens else "plan_without_features"
    elif group is None:  # Without the subscription's ID no seat can be given.
        plan.trouble = "group_not_read"
    else:
        used = seats.get(group, {})
        plan.opens = plan.reader in used or len(used) < member.quantity
        plan.trouble = None if plan.opens else "no_free_seat"
        if plan.opens and plan.reader not in used:
            plan.seat = PlannedSeat(group, member.quantity)


def is_for_group(plan: MemberPlan, catalogue: Catalogue) -> bool:
    """Return whether every plan of a row that opens anything is one with seats."""
    opening = [catalogue.plans[name] for name in plan.plans if catalogue.plans[name].features]
    return bool(opening) and all(one.seats for one in opening)


def _merge_grants(plans: Sequence[MemberPlan]) -> None:
    """Keep of several grants of a plan to a reader the one with the latest end."""
    best: dict[tuple[str, str], tuple[float, MemberPlan]] = {}
    for plan in plans:
        for grant in plan.grants:
            key, end = (plan.reader or "", grant.plan), end_order(grant.until)
            if key not in best or end > best[key][0]:
                best[key] = (end, plan)
    for plan in plans:
        kept = [grant for grant in plan.grants if best[plan.reader or "", grant.plan][1] is plan]
        if plan.grants and plan.link is None:
            plan.skipped = "unchanged" if kept else "duplicate"
        plan.grants = kept
