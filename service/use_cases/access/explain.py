"""Why: a decision as it was made, a reader and a story now or at a past moment, and what led there.

A decision is told from the figures sealed in its id, in the words of the policy that it was made by; nothing is worked out
anew. A past moment is told from the history of sources. What stories somebody had read by then is not kept, so the meter
is told only as far as it is certain; where it decides and is not certain, the answer says so (`show` is then `None`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from service.adapters.redis.client.keys import reader_hash, story_mark
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers import meters
from service.adapters.redis.readers.history import ReaderHistory
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.service_state.decision_records import PolicyStore, RecordedPolicy, recorded_policy
from service.domain import meter as metering
from service.domain.catalogue import Catalogue, MeterPolicy, Story, Tier
from service.domain.decision import Decision, Step, decide, explain, resolve_entitlements
from service.domain.errors import UnknownDecision
from service.domain.meter import MeterStanding
from service.domain.sources import Holding, Reason, Standing
from service.use_cases.access.causes import Traces
from service.use_cases.access.check import Desk, Question
from service.use_cases.access.decision_ids import KEPT, DecisionIds


@dataclass(frozen=True, slots=True)
class Told:
    """A decision, told. `show` and `reason` are `None` where a past moment cannot be told for certain."""

    decision_id: str | None
    at: float
    reader: str | None
    visitor: str | None
    story: str
    tier: str
    show: Literal["full", "upsell"] | None
    reason: Reason | None
    decision: Decision
    meter: MeterStanding | None
    policy_revision: str
    steps: Sequence[Step]


class Why:
    """Tells decisions. Every method raises `StoreUnavailable` where the store is needed and away."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        desk: Desk,
        readers: Readers,
        *,
        decision_ids: DecisionIds,
        policies: PolicyStore,
        traces: Traces,
    ) -> None:
        self._catalogue = catalogue
        self._link = store.link
        self._desk = desk
        self._readers = readers
        self._past = ReaderHistory(store)
        self._ids = decision_ids
        self._policies = policies
        self._traces = traces

    def decision(self, decision_id: str, now: float) -> Told:
        """Return what was answered then. Raises: `UnknownDecision`, also if it is too old or of an erased reader."""
        values = self._ids.open(decision_id)
        if values is None:
            raise UnknownDecision
        at, revision, reader = values[1], values[2], values[3]
        if now >= at + KEPT or (reader is not None and self._erased(reader, at)):
            raise UnknownDecision
        policy = self._policy(revision)
        decision = _decision(values, policy)
        tier = policy.tiers.get(decision.tier) if policy else None
        steps = list(explain(decision, tier or _unknown(decision)))
        if tier is None:
            steps = [{**step, "values": {**step["values"], "requires": None}} for step in steps]
        return Told(
            decision_id=decision_id,
            at=at,
            reader=reader,
            visitor=values[4],
            story=values[5],
            tier=decision.tier,
            show=decision.show,
            reason=decision.reason,
            decision=decision,
            meter=decision.meter,
            policy_revision=revision,
            steps=[*steps, *self._traces.steps(reader, at, policy, as_then=True)],
        )

    def now(self, reader: str, story: Story, now: float) -> Told:
        """What the website would be answered now; nothing is counted."""
        answer = self._desk.ask(Question(story, reader, count=False), now)
        sealed = self._ids.seal(answer)
        steps = list(explain(answer.decision, answer.tier))
        if not answer.decision.degraded:
            steps += self._traces.steps(reader, now)
        return self._told(reader, story, answer.decision, now, steps, decision_id=sealed)

    def explain(self, reader: str, story: Story, at: float | None, now: float) -> Told:
        """Explain what the website would be answered at a moment, or now for `None`."""
        return self.now(reader, story, now) if at is None else self.at(reader, story, at, now)

    def at(self, reader: str, story: Story, at: float, now: float) -> Told:
        """The same at another moment: a past one as it stood, a future one if nothing changes.

        Under the policy in force now, which `policy_revision` names.
        """
        name = self._readers.resolve_merged(reader)
        past = at < int(now)
        if past:
            sources = self._past.sources_at(name, at)
        else:
            sources = [kept.source for kept in self._readers.load_all(name) if kept.source is not None]
        holdings = [holding for source in sources for holding in source.holdings(self._catalogue)]
        held = resolve_entitlements(holdings, self._catalogue.features, at)
        tier = self._catalogue.tier_of(story, at)
        meter = self._standing(self._catalogue.meters[tier.meter], name, story, at) if tier.meter else None
        decision = decide(story, tier, held, meter, now=at, catalogue=self._catalogue)
        if past and decision.meter is not None:
            return self._past_meter(reader, story, tier, decision, at, now)
        return self._told(reader, story, decision, at, [*explain(decision, tier), *self._traces.steps(reader, at)])

    def _told(
        self,
        reader: str,
        story: Story,
        decision: Decision,
        at: float,
        steps: Sequence[Step],
        decision_id: str | None = None,
    ) -> Told:
        return Told(
            decision_id=decision_id,
            at=at,
            reader=reader,
            visitor=None,
            story=story.id,
            tier=decision.tier,
            show=decision.show,
            reason=decision.reason,
            decision=decision,
            meter=decision.meter,
            policy_revision=self._catalogue.revision,
            steps=steps,
        )

    def _past_meter(self, reader: str, story: Story, tier: Tier, decision: Decision, at: float, now: float) -> Told:
        """Where the meter decides: what had been read by then is at most what has been read in that window since."""
        policy = self._catalogue.meters[tier.meter or ""]
        meter = decision.meter
        same = not policy.rolling and metering.window_at(policy, at) == metering.window_at(policy, now)
        certain = same and meter is not None and meter.used < meter.limit
        values: dict[str, Any] = {"meter": policy.name, "limit": policy.readers}
        values["used_at_most"] = meter.used if same and meter is not None else None
        verdict = "metered" if certain else "not known: what had been read by then is not kept"
        steps = [*explain(decision, tier)[:2], {"step": "meter", "values": values, "verdict": verdict}]
        told = self._told(reader, story, decision, at, [*steps, *self._traces.steps(reader, at)])
        none_read = same and meter is not None and meter.used == 0
        known = replace(told, meter=meter if none_read else None)
        return known if certain else replace(known, show=None, reason=None)

    def _standing(self, policy: MeterPolicy, reader: str, story: Story, at: float) -> MeterStanding:
        frame = meters.frame_at(policy, at)
        key = self._readers.keys.reader_meter(reader_hash(reader), frame.code)
        (value,) = self._link.read([(key, (b"GET", key))])
        tally = meters.unpack(frame, value)
        return metering.meter_standing(policy, policy.readers, tally.read, story_mark(story.id), frame.window)

    def _erased(self, reader: str, at: float) -> bool:
        erased = self._readers.erased_at(reader, self._readers.resolve_merged(reader))
        # The moment of an erasure is kept in whole seconds: what was answered within that second was answered before it.
        return erased is not None and int(at) <= erased

    def _policy(self, revision: str) -> RecordedPolicy | None:
        if revision == self._catalogue.revision:
            return recorded_policy(self._catalogue)
        return self._policies.find(revision)


def _decision(values: Sequence[Any], policy: RecordedPolicy | None) -> Decision:
    """The decision of an id's figures (`decision_ids.figures` has their order)."""
    show, reason, tier, parts, held, source, meter, refresh_after, degraded = values[6:15]
    return Decision(
        show=show,
        reason=Reason(reason),
        tier=tier,
        parts=tuple((part, bool(opened)) for part, opened in parts),
        held=tuple((_feature(name, policy), until) for name, until in held),
        source=_source(source, Reason(reason)) if source else None,
        meter=_meter(meter) if meter else None,
        refresh_after=refresh_after,
        degraded=bool(degraded),
    )


def _feature(place: int | str, policy: RecordedPolicy | None) -> str:
    if isinstance(place, str):
        return place
    return policy.features[place] if policy else f"feature {place}"


def _source(values: Sequence[Any], reason: Reason) -> Holding:
    kind, source_id, plan, until = values
    return Holding(kind, source_id, plan, (), "", Standing.GOOD, reason, None, until)


def _meter(values: Sequence[Any]) -> MeterStanding:
    name, limit, used, seen, was_counted, resets_at = values
    return MeterStanding(name, limit, used, bool(seen), resets_at, bool(was_counted))


def _unknown(decision: Decision) -> Tier:
    """Stands in for a tier whose policy was never kept: the ladder's shape is known from the figures alone."""
    metered = decision.meter is not None or decision.reason is Reason.SIGN_IN_REQUIRED
    return Tier(decision.tier, meter=(decision.meter.name if decision.meter else "") if metered else None)
