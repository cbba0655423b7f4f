"""Check access: read the store once, decide, and count the read where needed.

The access route, the batch, the staff pages and the command line all call `AccessCheck`. The rules are in
`service.domain.decision`; this file reads what they need in one round trip and counts each read exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import structs

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.client.access import BlockingAccess, StoreAccess, commands_of_check, finish
from service.adapters.redis.client.keys import owner_mark, reader_hash
from service.adapters.redis.client.link import Command
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers import meters
from service.adapters.redis.readers.meters import MeterFrame
from service.domain.catalogue import Catalogue, Story, Tier
from service.domain.decision import (
    FOREVER,
    NO_ENTITLEMENTS,
    Decision,
    Identity,
    decide,
    decide_degraded,
    is_registered,
    is_settled,
    needs_no_store,
)
from service.domain.errors import NewerSchema, StoreUnavailable
from service.domain.meter import MeterStanding, MeterUse
from service.domain.next_steps import StepMemory
from service.domain.sources import Reason
from service.use_cases.access.check_memory import DecisionMemory, EntitlementCache, SharedDecision
from service.use_cases.access.counting import (
    NO_FACTS,
    NO_METERS,
    CountedFacts,
    NewVisitors,
    ReadCounter,
    RecentReaders,
    StoredFacts,
    StoredMeter,
)
from service.use_cases.story_passes.validation import PassClaim, PassValidator, ValidPass

# What each check makes is a `msgspec.Struct`: a frozen one costs a quarter of a dataclass that is not frozen.


class AccessQuestion(msgspec.Struct, frozen=True):
    """What the website asks. Only with `count` does an answer use a free story or an opening of a story pass.

    `token` is a story pass's link; `user_agent` is the browser that brought it, and `address` is that browser's.
    """

    story: Story
    reader: str | None = None
    visitor: str | None = None
    count: bool = True
    token: str | None = None
    user_agent: str | None = None
    address: str | None = None
    verified: bool = False
    """Whether the site has verified the reader's address."""

    @property
    def identity(self) -> Identity:
        """Return who asks."""
        if self.reader is None:
            return Identity.ANONYMOUS
        return Identity.VERIFIED if self.verified else Identity.SIGNED_IN


class AccessAnswer(msgspec.Struct, frozen=True):
    """A decision and its question. `question.reader` is the ID as asked, also after a merge into another reader."""

    question: AccessQuestion
    tier: Tier
    decision: Decision
    at: float
    shared: SharedDecision | None = None
    """The same decision where other answers share it."""


class AccessCheck:
    """Answers access questions from one store under one catalogue. Thread-safe."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        known: RecentEntitlements,
        pass_validator: PassValidator | None = None,
        new_visitors: NewVisitors | None = None,
    ) -> None:
        self.catalogue = catalogue
        self._blocking = BlockingAccess(store.link)
        self._keys = store.keys
        self._known = known
        self._pass_validator = pass_validator
        self._counter = ReadCounter(store, new_visitors or NewVisitors(store.link))
        self._entitlement_cache = EntitlementCache(catalogue)
        self._frames: dict[str, MeterFrame] = {}
        self._ageing = catalogue.ageing_tiers()
        self._next_steps = StepMemory().next_steps
        self._decisions = DecisionMemory(catalogue)
        self._holders = RecentReaders()
        """Readers whose record opened a story lately: it is read alone, and their meters only if it opens no more."""

    def check(self, question: AccessQuestion, now: float) -> AccessAnswer:
        """Answer one question. If the store is unavailable, `[failure]` decides; this method does not raise then."""
        return finish(self.answer(self._blocking, question, now))

    async def answer(self, store: StoreAccess, question: AccessQuestion, now: float) -> AccessAnswer:
        """Answer one question, as `check` does."""
        tier = self.catalogue.tier_of(question.story, now)
        try:
            return await self._decide(store, question, tier, now)
        except (StoreUnavailable, NewerSchema):
            decision = await store.in_thread(self._decide_degraded, question, tier, now)
            return AccessAnswer(question, tier, decision, now)

    def check_all(self, questions: Sequence[AccessQuestion], now: float) -> list[AccessAnswer]:
        """Answer questions of one reader and visitor, without counting; one read of the store serves all."""
        return finish(self.answer_all(self._blocking, questions, now))

    async def answer_all(
        self, store: StoreAccess, questions: Sequence[AccessQuestion], now: float
    ) -> list[AccessAnswer]:
        """Answer each question, as `check_all` does."""
        reader, visitor = questions[0].reader, questions[0].visitor
        tiers = [self.catalogue.tier_of(question.story, now) for question in questions]
        framed = [self._frames_for(q, tier, now) for q, tier in zip(questions, tiers, strict=True)]
        frames = {frame.policy.name: frame for found in framed for frame in found}
        try:
            facts = NO_FACTS
            if reader or frames or not all(needs_no_store(q.story, t) for q, t in zip(questions, tiers, strict=True)):
                facts = await self._read(store, reader, visitor, list(frames.values()), now)
            return [self._apply_rules(q, tier, facts, now) for q, tier in zip(questions, tiers, strict=True)]
        except (StoreUnavailable, NewerSchema):
            asked = zip(questions, tiers, strict=True)
            decisions = await store.in_thread(lambda: [self._decide_degraded(q, tier, now) for q, tier in asked])
            return [AccessAnswer(q, t, d, now) for q, t, d in zip(questions, tiers, decisions, strict=True)]

    async def _decide(self, store: StoreAccess, question: AccessQuestion, tier: Tier, now: float) -> AccessAnswer:
        if question.reader in self._holders and question.token is None:
            facts = await self._read(store, question.reader, None, (), now)
            if facts.entitlements.opens(tier.requires) or is_settled(question.story, tier, question.identity):
                return self._apply_rules(question, tier, facts, now)
            self._holders.discard(question.reader)
        frames = self._frames_for(question, tier, now)
        claim = None
        if question.token is not None and not is_settled(question.story, tier, question.identity):
            claim = await store.in_thread(self._pass_claim, question, question.token, now)
        if claim is None and question.reader is None and not frames and needs_no_store(question.story, tier):
            return self._apply_rules(question, tier, NO_FACTS, now)
        found = None
        if claim is None and question.count and tier.meter is not None and len(frames) == 1:
            found = await self._counter.count_at_once(store, question, frames[0])
        if isinstance(found, CountedFacts):
            return self._apply_rules(question, tier, found.facts, now, counted=found.counted)
        facts = await self._read(store, question.reader, question.visitor, frames, now, claim=claim, replies=found)
        if question.reader is not None and facts.entitlements.opens(tier.requires):
            self._holders.remember(question.reader)
        return await self._decide_and_count(store, question, tier, facts, claim, now)

    async def _decide_and_count(
        self,
        store: StoreAccess,
        question: AccessQuestion,
        tier: Tier,
        facts: StoredFacts,
        claim: PassClaim | None,
        now: float,
    ) -> AccessAnswer:
        """Decide, use an opening of the story pass or count the read if that is what opens the story, and decide again."""
        answer = self._apply_rules(question, tier, facts, now)
        story_pass = facts.story_pass
        if (
            question.count
            and claim is not None
            and story_pass is not None
            and answer.decision.source is story_pass.holding
        ):
            if await store.in_thread(self._use_pass, replace(claim, reader=facts.reader), story_pass, now):
                return answer
            facts = structs.replace(facts, story_pass=None)
            answer = self._apply_rules(question, tier, facts, now)
        meter, shared = answer.decision.meter, answer.shared
        if not question.count or meter is None or (shared is not None and shared.counts_nothing):
            return answer
        after = await self._counter.count(store, question, self._frame(meter.name, now), facts, meter, now)
        if after is not None:
            return self._apply_rules(question, tier, after.facts, now, counted=after.counted)
        if shared is not None and shared.decision.show == "upsell":
            shared.counts_nothing = question.visitor is None or facts.visitor_tally(meter.name).joined is not None
        return answer

    def _pass_claim(self, question: AccessQuestion, token: str, now: float) -> PassClaim | None:
        if self._pass_validator is None:
            return None
        return self._pass_validator.claim(
            token, question.story.id, question.reader, question.visitor, question.user_agent, now
        )

    def _use_pass(self, claim: PassClaim, story_pass: ValidPass, now: float) -> bool:
        return not story_pass.uses_opening or (
            self._pass_validator is not None and self._pass_validator.use_opening(claim, now)
        )

    async def _read(
        self,
        store: StoreAccess,
        reader: str | None,
        visitor: str | None,
        frames: Sequence[MeterFrame],
        now: float,
        *,
        claim: PassClaim | None = None,
        replies: list[Any] | None = None,
    ) -> StoredFacts:
        """Read all that a decision depends on in one round trip, if `replies` are not there yet.

        A merged reader takes one more.
        """
        commands = self._commands(reader, visitor, frames)
        story_pass = None
        if claim is not None:
            replies, story_pass = await self._read_with_pass(store, commands, claim)
        elif replies is None:
            replies = await store.read(commands)
        entitlements = NO_ENTITLEMENTS
        marks: tuple[bytes, ...] = ()
        if reader is not None:
            asked, found = reader, self._entitlement_cache.entitlements_in(replies[0], now)
            if found.alias is not None:
                reader = found.alias
                commands = self._commands(reader, visitor, frames)
                if claim is not None:
                    replies, story_pass = await self._read_with_pass(store, commands, replace(claim, reader=reader))
                else:
                    replies = await store.read(commands)
                found = self._entitlement_cache.entitlements_in(replies[0], now)
            entitlements, marks = found.entitlements, (owner_mark(reader), *found.merged_marks)
            if entitlements.held:
                self._known.note(reader_hash(reader), entitlements.held, now)
                if reader != asked:
                    self._known.note(reader_hash(asked), reader_hash(reader), now)
        of_reader = of_visitor = NO_METERS
        if frames and reader is not None:
            of_reader = self._by_meter(frames, replies, 1)
        if frames and visitor is not None:
            of_visitor = self._by_meter(frames, replies, 0 if reader is None else 1 + len(frames))
        return StoredFacts(reader, entitlements, of_reader, of_visitor, story_pass, marks)

    async def _read_with_pass(
        self, store: StoreAccess, commands: Sequence[Command], claim: PassClaim
    ) -> tuple[list[Any], ValidPass | None]:
        if self._pass_validator is None:
            return await store.read(commands), None
        *replies, found = await store.read([*commands, self._pass_validator.command(claim)])
        return replies, self._pass_validator.valid_pass(claim, found)

    def _commands(self, reader: str | None, visitor: str | None, frames: Sequence[MeterFrame]) -> Sequence[Command]:
        return commands_of_check(self._keys, reader, visitor, tuple([frame.code for frame in frames]))

    @staticmethod
    def _by_meter(frames: Sequence[MeterFrame], replies: Sequence[Any], place: int) -> dict[str, StoredMeter]:
        """Return the meters' values, which are the replies from `place` on."""
        return {frame.policy.name: (frame, replies[place + number]) for number, frame in enumerate(frames)}

    def _frames_for(self, question: AccessQuestion, tier: Tier, now: float) -> list[MeterFrame]:
        """Return the frame of the tier's meter, and then those of the meters that the story's age brings later."""
        if is_settled(question.story, tier, question.identity):
            return []
        frames = [self._frame(tier.meter, now)] if tier.meter is not None else []
        return frames + self._later_frames(question, tier, now)

    def _later_frames(self, question: AccessQuestion, tier: Tier, now: float) -> list[MeterFrame]:
        """Return the frames of the other meters that the story's age brings later."""
        if tier.name not in self._ageing:
            return []
        return [self._frame(name, now) for name in self.catalogue.later_meters(question.story, now) - {tier.meter}]

    def _apply_rules(
        self, question: AccessQuestion, tier: Tier, facts: StoredFacts, now: float, *, counted: bool = False
    ) -> AccessAnswer:
        """Answer from what was read. `counted`: this request counted the story."""
        key = None if counted else self._decisions.key(question, tier, facts, now)
        shared = self._decisions.find(key, now)
        if shared is not None:
            return AccessAnswer(question, tier, shared.decision, now, shared)
        use = self._meter_use(question, tier, facts, now)
        meter = use.standing(facts.meter_limit(use.policy, now), counted=counted) if use is not None else None
        if meter is not None and meter.opens:
            return self._apply_meter(question, tier, facts, meter, now)
        decision, until = self._decide_with(question, tier, facts, meter, now), FOREVER
        if decision.show == "upsell":
            later = self._later_frames(question, tier, now)
            situation = facts.situation(question, self.catalogue, use, later, now)
            decision.next = self._next_steps(situation)
            if facts.story_pass is not None:  # It would open the story for whoever signs in before it ends.
                changes = decision.refresh_after, facts.story_pass.holding.until
                decision.refresh_after = min((moment for moment in changes if moment is not None), default=None)
            until = situation.next_opening() if key is not None else FOREVER
        shared = self._decisions.remember(key, decision, facts.entitlements, now, until)
        return AccessAnswer(question, tier, decision, now, shared)

    def _apply_meter(
        self, question: AccessQuestion, tier: Tier, facts: StoredFacts, meter: MeterStanding, now: float
    ) -> AccessAnswer:
        """Answer where the meter opens the story, if nothing that comes before it does."""
        key = self._decisions.metered_key(question, tier, facts, meter, now)
        shared = self._decisions.find(key, now)
        decision = shared.decision if shared is not None else self._decide_with(question, tier, facts, meter, now)
        if facts.reader is None and decision.reason is Reason.METERED and not meter.seen:
            refused = self._counter.refusal(question, self._frame(meter.name, now), facts, now)
            if refused == "store_memory":
                return AccessAnswer(question, tier, self._decide_degraded(question, tier, now), now)
            if refused == "address_limit":
                as_without = self._apply_rules(structs.replace(question, visitor=None), tier, facts, now)
                return AccessAnswer(question, tier, as_without.decision, now)
        shared = shared or self._decisions.remember(key, decision, facts.entitlements, now, FOREVER)
        return AccessAnswer(question, tier, decision, now, shared)

    def _meter_use(self, question: AccessQuestion, tier: Tier, facts: StoredFacts, now: float) -> MeterUse | None:
        """Return the use of the tier's meter; `None` where it does not matter, so that it need not be unpacked."""
        if tier.meter is None or facts.entitlements.opens(tier.requires) or is_registered(tier, question.identity):
            return None
        return facts.meter_use(self._frame(tier.meter, now), question.visitor, question.story.id)

    def _decide_with(
        self, question: AccessQuestion, tier: Tier, facts: StoredFacts, meter: MeterStanding | None, now: float
    ) -> Decision:
        nobody = question.reader is None and question.visitor is None
        return decide(
            question.story,
            tier,
            facts.entitlements,
            meter,
            now=now,
            catalogue=self.catalogue,
            story_pass=facts.story_pass.holding if facts.story_pass is not None and not nobody else None,
            identity=question.identity,
        )

    def _frame(self, name: str, now: float) -> MeterFrame:
        frame = self._frames.get(name)
        if frame is None or not frame.start <= now < frame.fresh_until:
            frame = self._frames[name] = meters.frame_at(self.catalogue.meters[name], now)
        return frame

    def _decide_degraded(self, question: AccessQuestion, tier: Tier, now: float) -> Decision:
        if question.reader is None and needs_no_store(question.story, tier):
            # It is not degraded. What the visitor has read is not known, so no step rests on it.
            return self._apply_rules(structs.replace(question, visitor=None), tier, NO_FACTS, now).decision
        known = self._known.lasting(reader_hash(question.reader), now) if question.reader else ()
        identity = question.identity
        return decide_degraded(question.story, tier, known, identity=identity, catalogue=self.catalogue, now=now)
