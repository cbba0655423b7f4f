"""Test that each step of `next` is true, and that no step is missing: against the ladder, second by second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from service.domain.catalogue import Catalogue, MeterPolicy, Offer, Plan, Rule, Story, Tier
from service.domain.decision import NO_ENTITLEMENTS, Decision, Identity, NextStep, decide, resolve_entitlements
from service.domain.meter import MeterLimit, MeterUse, Tally, merge_counted, window_at
from service.domain.next_steps import MOST_REMEMBERED, MOST_TAGS_AND_PARTS, Situation, StepMemory, next_steps
from service.domain.sources import Grant, Holding, Reason, Standing
from service.domain.story_passes import pass_holding

MIDNIGHT = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp())
NOW = MIDNIGHT - 8
HORIZON = 36
"""Seconds: nothing in these worlds happens later."""
LENGTH = 12
STORY = b"story..."
MINE, OTHERS, NEW = b"reader..", b"another.", b"new one."
MARKS = [STORY, *(b"story %02d" % number for number in range(7))]

FEATURES = ("notebook", "events")
PLANS = (
    Plan("supporter", "", ("notebook", "events"), prices=("price_month",)),
    Plan("insider", "", ("events",), products=("prod_insider",)),
    Plan("newsroom", "", ("notebook",), prices=("price_seat",), seats=True),
    Plan("vip", "", ("notebook",)),
    Plan("reader", "", (), prices=("price_reader",), meters=(("daily", 4), ("rolling", 5), ("closed", 1))),
    Plan("basic", "", ("events",), prices=("price_basic",), meters=(("rolling", 2), ("signed_in", 3))),
)
OFFERS = (
    Offer("register", "", (), "", ()),
    Offer("first", "", (), "", ("vip", "insider", "newsroom", "supporter")),
    Offer("notebook", "", (), "", ("supporter", "basic", "reader")),
)
METERS = (
    MeterPolicy("daily", 1, 3, "day", UTC),
    MeterPolicy("rolling", 1, 3, "rolling", UTC, LENGTH),
    MeterPolicy("signed_in", 0, 2, "rolling", UTC, LENGTH),
    MeterPolicy("closed", 1, 0, "rolling", UTC, LENGTH),
)
TIERS = (
    Tier("free"),
    Tier("supporters", ("notebook",)),
    Tier("events", ("events",), offer="first"),
    *(Tier(f"sold_{meter.name}", ("notebook",), ("facts",), meter.name) for meter in METERS),
    *(
        Tier(f"{sign_in}_{meter}", (), ("facts",), meter, sign_in)
        for sign_in in ("any", "verified")
        for meter in (None, "daily", "rolling", "closed")
    ),
)


def catalogue_with(rules: tuple[Rule, ...], default: str) -> Catalogue:
    return Catalogue(
        site_name="Site",
        zone=UTC,
        origins=(),
        features=dict.fromkeys(FEATURES, "line"),
        plans={plan.id: plan for plan in PLANS},
        tiers={tier.name: tier for tier in TIERS},
        default_tier=default,
        rules=rules,
        meters={meter.name: meter for meter in METERS},
        offers={offer.id: offer for offer in OFFERS},
    )


@dataclass(frozen=True)
class Reads:
    """The stories in the meters of a reader or a visitor: mark → when; and whom a visitor joined, when."""

    of: Mapping[str, Mapping[bytes, int]] = field(default_factory=dict)
    joined: bytes | None = None
    joined_at: int = NOW

    def tally(self, policy: MeterPolicy, now: int) -> Tally:
        """Return what the store holds for this meter at `now`."""
        read = self.of.get(policy.name, {})
        if policy.rolling:
            read = {mark: at for mark, at in read.items() if now < at + policy.length}
            until = self.joined_at + policy.length
            return Tally(read, self.joined, until) if self.joined and now < until else Tally(read)
        read = {mark: at for mark, at in read.items() if at >= window_at(policy, now).start}
        return Tally(read, self.joined if self.joined_at >= window_at(policy, now).start else None)


@dataclass(frozen=True)
class World:
    """Everything that a request and the store hold."""

    catalogue: Catalogue
    story: Story
    now: float
    identity: Identity
    grants: tuple[Grant, ...]
    reader: Reads
    visitor: Reads | None
    story_pass: Holding | None = None
    mark: bytes = MINE

    @property
    def signed_in(self) -> bool:
        return self.identity is not Identity.ANONYMOUS

    def use(self, policy: MeterPolicy) -> MeterUse:
        """Return what counts in a meter, as the use case reads it."""
        second = int(self.now)
        reader = self.reader.tally(policy, second) if self.signed_in else None
        visitor = self.visitor.tally(policy, second) if self.visitor is not None else None
        return MeterUse(policy, window_at(policy, self.now), STORY, reader, visitor, (MINE,) if self.signed_in else ())

    def situation(self) -> Situation:
        """Return the situation with only those meters that a check reads."""
        tier = self.catalogue.tier_of(self.story, self.now)
        names = {tier.meter, *self.catalogue.later_meters(self.story, self.now)} - {None}
        held = resolve_entitlements(self.holdings(), FEATURES, self.now)
        uses = {policy.name: self.use(policy) for policy in METERS if policy.name in names}
        return Situation(self.story, self.catalogue, self.now, self.identity, held, uses, self.story_pass)

    def holdings(self) -> list[Holding]:
        grants = self.grants if self.signed_in else ()
        return [holding for grant in grants for holding in grant.holdings(self.catalogue)]

    def is_open(self, now: float, *bought: Holding) -> bool:
        """Ask the ladder at a moment, with what the store holds then."""
        tier = self.catalogue.tier_of(self.story, now)
        meter = None
        if tier.meter is not None:
            policy = self.catalogue.meters[tier.meter]
            visitor = self.visitor.tally(policy, int(now)) if self.visitor is not None else Tally({})
            read, limit = visitor.read, policy.visitors
            if self.signed_in:
                read = self.reader.tally(policy, int(now)).read
                limit = max([policy.readers, *self.limits(policy, now, *bought)])
                if visitor.joined in (None, self.mark):
                    read = merge_counted(policy, read, visitor.read)
            if self.signed_in or (self.visitor is not None and limit):
                counted = MeterUse(policy, window_at(policy, now), STORY, Tally(read), None)
                meter = counted.standing(MeterLimit(limit))
        held = resolve_entitlements([*self.holdings(), *bought], FEATURES, now)
        story_pass = self.story_pass if self.signed_in or self.visitor is not None else None
        decision = decide(
            self.story,
            tier,
            held,
            meter,
            now=now,
            catalogue=self.catalogue,
            story_pass=story_pass,
            identity=self.identity,
        )
        return decision.show == "full"

    def limits(self, policy: MeterPolicy, now: float, *bought: Holding) -> list[int]:
        held = [holding for holding in [*self.holdings(), *bought] if holding.standing_at(now) is Standing.GOOD]
        return [limit for holding in held for name, limit in holding.meters if name == policy.name]

    def as_new_reader(self, identity: Identity) -> World:
        return replace(self, identity=identity, grants=(), reader=Reads(), mark=NEW)


def random_world(chance: Random) -> World:
    """Return a world in which most stories are locked. It is much faster than a strategy, so that thousands are tried."""
    identity = chance.choice(list(Identity))
    visitor = random_reads(chance, chance.choice([None, None, MINE, OTHERS, OTHERS])) if chance.random() < 0.7 else None
    nobody = identity is Identity.ANONYMOUS and visitor is None
    return World(
        catalogue=catalogue_with(tuple(random_rule(chance) for _ in range(chance.randrange(4))), random_tier(chance)),
        story=Story(
            "s",
            tier=random_tier(chance) if chance.random() < 0.3 else None,
            published_at=NOW - chance.randrange(160) / 10 if chance.random() < 0.8 else None,
            parts=chance.choice([(), ("facts", "notebook")]),
        ),
        now=NOW + chance.choice([0.0, 0.25, 0.75]),
        identity=identity,
        grants=tuple(random_grant(chance) for _ in range(chance.choice([0, 0, 1, 2]))),
        reader=random_reads(chance, None),
        visitor=visitor,
        story_pass=pass_holding("p", NOW + 9) if nobody and chance.random() < 0.2 else None,
    )


def random_reads(chance: Random, joined: bytes | None) -> Reads:
    def stories() -> dict[bytes, int]:
        marks = chance.sample(MARKS, chance.randrange(6))
        return {mark: chance.randint(NOW - LENGTH, NOW) for mark in marks if mark != STORY or chance.random() < 0.5}

    return Reads({meter.name: stories() for meter in METERS}, joined, chance.randint(NOW - LENGTH, NOW))


def random_grant(chance: Random) -> Grant:
    start = NOW + chance.randint(-15, LENGTH)
    until = start + chance.randint(1, 15) if chance.random() < 0.8 else None
    return Grant("g", chance.choice(PLANS).id, (), "", start, until, "", NOW)


def random_rule(chance: Random) -> Rule:
    older, newer = (chance.choice([None, 4, 9, 14]) for _ in range(2))
    return Rule(random_tier(chance), older_than=older, newer_than=newer)


def random_tier(chance: Random) -> str:
    return chance.choices(TIERS, [1 if tier.meter is None else 4 for tier in TIERS])[0].name


def expected_steps(world: World) -> list[NextStep]:
    """Return the steps by their definition: do each one in the world, and look."""
    steps = []
    reader = world
    if not world.signed_in:
        reader = world.as_new_reader(Identity.SIGNED_IN)
        if reader.is_open(world.now):
            steps.append(NextStep("sign_in", verified=False))
        elif world.as_new_reader(Identity.VERIFIED).is_open(world.now):
            steps.append(NextStep("sign_in", verified=True))
    elif world.identity is Identity.SIGNED_IN and replace(world, identity=Identity.VERIFIED).is_open(world.now):
        steps.append(NextStep("verify"))
    tier = world.catalogue.tier_of(world.story, world.now)
    bought = [plan for plan in offered(world, tier) if tier.requires and opens_by_itself(plan, reader, tier)]
    if bought:
        assert all(reader.is_open(world.now, subscription(plan)) for plan in bought)
        steps.append(NextStep("subscribe", plans=tuple(plan.id for plan in bought)))
    until = next((at for at in range(NOW + 1, NOW + HORIZON) if world.is_open(at)), None)
    if until is not None:
        steps.append(NextStep("wait", until=until))
    return steps


def offered(world: World, tier: Tier) -> list[Plan]:
    offer = world.catalogue.offers[tier.offer or ("notebook" if "notebook" in tier.requires else "first")]
    plans = [world.catalogue.plans[name] for name in offer.plans]
    return [plan for plan in plans if (plan.prices or plan.products) and not plan.seats]


def opens_by_itself(plan: Plan, reader: World, tier: Tier) -> bool:
    """Return whether a plan opens the tier by a feature, or by its limit for a reader without free stories."""
    if set(plan.features) & set(tier.requires):
        return True
    policies = {name: replace(policy, readers=0) for name, policy in reader.catalogue.meters.items()}
    poor = replace(reader, catalogue=replace(reader.catalogue, meters=policies), grants=())
    return tier.meter in dict(plan.meters) and poor.is_open(reader.now, subscription(plan))


def subscription(plan: Plan) -> Holding:
    return Holding(
        type="subscription",
        id="s",
        plan=plan.id,
        features=plan.features,
        status="",
        base=Standing.GOOD,
        reason=Reason.SUBSCRIPTION,
        start=NOW,
        until=NOW + HORIZON,
        meters=plan.meters,
    )


def assert_limit_is_that_of_the_highest_plan(world: World, decision: Decision) -> None:
    """Compare the limit, its plan, and when it changes with what is held in each second."""
    meter = decision.meter
    if meter is None or not world.signed_in:
        return
    policy = world.catalogue.meters[meter.name]

    def limit_at(now: float) -> int:
        return max([policy.readers, *world.limits(policy, now)])

    assert meter.limit == limit_at(world.now)
    assert meter.plan is None if meter.limit == policy.readers else dict(world.catalogue.plans[meter.plan or ""].meters)
    changes = next((at for at in range(NOW + 1, NOW + HORIZON) if limit_at(at) != meter.limit), None)
    if changes is not None:
        assert meter.changes_at is not None
        assert meter.changes_at <= changes
        assert decision.refresh_after is not None
        assert decision.refresh_after <= changes


@given(st.integers(0, 2**32))
def test_steps_are_true_and_complete_in_random_worlds(seed: int) -> None:
    chance = Random(seed)
    for _ in range(30):
        world = random_world(chance)
        asked, is_open = world.situation(), world.is_open(world.now)
        decision = asked.decide()
        assert (decision.show == "full") is asked.is_open is is_open
        assert_limit_is_that_of_the_highest_plan(world, decision)
        if not is_open:
            assert list(next_steps(asked)) == expected_steps(world)


@given(st.integers(0, 2**32))
def test_remembered_steps_are_those_of_the_moment(seed: int) -> None:
    chance = Random(seed)
    first, memory = random_world(chance), StepMemory()
    for _ in range(150):
        world = replace(
            random_world(chance),
            catalogue=first.catalogue,
            story=first.story,
            now=NOW + chance.randrange(4 * HORIZON) / 4,
            grants=() if chance.random() < 0.9 else (random_grant(chance),),
        )
        asked = world.situation()
        if not asked.is_open:
            assert memory.next_steps(asked) == next_steps(asked)


def test_steps_of_people_alike_are_found_once_a_window() -> None:
    memory, catalogue = StepMemory(), catalogue_with((), "sold_daily")

    def steps(now: int, *read: bytes) -> tuple[NextStep, ...]:
        world = World(
            catalogue, Story("s"), now, Identity.SIGNED_IN, (), Reads({"daily": dict.fromkeys(read, now)}), None
        )
        return memory.next_steps(world.situation())

    found = steps(NOW, *MARKS[1:4])
    assert steps(NOW + 1, *MARKS[2:5]) is found
    assert steps(NOW, *MARKS[1:5]) is not found
    assert steps(MIDNIGHT, *MARKS[1:4]) != found


def situation_of(story: Story) -> Situation:
    return Situation(story, catalogue_with((), "events"), NOW, Identity.ANONYMOUS, NO_ENTITLEMENTS, {}, None)


def test_memory_of_steps_keeps_no_story_with_very_many_words() -> None:
    words = tuple(map(str, range(MOST_TAGS_AND_PARTS)))
    assert situation_of(Story("s", tags=words)).outline() is not None
    assert situation_of(Story("s", tags=words, parts=("facts",))).outline() is None


def test_full_memory_of_steps_begins_anew_and_answers_the_same() -> None:
    memory, first = StepMemory(), situation_of(Story("s-0"))
    found = memory.next_steps(first)
    for number in range(1, MOST_REMEMBERED):
        memory.next_steps(situation_of(Story(f"s-{number}")))
    assert memory.next_steps(first) is found
    memory.next_steps(situation_of(Story("one-more")))
    assert memory.next_steps(first) is not found
    assert memory.next_steps(first) == found
