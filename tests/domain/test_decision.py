"""Test the decision ladder (free, entitlement, story pass, meter, locked), its reasons and its explanation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from itertools import product
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.catalogue import Catalogue, FailurePolicy, Rule, Story, Tier
from service.domain.decision import (
    NO_ENTITLEMENTS,
    OPEN_REASONS,
    Decision,
    DecisionStep,
    Entitlements,
    Identity,
    decide,
    decide_degraded,
    explain,
    is_free,
    is_settled,
    resolve_entitlements,
)
from service.domain.meter import MeterStanding as Meter
from service.domain.sources import Holding, Reason, Standing

NOW = 1_795_000_000
FEATURES = ("notebook", "no_ads", "events")
OPENED = {
    "free",
    "registered",
    "subscription",
    "trial",
    "grace",
    "pass",
    "seat",
    "grant",
    "gift",
    "institution",
    "metered",
}
LOCKED = {"no_entitlement", "meter_used_up", "sign_in_required", "verification_required"}
"""The contract's reasons; `store_unavailable` is in both of its lists."""
OF_SOURCES = tuple(reason for reason in Reason if reason.value in OPENED - {"free", "registered", "metered"})

FREE = Tier("free")
METERED = Tier("metered", ("notebook", "events"), ("facts", "summary"), "stories")
SUPPORTERS = Tier("supporters", ("notebook",), ("facts",))
CLOSED = Tier("closed", ("no_ads",))
TIERS = (FREE, METERED, SUPPORTERS, CLOSED)
PARTS = ((), ("facts",), ("notebook",), ("facts", "notebook"), ("facts", "summary"), ("notebook", "facts", "notebook"))

STORY_PASS = Holding("gift", "p_1", None, (), "active", Standing.GOOD, Reason.GIFT, NOW - 9, NOW + 9)


DEFAULT_FAILURE = FailurePolicy()


def catalogue(failure: FailurePolicy = DEFAULT_FAILURE, rules: tuple[Rule, ...] = ()) -> Catalogue:
    tiers = {tier.name: tier for tier in TIERS}
    return Catalogue("Site", UTC, (), dict.fromkeys(FEATURES, "line"), {}, tiers, "metered", rules, failure=failure)


def holding(features: tuple[str, ...], reason: Reason = Reason.SUBSCRIPTION, until: int | None = NOW + 99) -> Holding:
    return Holding(
        "subscription", "sub_1", "supporter", features, "active", Standing.GOOD, reason, NOW - 9, until, confirmed=True
    )


def story(*parts: str) -> Story:
    return Story("s", parts=parts)


def asked(
    tier: Tier,
    held: Entitlements = NO_ENTITLEMENTS,
    meter: Meter | None = None,
    *parts: str,
    story_pass: Holding | None = None,
) -> Decision:
    return decide(story(*parts), tier, held, meter, now=NOW, catalogue=catalogue(), story_pass=story_pass)


def entitled(*found: Holding) -> Entitlements:
    return resolve_entitlements(found, FEATURES, NOW)


METERS = st.sampled_from(
    [None]
    + [
        Meter("stories", limit, used, seen, resets_at)
        for limit, used, seen, resets_at in product((0, 2, 5), (0, 1, 2, 5, 7), (False, True), (None, NOW + 50))
    ]
)
HELD = st.lists(
    st.sampled_from(
        [
            holding(names, reason, until)
            for names, reason, until in product([("notebook",), ("no_ads",), FEATURES], OF_SOURCES, (None, NOW + 9))
        ]
    ),
    max_size=3,
).map(lambda found: entitled(*found))
STORIES = st.sampled_from(PARTS).map(lambda parts: Story("s", parts=parts))
PASSES = st.sampled_from([None, STORY_PASS, replace(STORY_PASS, until=NOW), replace(STORY_PASS, base=Standing.ENDED)])


def test_every_reason_opens_or_locks_as_in_the_contract() -> None:
    assert {reason.value for reason in OPEN_REASONS} == OPENED
    assert {reason.value for reason in Reason} == OPENED | LOCKED | {"store_unavailable"}


def expected(
    asked_of: Story, tier: Tier, held: Entitlements, meter: Meter | None, story_pass: Holding | None
) -> tuple[str, object, object]:
    """Return the reason, source and meter that the contract's ladder gives."""
    if not tier.requires or (asked_of.parts and set(asked_of.parts) <= set(tier.open_parts)):
        return "free", None, None
    opener = held.opener(tier.requires)
    if opener is not None and opener.reason is not None:
        return opener.reason.value, opener, None
    if story_pass is not None and story_pass.base is Standing.GOOD and (story_pass.until or 0) > NOW:
        return "gift", story_pass, None
    if tier.meter is None:
        return "no_entitlement", None, None
    if meter is None:
        return "sign_in_required", None, None
    return ("metered" if meter.seen or meter.used < meter.limit else "meter_used_up"), None, meter


@given(STORIES, st.sampled_from(TIERS), HELD, METERS, PASSES)
def test_ladder_order_is_free_entitlement_story_pass_meter_locked(
    asked_of: Story, tier: Tier, held: Entitlements, meter: Meter | None, story_pass: Holding | None
) -> None:
    decision = decide(asked_of, tier, held, meter, now=NOW, catalogue=catalogue(), story_pass=story_pass)
    reason, source, used = expected(asked_of, tier, held, meter, story_pass)
    assert (decision.reason.value, decision.source, decision.meter) == (reason, source, used)
    assert decision.show == ("full" if reason in OPENED else "upsell")
    assert (decision.tier, decision.degraded) == (tier.name, False)


@given(STORIES, st.sampled_from(TIERS), HELD, METERS, PASSES)
def test_story_is_full_only_when_every_part_is_open(
    asked_of: Story, tier: Tier, held: Entitlements, meter: Meter | None, story_pass: Holding | None
) -> None:
    decision = decide(asked_of, tier, held, meter, now=NOW, catalogue=catalogue(), story_pass=story_pass)
    assert [part for part, _ in decision.parts] == list(asked_of.parts)
    assert all(opened is (decision.show == "full" or part in tier.open_parts) for part, opened in decision.parts)
    if asked_of.parts:
        assert (decision.show == "full") is all(opened for _, opened in decision.parts)


@given(st.sampled_from(TIERS), HELD, METERS, PASSES, st.sampled_from([("facts",), ("summary", "facts")]))
def test_free_story_ignores_reader_story_pass_and_meter(
    tier: Tier, held: Entitlements, meter: Meter | None, story_pass: Holding | None, parts: tuple[str, ...]
) -> None:
    free_tier = replace(tier, requires=())
    all_open = replace(tier, open_parts=("facts", "summary"))
    for free in (free_tier, all_open):
        decision = asked(free, held, meter, *parts, story_pass=story_pass)
        alone = asked(free, NO_ENTITLEMENTS, None, *parts)
        assert is_free(story(*parts), free)
        assert replace(decision, held=(), refresh_after=None) == alone
        assert (alone.show, alone.reason, alone.source, alone.meter) == ("full", Reason.FREE, None, None)


@given(STORIES, st.sampled_from(TIERS), HELD, METERS, PASSES)
def test_decision_lists_all_features_of_the_reader_for_any_story(
    asked_of: Story, tier: Tier, held: Entitlements, meter: Meter | None, story_pass: Holding | None
) -> None:
    decision = decide(asked_of, tier, held, meter, now=NOW, catalogue=catalogue(), story_pass=story_pass)
    assert dict(decision.held) == {name: each.until for name, each in held.by_feature.items()}
    assert tuple(name for name, _ in decision.held) == held.features


@given(STORIES, HELD, METERS, PASSES)
def test_reader_with_an_opening_source_is_never_metered(
    asked_of: Story, held: Entitlements, meter: Meter | None, story_pass: Holding | None
) -> None:
    decision = decide(asked_of, METERED, held, meter, now=NOW, catalogue=catalogue(), story_pass=story_pass)
    assert decision.source is None or decision.meter is None
    if not {"notebook", "events"}.isdisjoint(held.features):
        assert decision.show == "full"
        assert decision.meter is None


@given(STORIES, st.sampled_from(TIERS), st.lists(st.sampled_from(OF_SOURCES), max_size=3), METERS, PASSES)
def test_adding_a_source_never_locks_a_story(
    asked_of: Story, tier: Tier, reasons: list[Reason], meter: Meter | None, story_pass: Holding | None
) -> None:
    found = [holding(FEATURES[place:], reason, NOW + 9 - place) for place, reason in enumerate(reasons)]
    shown = []
    for number in range(len(found) + 1):
        held = entitled(*found[:number])
        one = decide(asked_of, tier, held, meter, now=NOW, catalogue=catalogue(), story_pass=story_pass)
        shown.append(one.show)
    assert shown == sorted(shown, key=["upsell", "full"].index)


def test_story_without_parts_shows_whether_its_tier_opens() -> None:
    assert (asked(FREE).show, asked(FREE).parts) == ("full", ())
    assert (asked(SUPPORTERS).show, asked(SUPPORTERS).parts) == ("upsell", ())
    assert asked(SUPPORTERS, entitled(holding(("notebook",)))).show == "full"


def test_any_one_required_feature_opens_every_part() -> None:
    for name in METERED.requires:
        decision = asked(METERED, entitled(holding((name,))), None, "facts", "notebook")
        assert decision.parts == (("facts", True), ("notebook", True))
    assert asked(METERED, entitled(holding(("no_ads",))), None, "notebook").show == "upsell"


def test_story_pass_opens_until_its_end_and_sets_refresh_after() -> None:
    used_up = Meter("stories", 2, 2, seen=False, resets_at=NOW + 50)
    decision = asked(METERED, NO_ENTITLEMENTS, used_up, "notebook", story_pass=STORY_PASS)
    assert (decision.reason, decision.source, decision.meter) == (Reason.GIFT, STORY_PASS, None)
    assert decision.refresh_after == NOW + 9
    for spent in (replace(STORY_PASS, until=NOW), replace(STORY_PASS, base=Standing.NONE)):
        assert asked(METERED, NO_ENTITLEMENTS, used_up, story_pass=spent) == asked(METERED, NO_ENTITLEMENTS, used_up)


def test_counted_read_reports_counted_and_the_meter_after_it() -> None:
    after = Meter("stories", 2, 1, seen=True, resets_at=NOW + 50, counted=True)
    decision = asked(METERED, NO_ENTITLEMENTS, after)
    assert decision.meter == after
    assert (decision.reason, decision.refresh_after) == (Reason.METERED, NOW + 50)


# ------------------------------------------------------------------------------------------------- an outage

Shown = Literal["full", "upsell"]
KNOWN = st.lists(
    st.tuples(st.sampled_from(FEATURES), st.sampled_from([None, NOW - 1, NOW, NOW + 1, NOW + 99])), max_size=3
).map(lambda pairs: tuple(dict(pairs).items()))
SHOWN = st.sampled_from(["full", "upsell"])


def degraded(
    asked_of: Story, tier: Tier, known: tuple[tuple[str, int | None], ...], failure: FailurePolicy, signed_in: bool
) -> Decision:
    identity = Identity.SIGNED_IN if signed_in else Identity.ANONYMOUS
    return decide_degraded(asked_of, tier, known, identity=identity, catalogue=catalogue(failure), now=NOW)


@given(STORIES, st.sampled_from(TIERS), KNOWN, SHOWN, SHOWN, st.booleans())
def test_degraded_decision_uses_known_features_then_the_failure_policy(
    asked_of: Story,
    tier: Tier,
    known: tuple[tuple[str, int | None], ...],
    readers: Shown,
    visitors: Shown,
    signed_in: bool,
) -> None:
    decision = degraded(asked_of, tier, known, FailurePolicy(readers, visitors), signed_in)
    held = {name: until for name, until in known if until is None or until > NOW}
    free = is_free(asked_of, tier)
    policy = readers if signed_in else visitors
    opened = free or bool(set(held) & set(tier.requires)) or policy == "full"
    assert decision.show == ("full" if opened else "upsell")
    assert decision.reason is (Reason.FREE if free else Reason.STORE_UNAVAILABLE)
    assert dict(decision.held) == held, "features never come from the policy"
    assert decision.parts == tuple((part, opened or part in tier.open_parts) for part in asked_of.parts)
    assert (decision.source, decision.meter, decision.degraded, decision.tier) == (None, None, True, tier.name)


def test_degraded_decision_keeps_free_tier_free() -> None:
    nobody = FailurePolicy("upsell", "upsell")
    assert degraded(story("facts", "notebook"), FREE, (), nobody, signed_in=False).reason is Reason.FREE
    assert degraded(story("facts"), METERED, (), nobody, signed_in=False).show == "full"


def test_degraded_decision_has_refresh_after() -> None:
    policy = catalogue(rules=(Rule("supporters", older_than=60),))
    young = Story("s", published_at=NOW - 20.5)
    known = (("notebook", NOW + 99), ("no_ads", None), ("events", NOW))
    answered = decide_degraded(young, METERED, known, identity=Identity.SIGNED_IN, catalogue=policy, now=NOW)
    assert answered.refresh_after == NOW + 40
    old = decide_degraded(Story("s"), METERED, known, identity=Identity.SIGNED_IN, catalogue=policy, now=NOW)
    assert old.refresh_after == NOW + 99
    assert degraded(story(), METERED, (), FailurePolicy(), signed_in=False).refresh_after is None


# ---------------------------------------------------------------------------------------------- the explanation


def rungs(decision: Decision, tier: Tier) -> list[tuple[str, str]]:
    return [(step.step, step.verdict) for step in explain(decision, tier)]


USED = Meter("stories", 2, 2, seen=False, resets_at=NOW + 50)
LEFT = Meter("stories", 2, 1, seen=False, resets_at=NOW + 50)
SUPPORTER = entitled(holding(("notebook",)))


@pytest.mark.parametrize(
    ("decision", "tier", "steps"),
    [
        (asked(FREE), FREE, ["free: free"]),
        (asked(METERED, NO_ENTITLEMENTS, None, "facts"), METERED, ["free: free"]),
        (asked(METERED, SUPPORTER, None), METERED, ["free: not free", "entitlement: subscription"]),
        (
            asked(METERED, NO_ENTITLEMENTS, USED, story_pass=STORY_PASS),
            METERED,
            ["free: not free", "entitlement: none opens it", "pass: gift"],
        ),
        (
            asked(METERED, NO_ENTITLEMENTS, LEFT),
            METERED,
            ["free: not free", "entitlement: none opens it", "meter: metered"],
        ),
        (
            asked(METERED, NO_ENTITLEMENTS, USED),
            METERED,
            ["free: not free", "entitlement: none opens it", "meter: used up", "locked: meter_used_up"],
        ),
        (
            asked(METERED),
            METERED,
            ["free: not free", "entitlement: none opens it", "meter: nobody to meter", "locked: sign_in_required"],
        ),
        (asked(SUPPORTERS), SUPPORTERS, ["free: not free", "entitlement: none opens it", "locked: no_entitlement"]),
        (degraded(story(), FREE, (), FailurePolicy(), True), FREE, ["free: free"]),
        (
            degraded(story(), METERED, (), FailurePolicy(), True),
            METERED,
            ["free: not free", "store: unreachable: full"],
        ),
        (
            degraded(story(), METERED, (), FailurePolicy(), False),
            METERED,
            ["free: not free", "store: unreachable: upsell"],
        ),
    ],
)
def test_explanation_lists_exactly_the_steps_tried_with_verdicts(
    decision: Decision, tier: Tier, steps: list[str]
) -> None:
    assert [f"{name}: {verdict}" for name, verdict in rungs(decision, tier)] == steps


def test_explanation_lists_the_values_of_every_step() -> None:
    held = [{"feature": "notebook", "until": NOW + 99}]
    entitlement = explain(asked(METERED, SUPPORTER, None, "facts", "notebook"), METERED)
    assert entitlement == [
        DecisionStep(
            "free",
            {
                "tier": "metered",
                "requires": ["notebook", "events"],
                "open_parts": ["facts", "summary"],
                "parts": ["facts", "notebook"],
            },
            "not free",
        ),
        DecisionStep(
            "entitlement",
            {
                "requires": ["notebook", "events"],
                "held": held,
                "source": "subscription:sub_1",
                "plan": "supporter",
                "until": NOW + 99,
            },
            "subscription",
        ),
    ]
    by_pass = explain(asked(METERED, NO_ENTITLEMENTS, None, story_pass=STORY_PASS), METERED)
    assert by_pass[-1].values == {"id": "p_1", "until": NOW + 9}
    assert by_pass[-2].values["source"] is None
    outage = explain(degraded(story(), CLOSED, (("notebook", NOW + 99),), FailurePolicy(), True), CLOSED)
    assert outage[-1].values == {"requires": ["no_ads"], "known_features": held}


@pytest.mark.parametrize(
    ("seen", "now_counted", "already"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_meter_step_reports_whether_this_or_an_earlier_read_was_counted(
    seen: bool, now_counted: bool, already: bool
) -> None:
    meter = Meter("stories", 5, 3, seen, NOW + 50, now_counted)
    values = explain(asked(METERED, NO_ENTITLEMENTS, meter), METERED)[-1].values
    assert values == {
        "meter": "stories",
        "limit": 5,
        "used": 3,
        "already_counted": already,
        "counted": now_counted,
        "resets_at": NOW + 50,
    }


@given(STORIES, st.sampled_from(TIERS), HELD, METERS, PASSES)
def test_explanation_ends_with_the_reason_and_uses_the_decision_values(
    asked_of: Story, tier: Tier, held: Entitlements, meter: Meter | None, story_pass: Holding | None
) -> None:
    decision = decide(asked_of, tier, held, meter, now=NOW, catalogue=catalogue(), story_pass=story_pass)
    steps = explain(decision, tier)
    assert steps[-1].verdict == decision.reason.value
    names = [step.step for step in steps]
    assert names == [name for name in ("free", "entitlement", "pass", "meter", "locked") if name in names]
    figures = {None, decision.refresh_after, *(until for _, until in decision.held)}
    figures |= {decision.source.until} if decision.source else set()
    figures |= {decision.meter.resets_at} if decision.meter else set()
    for step in steps:
        assert {step.values.get("until"), step.values.get("resets_at")} <= figures


def test_free_story_and_one_that_signing_in_opens_are_settled() -> None:
    registered = Tier("registered", sign_in="verified")
    expected = {Identity.ANONYMOUS: False, Identity.SIGNED_IN: False, Identity.VERIFIED: True}
    for identity, settled in expected.items():
        assert is_settled(story("facts", "notebook"), registered, identity) is settled
        assert is_settled(story("facts", "notebook"), METERED, identity) is False
        assert is_settled(story("facts"), METERED, identity) is True
