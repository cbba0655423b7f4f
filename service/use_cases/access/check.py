"""Check access: read the store once, decide, and count the read where needed.

The access route, the batch, the staff pages and the command line all call `AccessCheck`. The rules are in
`service.domain.decision`; this file reads what they need in one round trip and counts each read exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.client.access import BlockingAccess, StoreAccess, commands_of_check, finish
from service.adapters.redis.client.keys import owner_mark, reader_hash
from service.adapters.redis.client.link import Command
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers import meters
from service.adapters.redis.readers.meters import MeterFrame
from service.adapters.redis.readers.readers import (
    CACHED_BYTES,
    HoldingsCache,
    RecordCache,
    field_pairs,
    merged_into,
    merged_marks,
)
from service.domain.catalogue import Catalogue, Story, Tier
from service.domain.decision import (
    FOREVER,
    NO_ENTITLEMENTS,
    Decision,
    Entitlements,
    Identity,
    decide,
    decide_degraded,
    is_registered,
    is_settled,
    needs_no_store,
    resolve_entitlements,
)
from service.domain.errors import NewerSchema, StoreUnavailable
from service.domain.next_steps import StepMemory
from service.domain.sources import Reason
from service.use_cases.access.counting import (
    NO_FACTS,
    CountedFacts,
    ReadCounter,
    RecentReaders,
    StoredFacts,
    StoredMeter,
)
from service.use_cases.access.new_visitors import NewVisitors
from service.use_cases.story_passes.validation import PassClaim, PassValidator, ValidPass

# These two are not frozen, because that makes each of them cost a microsecond more in each check.


@dataclass(slots=True)
class AccessQuestion:
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


@dataclass(slots=True)
class AccessAnswer:
    """A decision and its question. `question.reader` is the ID as asked, also after a merge into another reader."""

    question: AccessQuestion
    tier: Tier
    decision: Decision
    at: float


@dataclass(frozen=True, slots=True)
class ReaderEntitlements:
    """The meaning of a reader's hot record: the reader that this one was merged into, or what they hold.

    It is valid from `since` until `changes_at` (epoch seconds).
    """

    alias: str | None
    entitlements: Entitlements
    since: float
    changes_at: float
    merged_marks: tuple[bytes, ...] = ()
    """Marks of the readers merged into this one; a visitor that was joined with them counts for this reader."""


NO_READER = ReaderEntitlements(None, NO_ENTITLEMENTS, 0.0, FOREVER)


class EntitlementCache:
    """Entitlements under one catalogue, by the bytes of the reader's record. Thread-safe: entries are only replaced.

    The bytes and the moment determine the result: a changed record has other bytes, and an entry is used only until its
    next change. So an entry is never out of date.
    """

    def __init__(self, catalogue: Catalogue, most_bytes: int = CACHED_BYTES) -> None:
        self._features = tuple(catalogue.features)
        self._holdings = HoldingsCache(catalogue, most_bytes)
        self._entries = RecordCache[ReaderEntitlements](most_bytes)

    def entitlements_in(self, reply: Any, now: float) -> ReaderEntitlements:
        """Return what an HGETALL reply of a hot record means at `now`."""
        if not reply:
            return NO_READER
        record = (
            tuple(reply) if reply.__class__ is list else tuple(part for pair in field_pairs(reply) for part in pair)
        )
        entry = self._entries.get(record)
        if entry is not None and entry.since <= now < entry.changes_at:
            return entry
        return self._resolve(record, now)

    def _resolve(self, record: tuple[bytes, ...], now: float) -> ReaderEntitlements:
        entitlements = resolve_entitlements(self._holdings.holdings(record), self._features, now)
        turns = (entitlements.changes_at, entitlements.limits_change_at)
        changes_at = min((turn for turn in turns if turn is not None), default=FOREVER)
        entry = ReaderEntitlements(merged_into(record), entitlements, now, changes_at, merged_marks(record))
        self._entries.add(record, entry)
        return entry


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
        self._counter = ReadCounter(store.keys, new_visitors or NewVisitors(store.link))
        self._entitlement_cache = EntitlementCache(catalogue)
        self._frames: dict[str, MeterFrame] = {}
        self._ageing = catalogue.ageing_tiers()
        self._next_steps = StepMemory().next_steps
        self._holders = RecentReaders()
        """Readers whose record opened a story lately: it is read alone, and their meters only if it opens no more."""

    def check(self, question: AccessQuestion, now: float) -> AccessAnswer:
        """Answer one question. If the store is unavailable, `[failure]` decides; this method does not raise then."""
        return finish(self.answer(self._blocking, question, now))

    async def answer(self, store: StoreAccess, question: AccessQuestion, now: float) -> AccessAnswer:
        """Answer one question, as `check` does."""
        tier = self.catalogue.tier_of(question.story, now)
        try:
            decision = await self._decide(store, question, tier, now)
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
            decisions = [self._apply_rules(q, tier, facts, now) for q, tier in zip(questions, tiers, strict=True)]
        except (StoreUnavailable, NewerSchema):
            asked = zip(questions, tiers, strict=True)
            decisions = await store.in_thread(lambda: [self._decide_degraded(q, tier, now) for q, tier in asked])
        return [AccessAnswer(q, t, d, now) for q, t, d in zip(questions, tiers, decisions, strict=True)]

    async def _decide(self, store: StoreAccess, question: AccessQuestion, tier: Tier, now: float) -> Decision:
        frames = self._frames_for(question, tier, now)
        claim = None
        if question.token is not None and not is_settled(question.story, tier, question.identity):
            claim = await store.in_thread(self._pass_claim, question, question.token, now)
        if claim is None and question.reader is None and not frames and needs_no_store(question.story, tier):
            return self._apply_rules(question, tier, NO_FACTS, now)
        found = None
        if claim is None and question.reader in self._holders:
            facts = await self._read(store, question.reader, question.visitor, [], now)
            if facts.entitlements.opens(tier.requires):
                return self._apply_rules(question, tier, facts, now)
            self._holders.discard(question.reader)
        elif claim is None and question.count and tier.meter is not None and len(frames) == 1:
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
    ) -> Decision:
        """Decide, use an opening of the story pass or count the read if that is what opens the story, and decide again."""
        decision = self._apply_rules(question, tier, facts, now)
        story_pass = facts.story_pass
        if question.count and claim is not None and story_pass is not None and decision.source is story_pass.holding:
            if await store.in_thread(self._use_pass, replace(claim, reader=facts.reader), story_pass, now):
                return decision
            facts = replace(facts, story_pass=None)
            decision = self._apply_rules(question, tier, facts, now)
        if question.count and decision.meter is not None:
            frame = self._frame(decision.meter.name, now)
            after = await self._counter.count(store, question, frame, facts, decision.meter, now)
            if after is not None:
                return self._apply_rules(question, tier, after.facts, now, counted=after.counted)
        return decision

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
        entitlements, place, of_reader = NO_ENTITLEMENTS, 0, {}
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
            place = 1 + len(frames)
            of_reader = self._by_meter(frames, replies[1:place])
        of_visitor = self._by_meter(frames, replies[place : place + len(frames)]) if visitor is not None else {}
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
    def _by_meter(frames: Sequence[MeterFrame], values: Sequence[bytes | None]) -> dict[str, StoredMeter]:
        if len(frames) == 1:
            return {frames[0].policy.name: (frames[0], values[0])}
        return {frame.policy.name: (frame, value) for frame, value in zip(frames, values, strict=True)}

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
    ) -> Decision:
        identity = question.identity
        meter = use = None
        # An entitlement needs no meter: it is unpacked only for the others.
        if tier.meter is not None and not facts.entitlements.opens(tier.requires) and not is_registered(tier, identity):
            use = facts.meter_use(self._frame(tier.meter, now), question.visitor, question.story.id)
            meter = use.standing(facts.meter_limit(use.policy, now), counted=counted)
        nobody = question.reader is None and question.visitor is None
        story_pass = facts.story_pass.holding if facts.story_pass is not None and not nobody else None
        decision = decide(
            question.story,
            tier,
            facts.entitlements,
            meter,
            now=now,
            catalogue=self.catalogue,
            story_pass=story_pass,
            identity=identity,
        )
        if facts.reader is None and decision.reason is Reason.METERED and meter is not None and not meter.seen:
            refused = self._counter.refusal(question, self._frame(meter.name, now), facts, now)
            if refused == "store_memory":
                return self._decide_degraded(question, tier, now)
            if refused == "address_limit":  # as without a visitor
                return self._apply_rules(replace(question, visitor=None), tier, facts, now)
        if decision.show == "full":
            return decision
        later = self._later_frames(question, tier, now)
        decision.next = self._next_steps(facts.situation(question, self.catalogue, use, later, now))
        return decision

    def _frame(self, name: str, now: float) -> MeterFrame:
        frame = self._frames.get(name)
        if frame is None or not frame.start <= now < frame.fresh_until:
            frame = self._frames[name] = meters.frame_at(self.catalogue.meters[name], now)
        return frame

    def _decide_degraded(self, question: AccessQuestion, tier: Tier, now: float) -> Decision:
        if question.reader is None and needs_no_store(question.story, tier):
            # It is not degraded. What the visitor has read is not known, so no step rests on it.
            return self._apply_rules(replace(question, visitor=None), tier, NO_FACTS, now)
        known = self._known.lasting(reader_hash(question.reader), now) if question.reader else ()
        identity = question.identity
        return decide_degraded(question.story, tier, known, identity=identity, catalogue=self.catalogue, now=now)
