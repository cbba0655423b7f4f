"""What would open a locked story: the ladder's own answer, asked again with one thing changed.

A `Situation` is everything that decides about one story for whoever asks, at a moment. Each step is true: taken alone,
it makes the same question `full`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from service.domain.catalogue import Catalogue, Plan, Story, Tier
from service.domain.decision import (
    FOREVER,
    NO_ENTITLEMENTS,
    OPEN_REASONS,
    Decision,
    Entitlements,
    Identity,
    NextStep,
    decide,
    find_reason,
    resolve_entitlements,
)
from service.domain.meter import MeterLimit, MeterStanding, MeterUse
from service.domain.sources import Holding, Reason, Standing
from service.domain.times import LAST_SECOND

MOST_TAGS_AND_PARTS = 40
"""How many a story can have together whose steps are remembered."""
MOST_REMEMBERED = 4_096
"""How many situations are remembered."""


@dataclass(slots=True)
class Situation:
    """Who asks for a story at `now` (epoch seconds), what they hold and what they have read.

    `meters` has the use of the meter of the story's tier, and of each tier that its age gives it later. A tier whose meter
    is missing here is judged as if there were nobody to meter. It is not frozen, and copied by hand, because every locked
    answer makes a few of them; nothing changes one.
    """

    story: Story
    catalogue: Catalogue
    now: float
    identity: Identity = Identity.ANONYMOUS
    entitlements: Entitlements = NO_ENTITLEMENTS
    meters: Mapping[str, MeterUse] = field(default_factory=dict)
    story_pass: Holding | None = None
    """A story pass that would open the story for a reader; a request without a reader and a visitor does not use it."""
    tier: Tier = field(init=False)
    """The story's tier at this moment."""

    def __post_init__(self) -> None:
        self.tier = self.catalogue.tier_of(self.story, self.now)

    def decide(self) -> Decision:
        """Decide, without the steps that would open a locked story."""
        return decide(
            self.story,
            self.tier,
            self.entitlements,
            self._standing(),
            now=self.now,
            catalogue=self.catalogue,
            story_pass=self._usable_pass,
            identity=self.identity,
        )

    @property
    def is_open(self) -> bool:
        """Return whether the ladder opens the story."""
        return self._opens(self.entitlements, self._standing(), self._usable_pass)

    def at(self, moment: int) -> Situation:
        """Return the situation at a later moment, if nothing happens until then."""
        held = self.entitlements
        if held.holdings:
            held = resolve_entitlements(held.holdings, self.catalogue.features, moment)
        meters = {name: use.at(moment) for name, use in self.meters.items()}
        return Situation(self.story, self.catalogue, moment, self.identity, held, meters, self.story_pass)

    def of_new_reader(self) -> Situation:
        """Return the situation after a reader who is new here, and holds nothing, has signed in in the same browser."""
        meters = {name: use.for_new_reader() for name, use in self.meters.items()}
        who = Identity.SIGNED_IN
        return Situation(self.story, self.catalogue, self.now, who, NO_ENTITLEMENTS, meters, self.story_pass)

    def of_verified_reader(self) -> Situation:
        """Return the situation after the site has verified the reader's address."""
        held, who = self.entitlements, Identity.VERIFIED
        return Situation(self.story, self.catalogue, self.now, who, held, self.meters, self.story_pass)

    def opens_by_plan(self, plan: Plan) -> bool:
        """Return whether a plan by itself opens the story once it is held: by a feature, or by its limit of the meter."""
        meter, name = None, self.tier.meter
        if plan.meters and name is not None and name in self.meters:
            limit = dict(plan.meters).get(name)
            meter = self.meters[name].standing(MeterLimit(limit)) if limit is not None else None
        return self._opens(_entitlements_by(plan.features), meter, None)

    def openings(self) -> Iterator[float]:
        """Yield every moment at which something begins that can open the story, in no order; some lie in the past."""
        yield from self.catalogue.age_limits(self.story, self.now)
        holdings = self.entitlements.holdings
        yield from (holding.start for holding in holdings if holding.start is not None)
        for use in self.meters.values():
            limits = {limit for held in holdings for name, limit in held.meters if name == use.policy.name}
            yield from use.openings({use.policy.visitors if use.reader is None else use.policy.readers, *limits})

    def next_opening(self) -> float:
        """Return the first of these moments after now; until then the steps stay the same."""
        return min((moment for moment in self.openings() if moment > self.now), default=FOREVER)

    def outline(self) -> Hashable | None:
        """Return all that the steps follow from until the next of the `openings`, as a key that many situations share.

        `None` where that differs from person to person: for whoever holds something, and in rolling windows. `None` also
        for a story with very many tags and parts, which would take much memory as a key.
        """
        if self.entitlements.holdings or self.entitlements.by_feature or self.story_pass is not None:
            return None
        if len(self.story.tags) + len(self.story.parts) > MOST_TAGS_AND_PARTS:
            return None
        meters = tuple([use.outline() for use in self.meters.values()])
        return None if None in meters else (self.story, self.identity, meters)

    @property
    def _usable_pass(self) -> Holding | None:
        return self.story_pass if self.identity is not Identity.ANONYMOUS else None

    def _opens(self, held: Entitlements, meter: MeterStanding | None, story_pass: Holding | None) -> bool:
        reason, _, _ = find_reason(self.story, self.tier, held, meter, story_pass, identity=self.identity)
        return reason in OPEN_REASONS

    def _standing(self) -> MeterStanding | None:
        use = self.meters.get(self.tier.meter) if self.tier.meter is not None else None
        return use.standing(self._limit(use)) if use is not None else None

    def _limit(self, use: MeterUse) -> MeterLimit:
        if use.reader is None:
            return MeterLimit(use.policy.visitors)
        return self.entitlements.meter_limit(use.policy, self.now)


class _RememberedSteps(NamedTuple):
    """Steps, and the moments (epoch seconds) from and until which they are true."""

    steps: tuple[NextStep, ...]
    since: float
    until: float


class StepMemory:
    """The steps of one catalogue's situations that many people share. Thread-safe: entries are only replaced."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _RememberedSteps] = {}

    def next_steps(self, asked: Situation) -> tuple[NextStep, ...]:
        """Return `next_steps` of a situation."""
        outline = asked.outline()
        if outline is None:
            return next_steps(asked)
        entry = self._entries.get(outline)
        if entry is None or not entry.since <= asked.now < entry.until:
            entry = _RememberedSteps(next_steps(asked), asked.now, asked.next_opening())
            if len(self._entries) >= MOST_REMEMBERED:
                self._entries.clear()
            self._entries[outline] = entry
        return entry.steps


def next_steps(asked: Situation) -> tuple[NextStep, ...]:
    """Return the steps that would open a locked story, in the order in which an answer lists them."""
    steps = []
    verifiable = asked.tier.sign_in is not None  # Elsewhere a verified address changes nothing.
    if asked.identity is Identity.ANONYMOUS:
        reader = asked.of_new_reader()
        if reader.is_open:
            steps.append(NextStep("sign_in", verified=False))
        elif verifiable and reader.of_verified_reader().is_open:
            steps.append(NextStep("sign_in", verified=True))
    else:
        reader = asked
        if verifiable and asked.identity is Identity.SIGNED_IN and asked.of_verified_reader().is_open:
            steps.append(NextStep("verify"))
    if plans := _plans_that_open(reader):
        steps.append(NextStep("subscribe", plans=plans))
    until = _opens_by_itself_at(asked)
    if until is not None:
        steps.append(NextStep("wait", until=until))
    return tuple(steps)


def _plans_that_open(reader: Situation) -> tuple[str, ...]:
    """Return the plans on sale that open the story, in the order of the tier's offer; none where signing in opens it."""
    tier, catalogue = reader.tier, reader.catalogue
    offer = catalogue.offer_for(tier)
    if offer is None or tier.sign_in is not None:
        return ()
    offered = [catalogue.plans[name] for name in offer.plans]
    return tuple([plan.id for plan in offered if plan.is_on_sale and not plan.seats and reader.opens_by_plan(plan)])


def _opens_by_itself_at(asked: Situation) -> int | None:
    """Return the first whole second at which the story opens if nothing happens; `None` if it never does."""
    moments = sorted({ceil(moment) for moment in asked.openings() if asked.now < moment <= LAST_SECOND})
    return next((moment for moment in moments if asked.at(moment).is_open), None)


@lru_cache(maxsize=1_024)
def _entitlements_by(features: tuple[str, ...]) -> Entitlements:
    """Return what a subscription to a plan with these features gives."""
    held = Holding(
        type="subscription",
        id="",
        plan=None,
        features=features,
        status="active",
        base=Standing.GOOD,
        reason=Reason.SUBSCRIPTION,
        start=None,
        until=None,
    )
    return Entitlements(dict.fromkeys(features, held), None)
