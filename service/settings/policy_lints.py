"""Warnings about a policy that is valid and probably not meant so, each with its place. They refuse nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from service.domain.catalogue import Catalogue, Offer, Rule, Story, Tier, rule_matches
from service.domain.decision import Identity
from service.domain.meter import MeterUse, Tally, window_at
from service.domain.next_steps import Situation
from service.settings.validation import Mistake, quoted

Warnings = Iterator[tuple[str, str]]
"""Pairs of place and message."""


def lint(catalogue: Catalogue) -> list[Mistake]:
    """Return what is probably not meant: rules, tiers, plans, offers and meters without effect, and odd limits."""
    found = [
        *_rules_without_effect(catalogue),
        *_unreached_tiers(catalogue),
        *_unoffered_plans(catalogue),
        *_offers_that_open_nothing(catalogue),
        *_odd_meters(catalogue),
        *_limits_without_effect(catalogue),
    ]
    return [Mistake(f"paywall.toml: {place}", message) for place, message in found]


def _rules_without_effect(catalogue: Catalogue) -> Warnings:
    for number, rule in enumerate(catalogue.rules):
        earlier = catalogue.rules[:number]
        if _can_match(rule, earlier):
            continue
        alone = next((at for at, one in enumerate(earlier) if not _can_match(rule, [one])), None)
        by = f"rules.{alone} matches" if alone is not None else "the rules before it match"
        yield f"rules.{number}", f"never matches: {by} every story that it would. Move it up, or remove it"


def _can_match(rule: Rule, earlier: Sequence[Rule]) -> bool:
    """Return whether there is a story that the rule matches and none of the earlier ones does.

    It is enough to try the stories that earlier rules match least: without a section, tags and age where the rule asks for
    none, else with one of its sections, one of its tags, and the ages from which on other rules match.
    """
    least = rule.older_than or 0
    limits = {age for one in earlier for age in (one.older_than, one.newer_than) if age is not None and age > least}
    dated = rule.older_than is not None or rule.newer_than is not None
    ages: Sequence[int | None] = (least, *sorted(limits)) if dated else (None,)
    for section, tag, age in product(rule.sections or (None,), rule.tags or (None,), ages):
        story = Story("", section, () if tag is None else (tag,), None, None if age is None else -age)
        if rule_matches(rule, story, 0) and not any(rule_matches(one, story, 0) for one in earlier):
            return True
    return False


def _unreached_tiers(catalogue: Catalogue) -> Warnings:
    rules = [rule for number, rule in enumerate(catalogue.rules) if _can_match(rule, catalogue.rules[:number])]
    reached = {rule.tier for rule in rules}
    if _can_match(Rule(catalogue.default_tier), catalogue.rules):
        reached.add(catalogue.default_tier)
    for name in catalogue.tiers:
        if name not in reached:
            yield (
                f"tiers.{name}",
                "no rule and no default leads to it: only stories for which the site names it have it",
            )


def _unoffered_plans(catalogue: Catalogue) -> Warnings:
    """Yield plans that readers could buy and no box shows. A group is sold on a page of its own, and not in a box."""
    offered = {name for offer in catalogue.offers.values() for name in offer.plans}
    for plan in catalogue.plans.values():
        if plan.is_on_sale and not plan.seats and plan.id not in offered:
            yield f"plans.{plan.id}", "is in no offer, so no upsell box shows it: add it to the plans of one"


def _offers_that_open_nothing(catalogue: Catalogue) -> Warnings:
    for offer in catalogue.offers.values():
        tiers = [tier for tier in catalogue.tiers.values() if tier.requires and catalogue.offer_for(tier) is offer]
        closed = [tier for tier in tiers if not _opens(catalogue, offer, tier)]
        if closed:
            names = ", ".join(quoted(tier.name) for tier in closed)
            yield f"offers.{offer.id}", f"is shown for the tier {names}, and none of its plans opens that"


def _opens(catalogue: Catalogue, offer: Offer, tier: Tier) -> bool:
    """Return whether the ladder opens a story of this tier for whoever has used up the meter and gets one of the plans."""
    meters = {}
    if tier.meter is not None:
        policy = catalogue.meters[tier.meter]
        read = Tally({b"%d" % number: 0 for number in range(policy.readers)})
        meters[tier.meter] = MeterUse(policy, window_at(policy, 0), b"story", read, None)
    asked = Situation(Story("", tier=tier.name), catalogue, 0, Identity.SIGNED_IN, meters=meters)
    return any(asked.opens_by_plan(catalogue.plans[name]) for name in offer.plans)


def _odd_meters(catalogue: Catalogue) -> Warnings:
    used = {tier.meter for tier in catalogue.tiers.values()}
    for meter in catalogue.meters.values():
        place = f"meters.{meter.name}"
        if meter.name not in used:
            yield place, f"measures nobody: no tier has meter = {quoted(meter.name)}"
        if meter.readers < meter.visitors:
            yield f"{place}.readers", f"is less than visitors = {meter.visitors}: signing in takes free stories away"


def _limits_without_effect(catalogue: Catalogue) -> Warnings:
    for plan in catalogue.plans.values():
        for name, limit in plan.meters:
            readers = catalogue.meters[name].readers
            if limit <= readers:
                yield f"plans.{plan.id}.meters.{name}", f"never counts: readers = {readers} is as high without the plan"
