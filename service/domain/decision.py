"""The decision: full story or upsell box, and why. A ladder of guards, each with its reason.

`decide` is the only place that says who may read what. It is pure: everything that it weighs is passed in, `now`
included, and everything that its answer rests on is in the answer, so that the answer can be explained later without
being worked out anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal

from service.domain import meter as metering
from service.domain.catalogue import Catalogue, Story, Tier
from service.domain.entitlements import Entitlements
from service.domain.holdings import Holding, Reason, Standing

OPEN_REASONS = frozenset(
    {
        Reason.FREE,
        Reason.SUBSCRIPTION,
        Reason.TRIAL,
        Reason.GRACE,
        Reason.PASS,
        Reason.SEAT,
        Reason.GRANT,
        Reason.GIFT,
        Reason.INSTITUTION,
        Reason.METERED,
    }
)


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer. `held` are the features held, each with its end; times are epoch seconds."""

    show: Literal["full", "upsell"]
    reason: Reason
    tier: str
    parts: tuple[tuple[str, bool], ...]
    held: tuple[tuple[str, int | None], ...] = ()
    source: Holding | None = None
    meter: metering.Standing | None = None
    refresh_after: int | None = None
    degraded: bool = False

    @property
    def open(self) -> bool:
        """Whether the locked parts were opened (a story may be shown in full without that: all its parts are free)."""
        return self.reason in OPEN_REASONS or (self.degraded and self.show == "full")


def decide(
    story: Story,
    tier: Tier,
    entitlements: Entitlements,
    meter: metering.Standing | None,
    *,
    now: float,
    catalogue: Catalogue,
    story_pass: Holding | None = None,
) -> Decision:
    """Free, else entitled, else a story pass, else the meter, else locked.

    `meter` is `None` where nobody can be metered, or the tier has no meter. The caller reads it before it asks; whether
    this read is to be counted is the caller's business, and goes into the answer by `counted`.
    """
    if story_pass is not None and story_pass.standing_at(now) is not Standing.GOOD:
        story_pass = None
    reason, source, used = _climb(story, tier, entitlements, meter, story_pass)
    opened = reason in OPEN_REASONS
    parts = tuple((part, opened or part in tier.open_parts) for part in story.parts)
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
        held=tuple((name, holding.until) for name, holding in entitlements.by_feature.items()),
        source=source,
        meter=used,
        refresh_after=_earliest(changes, now),
    )


def is_free(story: Story, tier: Tier) -> bool:
    """Nothing is required, or every part asked about is open to everybody: no reader, no meter is looked at."""
    return not tier.requires or (bool(story.parts) and all(part in tier.open_parts for part in story.parts))


def _climb(
    story: Story,
    tier: Tier,
    entitlements: Entitlements,
    meter: metering.Standing | None,
    story_pass: Holding | None,
) -> tuple[Reason, Holding | None, metering.Standing | None]:
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
    """The first whole second at which one of these moments is reached that are still ahead; `None`: none is."""
    return min((ceil(at) for at in moments if at is not None and at > now), default=None)


def counted(decision: Decision, meter: metering.Standing) -> Decision:
    """The same answer after its read was counted."""
    ahead = [at for at in (decision.refresh_after, meter.resets_at) if at is not None]
    return replace(decision, meter=replace(meter, counted=True), refresh_after=min(ahead, default=None))


def decide_degraded(
    story: Story,
    tier: Tier,
    known: tuple[tuple[str, int | None], ...],
    *,
    signed_in: bool,
    catalogue: Catalogue,
    now: float,
) -> Decision:
    """The answer while the store cannot be reached: what was known, else what `[failure]` says.

    `known` are the features (with their ends) of a reader seen as entitled lately; they never come from `[failure]`.
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


Step = Mapping[str, Any]


def explain(decision: Decision, tier: Tier) -> list[Step]:
    """The ladder as it was climbed: `[{"step", "values", "verdict"}]`, from the answer's own figures alone."""
    steps = [_free_step(decision, tier)]
    if decision.reason is Reason.FREE:
        return steps
    if decision.degraded:
        return [*steps, _store_step(decision, tier)]
    by_pass = decision.source is not None and _is_story_pass(decision.source)
    steps.append(_entitlement_step(decision, tier, None if by_pass else decision.source))
    if decision.source is not None:
        return [*steps, _pass_step(decision.source)] if by_pass else steps
    if tier.meter is not None:
        steps.append(_meter_step(decision, tier.meter))
    if decision.reason not in OPEN_REASONS:
        steps.append(_step("locked", {}, decision.reason.value))
    return steps


def _step(name: str, values: dict[str, Any], verdict: str) -> Step:
    return {"step": name, "values": values, "verdict": verdict}


def _is_story_pass(source: Holding) -> bool:
    return source.type == "gift" and source.plan is None


def _free_step(decision: Decision, tier: Tier) -> Step:
    values = {
        "tier": tier.name,
        "requires": list(tier.requires),
        "open_parts": list(tier.open_parts),
        "parts": [part for part, _ in decision.parts],
    }
    return _step("free", values, "free" if decision.reason is Reason.FREE else "not free")


def _held(decision: Decision) -> list[dict[str, Any]]:
    return [{"feature": name, "until": until} for name, until in decision.held]


def _store_step(decision: Decision, tier: Tier) -> Step:
    values = {"requires": list(tier.requires), "known_features": _held(decision)}
    return _step("store", values, f"unreachable: {decision.show}")


def _entitlement_step(decision: Decision, tier: Tier, source: Holding | None) -> Step:
    values = {
        "requires": list(tier.requires),
        "held": _held(decision),
        "source": source.key if source else None,
        "plan": source.plan if source else None,
        "until": source.until if source else None,
    }
    return _step("entitlement", values, decision.reason.value if source else "none opens it")


def _pass_step(story_pass: Holding) -> Step:
    return _step("pass", {"id": story_pass.id, "until": story_pass.until}, Reason.GIFT.value)


def _meter_step(decision: Decision, name: str) -> Step:
    meter = decision.meter
    if meter is None:
        return _step("meter", {"meter": name}, "nobody to meter")
    values = {
        "meter": meter.name,
        "limit": meter.limit,
        "used": meter.used,
        "already_counted": meter.seen and not meter.counted,
        "counted": meter.counted,
        "resets_at": meter.resets_at,
    }
    return _step("meter", values, "metered" if decision.reason is Reason.METERED else "used up")
