"""Explain access: a decision by its ID, or a reader and a story now or at another moment, and what led there.

A decision is explained from what its ID holds, with the policy that it was made by; it is not decided again. A past moment
is explained from the history of sources. Which stories a reader had read by then is not kept, so the explanation of the
meter includes only what is certain; where the meter decides and is not certain, `show` is `None`.

A story is explained as the site last described it. Nothing is guessed: a story that is not known needs a tier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from service.adapters.redis.client.keys import story_mark
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.service_state.decision_records import PolicyStore, RecordedPolicy, recorded_policy
from service.domain.catalogue import Catalogue, KnownStory, Story, Tier, TierOrigin
from service.domain.decision import Decision, DecisionStep, explain, resolve_entitlements
from service.domain.errors import UnknownDecision, UnknownStory
from service.domain.meter import MeterStanding, window_at
from service.domain.next_steps import Situation, next_steps
from service.domain.sources import Reason
from service.use_cases.access.check import AccessCheck, AccessQuestion
from service.use_cases.access.decision_ids import VALID_FOR, DecisionIds
from service.use_cases.access.reader_profile import ReaderProfiles
from service.use_cases.access.source_history import SourceHistory
from service.use_cases.access.story_memory import StoryMemory
from service.use_cases.access.story_urls import read_story_id


@dataclass(frozen=True, slots=True)
class Explanation:
    """An explained decision. `show`, `reason` and `meter` are the decision's, or `None` where a past moment is uncertain."""

    decision_id: str | None
    at: float
    reader: str | None
    visitor: str | None
    story: str
    show: Literal["full", "upsell"] | None
    reason: Reason | None
    meter: MeterStanding | None
    decision: Decision
    policy_revision: str
    steps: Sequence[DecisionStep]
    known: KnownStory | None = None
    """What the site last said of the story. `None` for a decision by its ID, and for a story that is not known."""
    origin: TierOrigin | None = None
    """Where the tier of a known story comes from; `None` where it was given with the question."""


@dataclass(frozen=True, kw_only=True)
class Explainer:
    """Explains decisions. Raises: StoreUnavailable from every method, where it needs the store."""

    catalogue: Catalogue
    access_check: AccessCheck
    readers: Readers
    profiles: ReaderProfiles
    erased: ErasedReaders
    decision_ids: DecisionIds
    policies: PolicyStore
    history: SourceHistory
    stories: StoryMemory

    def explain_decision(self, decision_id: str, now: float) -> Explanation:
        """Explain a decision by its ID. Raises: UnknownDecision if it is invalid or expired, or the reader was erased since."""
        record = self.decision_ids.open(decision_id)
        if record is None or now >= record.at + VALID_FOR:
            raise UnknownDecision
        reader, at = record.reader, record.at
        if reader is not None and self._was_erased(reader, at):
            raise UnknownDecision
        policy = self._policy(record.policy_revision)
        decision = record.decision(policy.features if policy else None)
        tier = policy.tiers.get(decision.tier) if policy else None
        steps = list(explain(decision, tier or _unknown_tier(decision)))
        if tier is None:
            steps = [_without_policy(step) for step in steps]
        steps += self.history.steps(reader, at, policy, as_then=True)
        found = self._explanation(reader, record.story, decision, at, steps, decision_id)
        return replace(found, visitor=record.visitor, policy_revision=record.policy_revision)

    def explain_access(
        self, reader: str, story: str, at: float | None, now: float, *, tier: str | None = None, verified: bool = False
    ) -> Explanation:
        """Explain what the website would be answered at a moment, or now for `None`. Nothing is counted.

        `story` is an ID, or an address by `story_url`. The story is as the site last described it; `tier` is another one.
        `verified` is what the site would say of the reader's address.

        Raises:
            InvalidFields: the story is neither.
            UnknownStory: no tier is given, and the story's is not known.
        """
        story_id = read_story_id(story, self.catalogue.story_url)
        known = self.stories.find(story_id, now)
        if tier is None and known is None:
            raise UnknownStory(story_id)
        described = known.story if known is not None else Story(story_id)
        origin = self.catalogue.tier_origin(described, now if at is None else at) if tier is None else None
        if origin is not None and origin.tier not in self.catalogue.tiers:
            raise UnknownStory(story_id, origin.tier)
        if tier is not None:
            described = replace(described, tier=tier)
        question = AccessQuestion(described, reader, count=False, verified=verified)
        found = self._explain_now(question, now) if at is None else self._explain_at(question, reader, at, now)
        return replace(found, known=known, origin=origin)

    def _explain_now(self, question: AccessQuestion, now: float) -> Explanation:
        answer = self.access_check.check(question, now)
        decision_id = self.decision_ids.seal(answer)
        steps = list(explain(answer.decision, answer.tier))
        if not answer.decision.degraded:
            steps += self.history.steps(question.reader, now)
        return self._explanation(question.reader, question.story.id, answer.decision, now, steps, decision_id)

    def _explain_at(self, question: AccessQuestion, reader: str, at: float, now: float) -> Explanation:
        """Explain another moment: a past one from history, a future one as if nothing changes.

        Both use the policy in force now, which `policy_revision` names.
        """
        name, catalogue, story = self.readers.resolve_merged(reader), self.catalogue, question.story
        sources = self.profiles.list_sources(name, at, now)
        holdings = [holding for source in sources for holding in source.holdings(catalogue)]
        held = resolve_entitlements(holdings, catalogue.features, at)
        tier = catalogue.tier_of(story, at)
        names = {tier.meter, *catalogue.later_meters(story, at)} - {None}
        policies = [policy for policy in catalogue.meters.values() if policy.name in names]
        uses = {use.policy.name: use for use in self.profiles.load_meter_uses(policies, name, at, story_mark(story.id))}
        situation = Situation(story, catalogue, at, question.identity, held, uses)
        decision = situation.decide()
        if at < int(now) and decision.meter is not None:
            return self._explain_past_meter(reader, story, tier, decision, at, now)
        if decision.show == "upsell":
            decision.next = next_steps(situation)
        steps = [*explain(decision, tier), *self.history.steps(reader, at)]
        return self._explanation(reader, story.id, decision, at, steps)

    def _explanation(
        self,
        reader: str | None,
        story: str,
        decision: Decision,
        at: float,
        steps: Sequence[DecisionStep],
        decision_id: str | None = None,
    ) -> Explanation:
        return Explanation(
            decision_id=decision_id,
            at=at,
            reader=reader,
            visitor=None,
            story=story,
            show=decision.show,
            reason=decision.reason,
            meter=decision.meter,
            decision=decision,
            policy_revision=self.catalogue.revision,
            steps=steps,
        )

    def _explain_past_meter(
        self, reader: str, story: Story, tier: Tier, decision: Decision, at: float, now: float
    ) -> Explanation:
        """Explain a decision by the meter: the use in the window until now is an upper bound of the use until then."""
        policy, meter = self.catalogue.meters[tier.meter or ""], decision.meter
        same = not policy.rolling and window_at(policy, at) == window_at(policy, now)
        used = meter.used if same and meter is not None else None
        limit = meter.limit if meter is not None else policy.readers
        certain = used is not None and used < limit
        values = {"meter": policy.name, "limit": limit, "used_at_most": used}
        verdict = "metered" if certain else "not known: what had been read by then is not kept"
        steps = [*explain(decision, tier)[:2], DecisionStep("meter", values, verdict)]
        found = self._explanation(reader, story.id, decision, at, [*steps, *self.history.steps(reader, at)])
        found = replace(found, meter=meter if used == 0 else None)
        return found if certain else replace(found, show=None, reason=None)

    def _was_erased(self, reader: str, at: float) -> bool:
        erased = self.erased.last_erased_at(reader, self.readers.resolve_merged(reader))
        # The moment of an erasure is kept in whole seconds: a decision of that second was made before it.
        return erased is not None and int(at) <= erased

    def _policy(self, revision: str) -> RecordedPolicy | None:
        if revision == self.catalogue.revision:
            return recorded_policy(self.catalogue)
        return self.policies.find(revision)


def _unknown_tier(decision: Decision) -> Tier:
    """Return a stand-in for a tier whose policy is not kept: the decision alone determines which steps there are."""
    metered = decision.meter is not None or decision.reason is Reason.SIGN_IN_REQUIRED
    by_sign_in = decision.reason in (Reason.REGISTERED, Reason.VERIFICATION_REQUIRED)
    return Tier(
        decision.tier,
        requires=() if by_sign_in else ("",),
        meter=(decision.meter.name if decision.meter else "") if metered else None,
        sign_in="verified" if by_sign_in else None,
    )


def _without_policy(step: DecisionStep) -> DecisionStep:
    """Return a step of a stand-in tier without the values that only the policy has."""
    unknown = {"requires": None, "sign_in": None} if step.step == "sign_in" else {"requires": None}
    return replace(step, values={**step.values, **unknown})
