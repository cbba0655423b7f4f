"""Test the catalogue: the plan of a price, the tier of a story and its changes, and the offer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from service.domain.catalogue import DAY, Catalogue, Offer, Plan, Rule, Story, Tier, TierOrigin

NOW = 1_795_000_000
TIERS = {name: Tier(name, ("notebook",)) for name in ("default", "t0", "t1", "t2")}


def catalogue(
    *, plans: Iterable[Plan] = (), rules: tuple[Rule, ...] = (), offers: Iterable[Offer] = (), default: str = "default"
) -> Catalogue:
    return Catalogue(
        site_name="The Daily Ledger",
        zone=UTC,
        origins=(),
        features={"notebook": "The notebook", "no_ads": "No ads"},
        plans={plan.id: plan for plan in plans},
        tiers=TIERS,
        default_tier=default,
        rules=rules,
        offers={offer.id: offer for offer in offers},
    )


def plan(name: str, *, prices: tuple[str, ...] = (), products: tuple[str, ...] = ()) -> Plan:
    return Plan(name, name.title(), ("notebook",), prices, products)


def offer(name: str) -> Offer:
    return Offer(name, "Heading", (), "Button", ("supporter",))


SECTIONS, TAGS = ("city", "sport"), ("harbour", "ferry", "heat")
AGES = st.sampled_from([None, 0, DAY, 2 * DAY, 30 * DAY])
RULES = st.lists(
    st.builds(
        Rule,
        tier=st.sampled_from(["t0", "t1", "t2"]),
        sections=st.sampled_from([(), ("city",), ("sport", "city")]),
        tags=st.sampled_from([(), ("harbour",), ("ferry", "heat")]),
        older_than=AGES,
        newer_than=AGES,
    ),
    max_size=5,
).map(tuple)
PUBLISHED = st.one_of(
    st.none(),
    st.integers(-3, 3).flatmap(lambda off: st.sampled_from([NOW + off - age for age in (0, DAY, 2 * DAY, 30 * DAY)])),
    st.integers(NOW - 40 * DAY, NOW + DAY),
)
STORIES = st.builds(
    Story,
    id=st.just("s"),
    section=st.sampled_from([None, *SECTIONS, "opinion"]),
    tags=st.lists(st.sampled_from([*TAGS, "other"]), max_size=2).map(tuple),
    tier=st.none(),
    published_at=PUBLISHED,
)


def test_price_match_beats_product_match_in_any_plan_order() -> None:
    by_price = plan("supporter", prices=("price_month", "monthly"))
    by_product = plan("group", products=("prod_x",))
    for plans in ([by_price, by_product], [by_product, by_price]):
        sold = catalogue(plans=plans)
        assert sold.plan_for("price_month", None, "prod_x") is by_price
        assert sold.plan_for("price_other", "monthly", "prod_x") is by_price
        assert sold.plan_for("price_other", "yearly", "prod_x") is by_product
        assert sold.plan_for(None, None, "prod_x") is by_product


def test_price_id_match_beats_lookup_key_match_in_any_plan_order() -> None:
    by_id, by_key = plan("supporter", prices=("price_month",)), plan("group", prices=("monthly",))
    for plans in ([by_id, by_key], [by_key, by_id]):
        assert catalogue(plans=plans).plan_for("price_month", "monthly", None) is by_id


def test_price_and_product_of_no_plan_buy_no_plan() -> None:
    sold = catalogue(plans=[plan("vip"), plan("supporter", prices=("price_month",), products=("prod_x",))])
    assert sold.plan_for("price_other", "monthly", "prod_y") is None
    assert sold.plan_for(None, None, None) is None


def test_offer_is_named_after_first_required_feature_or_the_first_offer() -> None:
    sold = catalogue(offers=[offer("any"), offer("no_ads"), offer("notebook")])
    assert sold.offer_for(Tier("t", ("notebook", "no_ads"))) == offer("notebook")
    assert sold.offer_for(Tier("t", ("events", "notebook"))) == offer("any")
    assert sold.offer_for(Tier("t")) == offer("any")
    assert catalogue().offer_for(Tier("t", ("notebook",))) is None


@given(RULES, STORIES, st.sampled_from(sorted(TIERS)))
def test_tier_in_the_request_beats_every_rule(rules: tuple[Rule, ...], story: Story, name: str) -> None:
    assert catalogue(rules=rules).tier_of(replace(story, tier=name), NOW) is TIERS[name]


def holds(rule: Rule, story: Story, now: float) -> bool:
    """Return whether a rule matches, condition by condition as in the contract."""
    conditions = []
    if rule.sections:
        conditions.append(story.section in rule.sections)
    if rule.tags:
        conditions.append(bool(set(story.tags) & set(rule.tags)))
    if rule.older_than is not None:
        conditions.append(story.published_at is not None and now >= story.published_at + rule.older_than)
    if rule.newer_than is not None:
        conditions.append(story.published_at is not None and now < story.published_at + rule.newer_than)
    return all(conditions)


@given(RULES, STORIES)
def test_first_matching_rule_sets_the_tier_or_the_default_applies(rules: tuple[Rule, ...], story: Story) -> None:
    matching = [rule.tier for rule in rules if holds(rule, story, NOW)]
    assert catalogue(rules=rules).tier_of(story, NOW).name == (matching or ["default"])[0]


@given(st.integers(0, 10_000), st.integers(-10_000, 10_000), st.sampled_from(["older_than", "newer_than"]))
def test_older_than_applies_from_exact_age_and_newer_than_until_it(days: int, off: int, kind: str) -> None:
    age, story = days * DAY, Story("s", published_at=NOW - days * DAY - off)
    rule = Rule("t0", older_than=age) if kind == "older_than" else Rule("t0", newer_than=age)
    old_enough = off >= 0
    assert (catalogue(rules=(rule,)).tier_of(story, NOW).name == "t0") is (old_enough is (kind == "older_than"))


@given(st.sampled_from([Rule("t0", older_than=0), Rule("t0", newer_than=10**9), Rule("t0", ("city",), (), 0, 10**9)]))
def test_rule_with_age_never_matches_without_published_at(rule: Rule) -> None:
    sold = catalogue(rules=(rule,))
    assert sold.tier_of(Story("s", "city"), NOW).name == "default"
    assert sold.tier_turns_at(Story("s", "city"), NOW) is None


@given(RULES, STORIES)
def test_tier_turns_at_is_the_first_moment_the_tier_differs(rules: tuple[Rule, ...], story: Story) -> None:
    sold = catalogue(rules=rules)
    current, turns_at = sold.tier_of(story, NOW), sold.tier_turns_at(story, NOW)
    # A rule can only change where an age is reached, so scanning these seconds and their neighbors is enough.
    born = story.published_at or 0
    scanned = sorted({born + age + off for age in (0, DAY, 2 * DAY, 30 * DAY) for off in (-1, 0, 1)} | {NOW + 50 * DAY})
    differing = [at for at in scanned if at > NOW and sold.tier_of(story, at) != current]
    assert turns_at == (differing[0] if differing else None)


def test_tier_in_the_request_never_changes() -> None:
    sold = catalogue(rules=(Rule("t0", older_than=DAY),))
    assert sold.tier_turns_at(Story("s", tier="t1", published_at=NOW), NOW) is None
    assert sold.tier_turns_at(Story("s", published_at=NOW), NOW) == NOW + DAY
    assert sold.tier_turns_at(Story("s", published_at=NOW - DAY), NOW) is None


def test_age_limit_leading_to_the_same_tier_is_no_change() -> None:
    sold = catalogue(rules=(Rule("t0", older_than=2 * DAY), Rule("t0", newer_than=DAY), Rule("t0", ("city",))))
    assert sold.tier_turns_at(Story("s", "city", published_at=NOW), NOW) is None
    assert sold.tier_turns_at(Story("s", published_at=NOW), NOW) == NOW + DAY


def test_tier_ages_into_another_where_a_rule_by_age_leads_to_another_meter() -> None:
    metered = {name: Tier(name, ("notebook",), meter=meter) for name, meter in (("t0", "m"), ("t1", "m"), ("t2", None))}
    sold = replace(catalogue(default="t2", rules=(Rule("t0", older_than=DAY),)), tiers=metered)
    assert sold.ageing_tiers() == {"t2"}
    assert replace(sold, rules=(Rule("t0", ("city",)),)).ageing_tiers() == frozenset()


def test_origin_of_a_tier_in_the_request_is_the_request_even_if_it_does_not_exist() -> None:
    assert catalogue().tier_origin(Story("s", tier="gone"), NOW) == TierOrigin("gone", "request")
