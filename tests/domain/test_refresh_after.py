"""Test that `refresh_after` is the first moment an answer changes, on random facts, second by second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from service.domain.catalogue import DAY, HOUR, Catalogue, MeterPolicy, Plan, Rule, Story, Tier
from service.domain.decision import Decision, Identity, decide, decide_degraded, resolve_entitlements
from service.domain.meter import MeterLimit, MeterUse, Tally, window_at
from service.domain.sources import Grant, Item, Pass, Source, StripeEntitlements, Subscription
from tests.domain.test_meter import drop_expired

MIDNIGHT = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp())
NOW = MIDNIGHT - 8
LAST = NOW + 40
"""Everything in these worlds happens within the forty seconds around the end of a month."""

FEATURES = ("notebook", "no_ads")
PLANS = {
    "supporter": Plan("supporter", "Supporter", FEATURES, prices=("price_month",), grace_days=1),
    "reader": Plan("reader", "Reader", ("notebook",), prices=("price_week",), grace_days=2),
    "day_pass": Plan("day_pass", "Day pass", ("notebook",), prices=("price_day",), pass_hours=1),
    "newsroom": Plan("newsroom", "Group", ("notebook",), prices=("price_seat",), seats=True),
}
TIERS = {
    "free": Tier("free"),
    "monthly": Tier("monthly", ("notebook",), ("facts",), "monthly"),
    "rolling": Tier("rolling", FEATURES, ("facts",), "rolling"),
    "supporters": Tier("supporters", ("no_ads",)),
}
METERS = {
    "monthly": MeterPolicy("monthly", 1, 2, "month", UTC),
    "rolling": MeterPolicy("rolling", 1, 2, "rolling", UTC, 15),
}
LEEWAY = 3
OFFSETS = (-9, -1, 0, 1, 2, 5, 11)


ROLES: tuple[Literal["subscription", "seat", "gift"], ...] = ("subscription", "seat", "gift")


def subscriptions() -> list[Source]:
    found: list[Source] = []
    for status, end, price, role in product(
        ("active", "trialing", "past_due", "canceled", "new_word"),
        OFFSETS,
        ("price_month", "price_week", "price_seat"),
        ROLES,
    ):
        start = NOW + end - (DAY if status == "past_due" else 30 * DAY)
        item = Item(price, None, None, 3, start, NOW + end)
        one = Subscription("sub_1", status, (item,), start, trial_end=NOW + end + 1)
        one = replace(one, role=role)
        found += [one, replace(one, cancel_at=NOW + 4), replace(one, cancel_at_period_end=True)]
    both = (Item("price_month", None, None, 1, NOW, NOW + 1), Item("price_week", None, None, 1, NOW, NOW + 6))
    return [*found, *(Subscription("sub_2", status, both, NOW) for status in ("active", "past_due"))]


def others() -> list[Source]:
    found: list[Source] = [StripeEntitlements("cus_1", keys) for keys in ((), ("no_ads",), FEATURES)]
    for off, refunded, gift in product(OFFSETS, (False, True), (False, True)):
        found.append(Pass("cs_1", "price_day", None, None, NOW + off - HOUR, refunded, gift=gift))
    for start, length, revoked, plan in product(OFFSETS, (1, 4, None), (None, NOW), ("supporter", None)):
        until = None if length is None else NOW + start + length
        features = () if plan else ("no_ads",)
        found.append(Grant("g_1", plan, features, "why", NOW + start, until, "desk", NOW - 9, revoked))
    return found


RULES = [
    Rule(tier, sections, (), older_than, newer_than)
    for tier, sections, older_than, newer_than in product(
        ("free", "supporters", "rolling"), ((), ("city",)), (None, 0, 4), (None, 9, 20)
    )
]
STORIES = [
    Story("s", section, (), tier, None if born is None else NOW + born, parts)
    for section, tier, born, parts in product(
        ("city", "sport"),
        (None, None, "monthly"),
        (None, -30, -19, -4.5, -4, 0, 3),
        ((), ("facts",), ("facts", "notebook")),
    )
]


@dataclass(frozen=True)
class World:
    """Facts that stay the same while time passes. `read`: mark → time counted; `metered`: there is a reader or visitor."""

    sources: Sequence[Source]
    rules: tuple[Rule, ...]
    story: Story
    read: dict[bytes, int]
    metered: bool

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(
            "Site", UTC, (), dict.fromkeys(FEATURES, "line"), PLANS, TIERS, "monthly", self.rules, METERS, leeway=LEEWAY
        )

    def answer(self, now: float) -> Decision:
        catalogue = self.catalogue
        tier = catalogue.tier_of(self.story, now)
        held = resolve_entitlements(
            [h for source in self.sources for h in source.holdings(catalogue)], catalogue.features, now
        )
        meter = None
        if tier.meter is not None and self.metered:
            policy, window = METERS[tier.meter], window_at(METERS[tier.meter], now)
            counting = {mark: at for mark, at in self.read.items() if at >= window.start}
            read = drop_expired(policy, self.read, now) if policy.rolling else counting
            meter = MeterUse(policy, window, b"s", Tally(read), None).standing(MeterLimit(policy.readers))
        return decide(self.story, tier, held, meter, now=now, catalogue=catalogue)

    def outage(self, now: float) -> Decision:
        """Return the degraded answer with what was known at `NOW`."""
        known = self.answer(NOW).held
        tier = self.catalogue.tier_of(self.story, now)
        return decide_degraded(self.story, tier, known, identity=Identity.SIGNED_IN, catalogue=self.catalogue, now=now)


WORLDS = st.builds(
    World,
    sources=st.lists(st.sampled_from(subscriptions()) | st.sampled_from(others()), max_size=3),
    rules=st.lists(st.sampled_from(RULES), max_size=3).map(tuple),
    story=st.sampled_from(STORIES),
    read=st.dictionaries(st.sampled_from([b"s", b"t", b"u"]), st.integers(NOW - 14, NOW), max_size=3),
    metered=st.booleans(),
)
SECONDS = st.integers(NOW - 12, NOW + 12)


def first_change(answer: Callable[[float], Decision], now: int) -> int | None:
    """Search for the first second at which the answer differs."""
    before = replace(answer(now), refresh_after=None)
    return next((at for at in range(now + 1, LAST) if replace(answer(at), refresh_after=None) != before), None)


def starts(world: World, now: int) -> set[int | None]:
    """Return the scheduled starts ahead. The answer changes at a start unless a better source is active."""
    holdings = [holding for source in world.sources for holding in source.holdings(world.catalogue)]
    return {holding.start for holding in holdings if holding.becomes_active_after(now)}


@given(WORLDS, SECONDS)
def test_refresh_after_is_the_first_change_or_a_scheduled_start(world: World, now: int) -> None:
    reported = world.answer(now).refresh_after
    changes = first_change(world.answer, now)
    if reported is None or reported >= LAST:
        assert changes is None
    else:
        assert reported > now
        assert changes == reported or (reported in starts(world, now) and (changes is None or changes > reported))


@given(WORLDS, SECONDS)
def test_answer_and_refresh_after_stay_the_same_until_refresh_after(world: World, now: int) -> None:
    answer = world.answer(now)
    for later in range(now + 1, LAST if answer.refresh_after is None else min(LAST, answer.refresh_after)):
        assert world.answer(later) == answer


@given(WORLDS, SECONDS)
def test_degraded_refresh_after_is_the_first_change(world: World, now: int) -> None:
    reported = world.outage(now).refresh_after
    changes = first_change(world.outage, now)
    assert changes == (None if reported is None or reported >= LAST else reported)


@given(WORLDS, SECONDS)
def test_refresh_after_between_two_seconds_is_not_in_the_past(world: World, now: int) -> None:
    reported = world.answer(now + 0.5).refresh_after
    assert reported is None or reported > now + 0.5
