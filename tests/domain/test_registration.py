"""Test tiers that signing in opens: who gets in, the reason and steps of locked readers, and that nothing sold opens by it."""

from __future__ import annotations

from datetime import UTC
from itertools import product
from typing import Literal

import pytest

from service.domain.catalogue import Catalogue, FailurePolicy, MeterPolicy, Offer, Plan, Story, Tier
from service.domain.decision import (
    NO_ENTITLEMENTS,
    Decision,
    Identity,
    decide,
    decide_degraded,
    explain,
    resolve_entitlements,
)
from service.domain.meter import MeterStanding
from service.domain.next_steps import Situation
from service.domain.sources import Grant, Reason
from service.domain.story_passes import pass_holding

NOW = 1_795_000_000
ANONYMOUS, SIGNED_IN, VERIFIED = Identity
USED_UP, LEFT = (MeterStanding("stories", 2, used, seen=False, resets_at=NOW + 50) for used in (2, 1))
METER = MeterPolicy("stories", 2, 2, "rolling", UTC, 60)
OFFERS = {name: Offer(name, "", (), "", plans) for name, plans in {"register": (), "notebook": ("supporter",)}.items()}
SUPPORTER = Plan("supporter", "", ("notebook",), ("price_month",))


def catalogue_of(*tiers: Tier, failure: FailurePolicy | None = None) -> Catalogue:
    return Catalogue(
        "Site",
        UTC,
        (),
        {"notebook": "", "no_ads": ""},
        {"supporter": SUPPORTER},
        {tier.name: tier for tier in tiers},
        tiers[0].name,
        meters={"stories": METER},
        offers=OFFERS,
        failure=failure or FailurePolicy(),
    )


def tier_of(sign_in: Literal["any", "verified"], meter: str | None = None) -> Tier:
    return Tier("members", (), ("facts",), meter, sign_in)


def asked(tier: Tier, identity: Identity, meter: MeterStanding | None = None) -> Decision:
    story = Story("s", parts=("facts", "notebook"))
    return decide(story, tier, NO_ENTITLEMENTS, meter, now=NOW, catalogue=catalogue_of(tier), identity=identity)


@pytest.mark.parametrize(
    ("sign_in", "identity", "meter", "reason"),
    [
        ("any", ANONYMOUS, None, "sign_in_required"),
        ("any", SIGNED_IN, None, "registered"),
        ("any", VERIFIED, None, "registered"),
        ("verified", ANONYMOUS, None, "sign_in_required"),
        ("verified", SIGNED_IN, None, "verification_required"),
        ("verified", VERIFIED, None, "registered"),
        ("any", ANONYMOUS, LEFT, "metered"),
        ("any", ANONYMOUS, USED_UP, "meter_used_up"),
        ("any", SIGNED_IN, USED_UP, "registered"),
        ("verified", SIGNED_IN, LEFT, "metered"),
        ("verified", SIGNED_IN, USED_UP, "meter_used_up"),
        ("verified", VERIFIED, USED_UP, "registered"),
    ],
)
def test_reason_follows_from_who_asks_and_the_meter(
    sign_in: Literal["any", "verified"], identity: Identity, meter: MeterStanding | None, reason: str
) -> None:
    decision = asked(tier_of(sign_in, meter.name if meter else None), identity, meter)
    opened = reason in ("registered", "metered")
    assert (decision.reason.value, decision.show) == (reason, "full" if opened else "upsell")
    assert decision.parts == (("facts", True), ("notebook", opened))
    assert (decision.source, decision.until) == (None, None)
    assert decision.meter == (None if reason == "registered" else meter)


def test_metered_tier_without_anyone_to_meter_asks_to_sign_in() -> None:
    assert asked(tier_of("verified", "stories"), ANONYMOUS).reason is Reason.SIGN_IN_REQUIRED


def test_free_comes_before_registered_and_a_story_pass_after_it() -> None:
    tier = tier_of("verified")
    policy, gift = catalogue_of(tier), pass_holding("p", NOW + 9)
    only_facts = decide(
        Story("s", parts=("facts",)), tier, NO_ENTITLEMENTS, None, now=NOW, catalogue=policy, identity=VERIFIED
    )
    assert only_facts.reason is Reason.FREE
    for identity, reason in ((ANONYMOUS, Reason.GIFT), (SIGNED_IN, Reason.GIFT), (VERIFIED, Reason.REGISTERED)):
        opened = decide(
            Story("s"), tier, NO_ENTITLEMENTS, None, now=NOW, catalogue=policy, story_pass=gift, identity=identity
        )
        assert opened.reason is reason


def test_registered_reader_keeps_their_features_and_refresh_after() -> None:
    grant = Grant("g", "supporter", (), "", NOW - 9, NOW + 9, "", NOW)
    tier = tier_of("any")
    policy = catalogue_of(tier)
    held = resolve_entitlements(grant.holdings(policy), policy.features, NOW)
    decision = decide(Story("s"), tier, held, None, now=NOW, catalogue=policy, identity=SIGNED_IN)
    assert (decision.reason, decision.held) == (Reason.REGISTERED, (("notebook", NOW + 9),))
    assert decision.refresh_after == NOW + 9


def test_signing_in_never_opens_a_tier_that_requires_a_feature() -> None:
    """A registration wall seen elsewhere opened premium stories to everyone who was registered."""
    sign_ins: tuple[Literal["any", "verified"] | None, ...] = ("any", "verified", None)
    tiers = product(sign_ins, (None, "notebook"), (None, "register"), (None, "stories"))
    for (sign_in, offer, sign_in_offer, meter), used in product(tiers, (0, 1, 2, 5)):
        # The settings refuse `sign_in` beside `requires`; the ladder does not rely on that.
        sold = Tier("sold", ("notebook",), ("facts",), meter, sign_in, offer, sign_in_offer)
        standing = MeterStanding("stories", 2, used, seen=False, resets_at=None) if meter else None
        decisions = [asked(sold, identity, standing) for identity in Identity]
        assert {decision.reason for decision in decisions}.isdisjoint({Reason.REGISTERED, Reason.FREE})
        assert {decision.show for decision in decisions} == {"full" if meter and used < 2 else "upsell"}


@pytest.mark.parametrize("policy", ["full", "upsell"])
@pytest.mark.parametrize(
    ("sign_in", "meter", "identity", "reason", "opened"),
    [
        ("any", None, ANONYMOUS, "sign_in_required", False),
        ("any", None, SIGNED_IN, "registered", True),
        ("verified", None, SIGNED_IN, "verification_required", False),
        ("verified", "stories", VERIFIED, "registered", True),
        ("verified", "stories", SIGNED_IN, "store_unavailable", None),
        ("any", "stories", ANONYMOUS, "store_unavailable", None),
    ],
)
def test_outage_changes_only_what_the_meter_decides(
    policy: Literal["full", "upsell"],
    sign_in: Literal["any", "verified"],
    meter: str | None,
    identity: Identity,
    reason: str,
    opened: bool | None,
) -> None:
    tier, failure = tier_of(sign_in, meter), FailurePolicy(policy, policy)
    decision = decide_degraded(
        Story("s"), tier, (), identity=identity, catalogue=catalogue_of(tier, failure=failure), now=NOW
    )
    assert decision.reason.value == reason
    assert decision.show == (policy if opened is None else "full" if opened else "upsell")
    assert (decision.degraded, decision.next) == (True, ())


@pytest.mark.parametrize(
    ("tier", "identity", "meter", "steps"),
    [
        (tier_of("any"), SIGNED_IN, None, ["free: not free", "sign_in: registered"]),
        (tier_of("any"), ANONYMOUS, None, ["free: not free", "sign_in: not signed in", "locked: sign_in_required"]),
        (
            tier_of("verified"),
            SIGNED_IN,
            None,
            [
                "free: not free",
                "sign_in: signed in, the address is not verified",
                "locked: verification_required",
            ],
        ),
        (
            tier_of("verified", "stories"),
            SIGNED_IN,
            USED_UP,
            [
                "free: not free",
                "sign_in: not signed in with a verified address",
                "meter: used up",
                "locked: meter_used_up",
            ],
        ),
        (
            tier_of("any", "stories"),
            ANONYMOUS,
            LEFT,
            ["free: not free", "sign_in: not signed in", "meter: metered"],
        ),
    ],
)
def test_explanation_has_a_step_for_signing_in(
    tier: Tier, identity: Identity, meter: MeterStanding | None, steps: list[str]
) -> None:
    found = explain(asked(tier, identity, meter), tier)
    assert [f"{step.step}: {step.verdict}" for step in found] == steps
    assert found[1].values == {"sign_in": tier.sign_in}


def test_explanation_of_an_outage_has_the_sign_in_step() -> None:
    tier = tier_of("verified")
    decision = decide_degraded(Story("s"), tier, (), identity=SIGNED_IN, catalogue=catalogue_of(tier), now=NOW)
    assert [step.step for step in explain(decision, tier)] == ["free", "sign_in", "locked"]


def test_explanation_of_a_story_pass_in_a_sign_in_tier_has_no_entitlement_step() -> None:
    tier = tier_of("verified")
    asked_with_pass = Situation(Story("s"), catalogue_of(tier), NOW, SIGNED_IN, story_pass=pass_holding("p", NOW + 9))
    steps = explain(asked_with_pass.decide(), tier)
    assert [step.step for step in steps] == ["free", "sign_in", "pass"]
    assert asked_with_pass.of_verified_reader().decide().reason is Reason.REGISTERED
