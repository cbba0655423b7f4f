"""Entitlements and the decision: which features a reader holds, and whether they see the full story or the upsell box.

`decide` is the only place that says who can read what. It is pure: every input is an argument, `now` included. The
decision holds everything that it rests on, so that `explain` can show its steps later without deciding again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from math import ceil
from typing import Any, Literal, NamedTuple

from service.domain import meter as metering
from service.domain.catalogue import Catalogue, MeterPolicy, Story, Tier
from service.domain.sources import RANK, Holding, Reason, Standing

FOREVER = float("inf")

Shown = Literal["full", "upsell"]
Held = tuple[tuple[str, int | None], ...]
"""Features, each with its end (epoch seconds; `None`: no end)."""


class Identity(IntEnum):
    """Who asks, by the site's word: the higher ones include the lower ones."""

    ANONYMOUS = 0
    SIGNED_IN = 1
    VERIFIED = 2
    """Signed in, and the site has verified the reader's address."""


LEAST_IDENTITY: Mapping[str, Identity] = {"any": Identity.SIGNED_IN, "verified": Identity.VERIFIED}
"""A tier's `sign_in` → the least identity that opens it."""


@dataclass(frozen=True, slots=True)
class Entitlements:
    """The features that a reader holds, each with the holding that keeps it longest, and when this next changes."""

    by_feature: dict[str, Holding]
    changes_at: int | None
    holdings: tuple[Holding, ...] = field(default=(), compare=False)
    """Those that are active now or later, from which a later moment can be resolved."""
    limits_change_at: int | None = field(default=None, compare=False)
    """When a plan that has limits of meters next begins or ends."""
    held: Held = field(init=False, compare=False)
    """Each feature with its end."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "held", tuple((name, holding.until) for name, holding in self.by_feature.items()))

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(self.by_feature)

    def opens(self, requires: Sequence[str]) -> bool:
        return not self.by_feature.keys().isdisjoint(requires)

    def opener(self, requires: Sequence[str]) -> Holding | None:
        """Return the best of the holdings that include any of `requires` (see `precedence`); `None` if there is none."""
        found = [self.by_feature[name] for name in requires if name in self.by_feature]
        if len(found) < 2:
            return found[0] if found else None
        return min(found, key=precedence)

    def meter_limit(self, policy: MeterPolicy, now: float) -> metering.MeterLimit:
        """Return the highest of the readers' limit and those of the plans held; of equal ones, what lasts longest."""
        if not any(holding.meters for holding in self.holdings):
            return metering.MeterLimit(policy.readers)
        best, stories = None, policy.readers
        limits = [(holding, dict(holding.meters).get(policy.name, 0)) for holding in self.holdings]
        for holding, limit in limits:
            higher = limit > stories or (
                limit == stories and best is not None and precedence(holding) < precedence(best)
            )
            if higher and holding.is_active_at(now):
                best, stories = holding, limit
        # Of the holdings that begin later, those with a higher limit change it.
        turns = [holding.start for holding, limit in limits if limit > stories] + [best.until if best else None]
        ahead = min((turn for turn in turns if turn is not None), default=None)
        return metering.MeterLimit(stories, best.plan if best else None, ahead)


def precedence(holding: Holding) -> tuple[float, int, str, str]:
    """Return a sort key, best holding first: the latest end (no end is latest), then the reason, the ID and the plan."""
    until = FOREVER if holding.until is None else holding.until
    return -until, RANK[holding.reason] if holding.reason else len(RANK), holding.id, holding.plan or ""


def resolve_entitlements(holdings: Iterable[Holding], features: Iterable[str], now: float) -> Entitlements:
    """Return what these holdings give at `now`; the features are in the order of `features` (the catalogue's)."""
    best: dict[str, Holding] = {}
    ahead: list[int] = []
    lasting: list[Holding] = []
    limited: list[int] = []
    for holding in holdings:
        turn: int | None = None
        if holding.is_active_at(now):
            turn = holding.until
            for name in holding.features:
                if name not in best or precedence(holding) < precedence(best[name]):
                    best[name] = holding
        elif holding.becomes_active_after(now) and holding.start is not None:
            turn = holding.start
            if holding.features:
                ahead.append(turn)
        else:
            continue
        lasting.append(holding)
        if holding.meters and turn is not None:
            limited.append(turn)
    ahead += [holding.until for holding in best.values() if holding.until is not None]
    held = {name: best[name] for name in features if name in best}
    return Entitlements(held, min(ahead, default=None), tuple(lasting), min(limited, default=None))


NO_ENTITLEMENTS = Entitlements({}, None)

BY_SOURCES = (Reason.SUBSCRIPTION, Reason.TRIAL, Reason.GRACE, Reason.PASS, Reason.SEAT, Reason.GRANT, Reason.GIFT)
OPEN_REASONS = frozenset({Reason.FREE, Reason.REGISTERED, *BY_SOURCES, Reason.INSTITUTION, Reason.METERED})


class NextStep(NamedTuple):
    """One step that would open a locked story by itself; only the field of its own step is set.

    `sign_in` says whether the address has to be `verified`, `subscribe` names the `plans`, and `wait` ends at `until`
    (epoch seconds). `service.domain.next_steps` finds them.
    """

    step: Literal["sign_in", "verify", "subscribe", "wait"]
    verified: bool | None = None
    plans: tuple[str, ...] | None = None
    until: int | None = None


@dataclass(slots=True)
class Decision:
    """One decision and all that it rests on. `held` is each feature held with its end; times are epoch seconds.

    It is not frozen, because that makes each access check cost more. Only whoever decides adds `next`.
    """

    show: Shown
    reason: Reason
    tier: str
    parts: tuple[tuple[str, bool], ...]
    held: Held = ()
    source: Holding | None = None
    meter: metering.MeterStanding | None = None
    refresh_after: int | None = None
    degraded: bool = False
    next: tuple[NextStep, ...] = ()

    @property
    def until(self) -> int | None:
        """Return when the source that opens the story ends; `None`: no source opens it, or it has no end."""
        return self.source.until if self.source is not None else None


def decide(
    story: Story,
    tier: Tier,
    entitlements: Entitlements,
    meter: metering.MeterStanding | None,
    *,
    now: float,
    catalogue: Catalogue,
    story_pass: Holding | None = None,
    identity: Identity = Identity.ANONYMOUS,
) -> Decision:
    """Decide in this order: free, registered, entitled, story pass, meter, locked. The first that applies is the reason.

    `meter` is `None` where the tier has no meter, or there is neither a reader nor a visitor to meter. The caller reads
    the meter first, counts the read afterwards if needed, and decides again with the meter as it is then. The caller
    also adds the steps of `Decision.next`, which `service.domain.next_steps` finds.
    """
    if story_pass is not None and story_pass.standing_at(now) is not Standing.GOOD:
        story_pass = None
    reason, source, used = find_reason(story, tier, entitlements, meter, story_pass, identity=identity)
    opened = reason in OPEN_REASONS
    parts = tuple([(part, opened or part in tier.open_parts) for part in story.parts])
    changes = [
        entitlements.changes_at,
        catalogue.tier_turns_at(story, now),
        source.until if source else None,
        used.resets_at if used else None,
        used.changes_at if used else None,
    ]
    show: Shown = "full" if opened else "upsell"
    return Decision(show, reason, tier.name, parts, entitlements.held, source, used, _earliest(changes, now))


def is_free(story: Story, tier: Tier) -> bool:
    """Return whether everyone can read it: the tier requires nothing, or every part asked about is an open part."""
    if not tier.requires and tier.sign_in is None:
        return True
    for part in story.parts:
        if part not in tier.open_parts:
            return False
    return bool(story.parts)


def is_registered(tier: Tier, identity: Identity) -> bool:
    """Return whether signing in alone opens the tier. It never opens one that requires a feature."""
    return tier.sign_in is not None and not tier.requires and identity >= LEAST_IDENTITY[tier.sign_in]


def is_settled(story: Story, tier: Tier, identity: Identity) -> bool:
    """Return whether neither an entitlement nor a meter is needed: the story is free, or signing in has opened it."""
    return is_free(story, tier) or is_registered(tier, identity)


def needs_no_store(story: Story, tier: Tier) -> bool:
    """Return whether no meter and no entitlement decides, so that only a story pass would need the store."""
    return is_free(story, tier) or (tier.sign_in is not None and tier.meter is None)


def find_reason(
    story: Story,
    tier: Tier,
    entitlements: Entitlements,
    meter: metering.MeterStanding | None,
    story_pass: Holding | None,
    *,
    identity: Identity,
) -> tuple[Reason, Holding | None, metering.MeterStanding | None]:
    """Return the first reason of the ladder that applies, with the source and the meter that it rests on."""
    if is_free(story, tier):
        return Reason.FREE, None, None
    if is_registered(tier, identity):
        return Reason.REGISTERED, None, None
    holding = entitlements.opener(tier.requires)
    if holding is not None and holding.reason is not None:
        return holding.reason, holding, None
    if story_pass is not None:
        return Reason.GIFT, story_pass, None
    if tier.meter is None:
        return _locked_without_meter(tier, identity), None, None
    if meter is None:
        return Reason.SIGN_IN_REQUIRED, None, None
    return (Reason.METERED if meter.opens else Reason.METER_USED_UP), None, meter


def _locked_without_meter(tier: Tier, identity: Identity) -> Reason:
    if tier.sign_in is None:
        return Reason.NO_ENTITLEMENT
    return Reason.SIGN_IN_REQUIRED if identity is Identity.ANONYMOUS else Reason.VERIFICATION_REQUIRED


def _earliest(moments: Iterable[float | None], now: float) -> int | None:
    """Return the first whole second at which one of the future moments is reached; `None` if all are past."""
    first = None
    for at in moments:
        if at is not None and now < at and (first is None or at < first):
            first = at
    return None if first is None else ceil(first)


def decide_degraded(
    story: Story,
    tier: Tier,
    known: Held,
    *,
    identity: Identity,
    catalogue: Catalogue,
    now: float,
) -> Decision:
    """Decide while the store is unavailable: by what needs no store, the features seen recently, else by `[failure]`.

    `known` is each feature, with its end, of a reader who was recently seen as entitled. `[failure]` never adds features.
    """
    held = tuple((name, until) for name, until in known if until is None or now < until)
    if is_free(story, tier):
        reason, opened = Reason.FREE, True
    elif is_registered(tier, identity):
        reason, opened = Reason.REGISTERED, True
    elif needs_no_store(story, tier):
        reason, opened = _locked_without_meter(tier, identity), False
    else:
        policy = catalogue.failure.visitors if identity is Identity.ANONYMOUS else catalogue.failure.readers
        reason = Reason.STORE_UNAVAILABLE
        opened = policy == "full" or not {name for name, _ in held}.isdisjoint(tier.requires)
    return Decision(
        show="full" if opened else "upsell",
        reason=reason,
        tier=tier.name,
        parts=tuple((part, opened or part in tier.open_parts) for part in story.parts),
        held=held,
        refresh_after=_earliest([catalogue.tier_turns_at(story, now), *(until for _, until in held)], now),
        degraded=True,
    )


@dataclass(frozen=True, slots=True)
class DecisionStep:
    """One step of an explanation: which rule, the values it compared, and its verdict. Moments are epoch seconds."""

    step: str
    values: Mapping[str, Any]
    verdict: str


def explain(decision: Decision, tier: Tier) -> list[DecisionStep]:
    """Return the steps that led to a decision, in order, from the decision alone."""
    steps = [_free_step(decision, tier)]
    if decision.reason is Reason.FREE:
        return steps
    if tier.sign_in is not None:
        steps.append(_sign_in_step(decision, tier))
    if decision.reason is Reason.REGISTERED:
        return steps
    source = decision.source
    if decision.reason is Reason.STORE_UNAVAILABLE:
        values = {"requires": list(tier.requires), "known_features": _held(decision)}
        return [*steps, DecisionStep("store", values, f"unreachable: {decision.show}")]
    by_pass = source is not None and source.type == "gift" and source.plan is None
    if tier.requires:
        steps.append(_entitlement_step(decision, tier, None if by_pass else source))
    if by_pass and source is not None:
        steps.append(DecisionStep("pass", {"id": source.id, "until": source.until}, Reason.GIFT.value))
    if source is not None:
        return steps
    if tier.meter is not None:
        steps.append(_meter_step(decision, tier.meter))
    if decision.reason not in OPEN_REASONS:
        steps.append(DecisionStep("locked", {}, decision.reason.value))
    return steps


def _free_step(decision: Decision, tier: Tier) -> DecisionStep:
    values = {
        "tier": tier.name,
        "requires": list(tier.requires),
        "open_parts": list(tier.open_parts),
        "parts": [part for part, _ in decision.parts],
    }
    return DecisionStep("free", values, "free" if decision.reason is Reason.FREE else "not free")


def _sign_in_step(decision: Decision, tier: Tier) -> DecisionStep:
    if decision.reason is Reason.REGISTERED:
        verdict = Reason.REGISTERED.value
    elif decision.reason is Reason.VERIFICATION_REQUIRED:
        verdict = "signed in, the address is not verified"
    elif decision.reason is Reason.SIGN_IN_REQUIRED or tier.sign_in == "any":
        verdict = "not signed in"
    else:
        verdict = "not signed in with a verified address"
    return DecisionStep("sign_in", {"sign_in": tier.sign_in}, verdict)


def _held(decision: Decision) -> list[dict[str, Any]]:
    return [{"feature": name, "until": until} for name, until in decision.held]


def _entitlement_step(decision: Decision, tier: Tier, source: Holding | None) -> DecisionStep:
    values = {
        "requires": list(tier.requires),
        "held": _held(decision),
        "source": source.key if source else None,
        "plan": source.plan if source else None,
        "until": source.until if source else None,
    }
    return DecisionStep("entitlement", values, decision.reason.value if source else "none opens it")


def _meter_step(decision: Decision, name: str) -> DecisionStep:
    meter = decision.meter
    if meter is None:
        return DecisionStep("meter", {"meter": name}, "nobody to meter")
    values: dict[str, Any] = {
        "meter": meter.name,
        "limit": meter.limit,
        "used": meter.used,
        "already_counted": meter.seen and not meter.counted,
        "counted": meter.counted,
        "resets_at": meter.resets_at,
    }
    if meter.plan is not None:
        values["plan"] = meter.plan
    return DecisionStep("meter", values, "metered" if decision.reason is Reason.METERED else "used up")
