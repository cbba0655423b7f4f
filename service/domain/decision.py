"""Entitlements and the decision: which features a reader holds, and whether they see the full story or the upsell box.

`decide` is the only place that says who can read what. It is pure: every input is an argument, `now` included. The
decision holds everything that it rests on, so that `explain` can show its steps later without deciding again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

from service.domain import meter as metering
from service.domain.catalogue import Catalogue, Story, Tier
from service.domain.sources import RANK, Holding, Reason, Standing

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Entitlements:
    """The features that a reader holds, each with the holding that keeps it longest, and when this next changes."""

    by_feature: dict[str, Holding]
    changes_at: int | None

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


def precedence(holding: Holding) -> tuple[float, int, str, str]:
    """Return a sort key, best holding first: the latest end (no end is latest), then the reason, the ID and the plan."""
    until = FOREVER if holding.until is None else holding.until
    return -until, RANK[holding.reason] if holding.reason else len(RANK), holding.id, holding.plan or ""


def resolve_entitlements(holdings: Iterable[Holding], features: Iterable[str], now: float) -> Entitlements:
    """Return the features that these holdings open at `now`, in the order of `features` (the catalogue's)."""
    best: dict[str, Holding] = {}
    ahead: list[int] = []
    for holding in holdings:
        if holding.is_active_at(now):
            for name in holding.features:
                if name not in best or precedence(holding) < precedence(best[name]):
                    best[name] = holding
        elif holding.becomes_active_after(now) and holding.start is not None:
            ahead.append(holding.start)
    ahead += [holding.until for holding in best.values() if holding.until is not None]
    held = {name: best[name] for name in features if name in best}
    return Entitlements(held, min(ahead, default=None))


NO_ENTITLEMENTS = Entitlements({}, None)

BY_SOURCES = (Reason.SUBSCRIPTION, Reason.TRIAL, Reason.GRACE, Reason.PASS, Reason.SEAT, Reason.GRANT, Reason.GIFT)
OPEN_REASONS = frozenset({Reason.FREE, *BY_SOURCES, Reason.INSTITUTION, Reason.METERED})


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision and all that it rests on. `held` is each feature held with its end; times are epoch seconds."""

    show: Literal["full", "upsell"]
    reason: Reason
    tier: str
    parts: tuple[tuple[str, bool], ...]
    held: tuple[tuple[str, int | None], ...] = ()
    source: Holding | None = None
    meter: metering.MeterStanding | None = None
    refresh_after: int | None = None
    degraded: bool = False

    @property
    def open(self) -> bool:
        """Return whether the locked parts are open. A story whose parts are all free is shown in full without that."""
        return self.reason in OPEN_REASONS or (self.degraded and self.show == "full")

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
) -> Decision:
    """Decide in this order: free, entitled, story pass, meter, locked. The first that applies is the reason.

    `meter` is `None` where the tier has no meter, or there is neither a reader nor a visitor to meter. The caller reads
    the meter first, counts the read afterwards if needed, and decides again with the meter as it is then.
    """
    if story_pass is not None and story_pass.standing_at(now) is not Standing.GOOD:
        story_pass = None
    reason, source, used = _first_reason(story, tier, entitlements, meter, story_pass)
    opened = reason in OPEN_REASONS
    parts = tuple([(part, opened or part in tier.open_parts) for part in story.parts])
    changes = [
        entitlements.changes_at,
        catalogue.tier_turns_at(story, now),
        source.until if source else None,
        used.resets_at if used else None,
    ]
    return Decision(
        show="full" if opened else "upsell",
        reason=reason,
        tier=tier.name,
        parts=parts,
        held=tuple([(name, holding.until) for name, holding in entitlements.by_feature.items()]),
        source=source,
        meter=used,
        refresh_after=_earliest(changes, now),
    )


def is_free(story: Story, tier: Tier) -> bool:
    """Return whether everyone can read it: the tier requires nothing, or every part asked about is an open part."""
    return not tier.requires or (bool(story.parts) and set(tier.open_parts).issuperset(story.parts))


def _first_reason(
    story: Story,
    tier: Tier,
    entitlements: Entitlements,
    meter: metering.MeterStanding | None,
    story_pass: Holding | None,
) -> tuple[Reason, Holding | None, metering.MeterStanding | None]:
    if is_free(story, tier):
        return Reason.FREE, None, None
    holding = entitlements.opener(tier.requires)
    if holding is not None and holding.reason is not None:
        return holding.reason, holding, None
    if story_pass is not None:
        return Reason.GIFT, story_pass, None
    if tier.meter is None:
        return Reason.NO_ENTITLEMENT, None, None
    if meter is None:
        return Reason.SIGN_IN_REQUIRED, None, None
    return (Reason.METERED if meter.opens else Reason.METER_USED_UP), None, meter


def _earliest(moments: Iterable[float | None], now: float) -> int | None:
    """Return the first whole second at which one of the future moments is reached; `None` if all are past."""
    ahead = [at for at in moments if at is not None and at > now]
    return ceil(min(ahead)) if ahead else None


def decide_degraded(
    story: Story,
    tier: Tier,
    known: tuple[tuple[str, int | None], ...],
    *,
    signed_in: bool,
    catalogue: Catalogue,
    now: float,
) -> Decision:
    """Decide while the store is unavailable: by the features seen recently, else by `[failure]`.

    `known` is each feature, with its end, of a reader who was recently seen as entitled. `[failure]` never adds features.
    """
    held = tuple((name, until) for name, until in known if until is None or now < until)
    free = is_free(story, tier)
    policy = catalogue.failure.readers if signed_in else catalogue.failure.visitors
    opened = free or policy == "full" or not {name for name, _ in held}.isdisjoint(tier.requires)
    return Decision(
        show="full" if opened else "upsell",
        reason=Reason.FREE if free else Reason.STORE_UNAVAILABLE,
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
    source = decision.source
    if decision.degraded:
        values = {"requires": list(tier.requires), "known_features": _held(decision)}
        return [*steps, DecisionStep("store", values, f"unreachable: {decision.show}")]
    if source is not None and source.type == "gift" and source.plan is None:
        story_pass = DecisionStep("pass", {"id": source.id, "until": source.until}, Reason.GIFT.value)
        return [*steps, _entitlement_step(decision, tier, None), story_pass]
    steps.append(_entitlement_step(decision, tier, source))
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
    values = {
        "meter": meter.name,
        "limit": meter.limit,
        "used": meter.used,
        "already_counted": meter.seen and not meter.counted,
        "counted": meter.counted,
        "resets_at": meter.resets_at,
    }
    return DecisionStep("meter", values, "metered" if decision.reason is Reason.METERED else "used up")
