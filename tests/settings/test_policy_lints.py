"""Test the warnings about a policy: what has no effect is found, with its place, and nothing else."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.catalogue import DAY, Rule, Story, rule_matches
from service.settings.policy_lints import _can_match, lint
from tests.policies import parse_catalogue
from tests.settings.test_policy_file import SAMPLE, WHOLE


def warnings(text: str) -> dict[str, str]:
    return {found.where.removeprefix("paywall.toml: "): found.message for found in lint(parse_catalogue(text))}


def with_rules(*rules: str) -> str:
    """Return the sample with these rules instead of its own; every tier is reached."""
    head, _, tail = SAMPLE.partition("[[rules]]")
    _, _, tail = tail.partition("[defaults]")
    reached = ["tags = ['s'], tier = 'supporters'", "tags = ['f'], tier = 'free'", "tags = ['m'], tier = 'metered'"]
    written = ", ".join(f"{{ {rule} }}" for rule in (*rules, *reached))
    return f"rules = [{written}]\n{head}[defaults]{tail}"


def test_sample_policy_has_no_warnings() -> None:
    assert warnings(SAMPLE) == {}


@pytest.mark.parametrize(
    ("first", "second", "shadowed"),
    [
        ("sections = ['a', 'b']", "sections = ['b']", True),
        ("sections = ['b']", "sections = ['a', 'b']", False),
        ("sections = ['a']", "tags = ['x']", False),
        ("sections = ['a']", "sections = ['a'], tags = ['x']", True),
        ("sections = ['a'], tags = ['x']", "sections = ['a']", False),
        ("tags = ['x', 'y']", "tags = ['y']", True),
        ("tags = ['x']", "tags = ['x', 'y']", False),
        ("older_than = '10d'", "older_than = '30d'", True),
        ("older_than = '30d'", "older_than = '10d'", False),
        ("newer_than = '30d'", "newer_than = '10d'", True),
        ("newer_than = '10d'", "newer_than = '30d'", False),
        ("newer_than = '10d'", "older_than = '10d'", False),
        ("older_than = '10d'", "older_than = '5d', newer_than = '20d'", False),
        ("older_than = '10d', newer_than = '20d'", "older_than = '10d', newer_than = '20d', sections = ['a']", True),
        ("older_than = '10d'", "sections = ['a']", False),
        ("sections = ['a']", "sections = ['a'], older_than = '10d'", True),
    ],
)
def test_rule_behind_a_wider_one_never_matches(first: str, second: str, shadowed: bool) -> None:
    found = warnings(with_rules(f"{first}, tier = 'free'", f"{second}, tier = 'supporters'"))
    assert list(found) == (["rules.1"] if shadowed else [])
    if shadowed:
        assert "rules.0 matches every story that it would" in found["rules.1"]


def test_rule_behind_rules_that_cover_it_together_never_matches() -> None:
    sections = ["sections = ['a'], tier = 'free'", "sections = ['b'], tier = 'metered'"]
    found = warnings(with_rules(*sections, "sections = ['a', 'b'], tier = 'supporters'"))
    assert list(found) == ["rules.2"]
    assert "the rules before it match" in found["rules.2"]
    ages = ["older_than = '30d', tier = 'free'", "newer_than = '30d', tier = 'metered'"]
    assert list(warnings(with_rules(*ages, "older_than = '5d', tier = 'supporters'"))) == ["rules.2"]
    gap = ["older_than = '30d', tier = 'free'", "newer_than = '29d', tier = 'metered'"]
    assert warnings(with_rules(*gap, "older_than = '5d', tier = 'supporters'")) == {}


AGES = st.sampled_from([DAY, 2 * DAY, 3 * DAY])
NAMES = st.lists(st.sampled_from("abc"), max_size=2, unique=True).map(tuple)
RULES = st.builds(Rule, st.just("free"), NAMES, NAMES, st.none() | AGES, st.none() | AGES)
TAGS = [tags for size in range(3) for tags in combinations("abcd", size)]
PUBLISHED = [None, *(-age for age in (0, DAY - 1, DAY, 2 * DAY - 1, 2 * DAY, 3 * DAY - 1, 3 * DAY))]
STORIES = [Story("s", section, tags, None, at) for section, tags, at in product([None, *"abcd"], TAGS, PUBLISHED)]
"""Every kind of story between which these rules distinguish."""


@given(RULES, st.lists(RULES, max_size=3))
def test_rule_can_match_if_and_only_if_a_story_reaches_it(rule: Rule, earlier: list[Rule]) -> None:
    left = [story for story in STORIES if rule_matches(rule, story, 0)]
    for one in earlier:
        left = [story for story in left if not rule_matches(one, story, 0)]
    assert _can_match(rule, earlier) == bool(left)


def test_tier_that_nothing_leads_to_is_named() -> None:
    tier = '[tiers.extra]\nrequires = ["notebook"]\n'
    assert list(warnings(SAMPLE.replace("[tiers.free]", f"{tier}[tiers.free]"))) == ["tiers.extra"]
    found = warnings(with_rules("tier = 'free'"))
    assert "tiers.metered" in found
    assert "only stories for which the site names it" in found["tiers.supporters"]


def test_plan_on_sale_in_no_offer_is_named() -> None:
    found = warnings(SAMPLE.replace('plans = ["supporter", "day_pass"]', 'plans = ["supporter"]'))
    assert list(found) == ["plans.day_pass"]


def test_offer_that_opens_nothing_of_its_tiers_is_named() -> None:
    quiet = '[plans.quiet]\nname = "Quiet"\nfeatures = ["no_ads"]\nprices = ["price_quiet"]\n[tiers.free]'
    text = SAMPLE.replace("[tiers.free]", quiet).replace('plans = ["supporter", "day_pass"]', 'plans = ["quiet"]')
    found = warnings(text)
    assert 'for the tier "metered", "supporters"' in found.pop("offers.notebook")
    assert sorted(found) == ["plans.day_pass", "plans.supporter"]


METERED = (
    '[plans.reader]\nname = "Reader"\nfeatures = []\nprices = ["price_reader"]\nmeters = { stories = 20 }\n[tiers.free]'
)


def test_plan_with_a_higher_limit_opens_a_metered_tier() -> None:
    text = SAMPLE.replace("[tiers.free]", METERED).replace('plans = ["supporter", "day_pass"]', 'plans = ["reader"]')
    found = warnings(text)
    assert found.pop("offers.notebook").startswith('is shown for the tier "supporters",')
    assert sorted(found) == ["plans.day_pass", "plans.supporter"]
    low = warnings(text.replace("stories = 20", "stories = 5"))
    assert {"plans.reader.meters.stories", "offers.notebook"} < set(low)
    assert '"metered", "supporters"' in low["offers.notebook"]


def test_meter_of_no_tier_and_limits_upside_down_are_named() -> None:
    assert list(warnings(SAMPLE.replace('meter = "stories"', ""))) == ["meters.stories"]
    assert list(warnings(SAMPLE.replace("readers = 5", "readers = 1"))) == ["meters.stories.readers"]


def test_whole_policy_of_the_tests_is_read_without_an_error() -> None:
    assert isinstance(warnings(WHOLE), dict)
