"""The desk where a question is answered: read the store once, decide, count if need be.

Every surface asks here: the hot route, the batch, the page, the command line. The rules are `service.domain`'s; the desk
only brings them what they weigh, in one wait, and sees to it that a counted read is counted exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.adapters.recent_entitlements import Known
from service.adapters.redis.client.keys import owner_mark, reader_hash, story_mark, visitor_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers import meters
from service.adapters.redis.readers.meters import MeterFrame
from service.adapters.redis.readers.readers import Command, Readers
from service.domain import meter as metering
from service.domain.catalogue import Catalogue, Story, Tier
from service.domain.decision import (
    NO_ENTITLEMENTS,
    Decision,
    Entitlements,
    decide,
    decide_degraded,
    is_free,
    mark_counted,
)
from service.domain.errors import NewerSchema, StoreUnavailable
from service.domain.meter import EMPTY_TALLY, Tally
from service.use_cases.access.entitlement_cache import Holders
from service.use_cases.story_passes.validation import Entry, Gate, Ticket


@dataclass(frozen=True, slots=True)
class Question:
    """What the website asks. `count` spends a free story where one is needed; without it nothing ever changes.

    `token` is a story pass's link, `user_agent` who brought it.
    """

    story: Story
    reader: str | None = None
    visitor: str | None = None
    count: bool = True
    token: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision with what it was asked about; `reader` is as asked, also where it was merged into another."""

    question: Question
    tier: Tier
    decision: Decision
    at: float


Metered = tuple[MeterFrame, bytes | None]
"""A meter as the store keeps it, and the frame to read it in."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store said about who asks: the reader as it is answered, its entitlements, the meters, a story pass."""

    reader: str | None
    entitlements: Entitlements
    readers: Mapping[str, Metered]
    visitors: Mapping[str, Metered]
    entry: Entry | None = None
    marks: tuple[bytes, ...] = ()
    """What visitors carry that have joined the reader, or one that was merged into it."""

    def of_reader(self, meter: str) -> Tally:
        """What the reader has read by this meter."""
        found = self.readers.get(meter)
        return meters.unpack(*found) if found is not None else EMPTY_TALLY

    def of_visitor(self, meter: str) -> Tally:
        """What the visitor has read by this meter."""
        found = self.visitors.get(meter)
        return meters.unpack(*found) if found is not None else EMPTY_TALLY


class Desk:
    """Answers questions from one store under one catalogue. Thread-safe."""

    def __init__(
        self, catalogue: Catalogue, store: Store, readers: Readers, known: Known, gate: Gate | None = None
    ) -> None:
        self.catalogue = catalogue
        self._store = store
        self._link = store.link
        self._readers = readers
        self._keys = store.keys
        self._known = known
        self._gate = gate
        self._holders = Holders(catalogue)
        self._frames: dict[str, MeterFrame] = {}

    def ask(self, question: Question, now: float) -> Answer:
        """One answer. Never raises for a store that is away: `[failure]` says what is shown then."""
        tier = self.catalogue.tier_of(question.story, now)
        try:
            decision = self._decide(question, tier, now)
        except (StoreUnavailable, NewerSchema):
            decision = self._degraded(question, tier, now)
        return Answer(question, tier, decision, now)

    def ask_all(self, stories: Sequence[Story], reader: str | None, visitor: str | None, now: float) -> list[Answer]:
        """An answer for each story, as if asked alone without counting; the store is read once for all of them."""
        questions = [Question(story, reader, visitor, count=False) for story in stories]
        tiers = [self.catalogue.tier_of(story, now) for story in stories]
        metered = dict.fromkeys(tier.meter for tier in tiers if tier.meter)
        needed = reader is not None or not all(map(is_free, stories, tiers))
        try:
            frames = [self._frame(name, now) for name in metered]
            seen = self._look(reader, visitor, frames, now) if needed else Seen(None, NO_ENTITLEMENTS, {}, {})
            decisions = [self._weigh(q, tier, seen, now) for q, tier in zip(questions, tiers, strict=True)]
        except (StoreUnavailable, NewerSchema):
            decisions = [self._degraded(q, tier, now) for q, tier in zip(questions, tiers, strict=True)]
        return [Answer(q, t, d, now) for q, t, d in zip(questions, tiers, decisions, strict=True)]

    def _decide(self, question: Question, tier: Tier, now: float) -> Decision:
        free = is_free(question.story, tier)
        frames = [] if free or tier.meter is None else [self._frame(tier.meter, now)]
        ticket = None if question.token is None or free else self._ticket(question, question.token, now)
        if question.reader is None and free:
            return decide(question.story, tier, NO_ENTITLEMENTS, None, now=now, catalogue=self.catalogue)
        seen = self._look(question.reader, question.visitor, frames, now, ticket)
        decision = self._weigh(question, tier, seen, now)
        if question.count and ticket is not None and seen.entry is not None and decision.source is seen.entry.holding:
            if self._let_in(replace(ticket, reader=seen.reader), seen.entry, now):
                return decision
            seen = replace(seen, entry=None)
            decision = self._weigh(question, tier, seen, now)
        if question.count and decision.meter is not None and frames:
            return self._count(question, tier, frames[0], seen, decision, now)
        return decision

    def _ticket(self, question: Question, token: str, now: float) -> Ticket | None:
        if self._gate is None:
            return None
        return self._gate.ticket(token, question.story.id, question.reader, question.visitor, question.user_agent, now)

    def _let_in(self, ticket: Ticket, entry: Entry, now: float) -> bool:
        return not entry.writes or (self._gate is not None and self._gate.open(ticket, now))

    def _look(
        self,
        reader: str | None,
        visitor: str | None,
        frames: Sequence[MeterFrame],
        now: float,
        ticket: Ticket | None = None,
    ) -> Seen:
        """Reads all that a decision can weigh, in one wait; in a second one for a reader that was merged."""
        commands = self._commands(reader, visitor, frames)
        entry = None
        if ticket is not None:
            replies, entry = self._read(commands, ticket)
        elif commands:
            replies = self._link.read(commands)
        else:
            # There is nobody to look up; but whether the store is there decides whether `[failure]` answers.
            self._link.read([(self._keys.shared("probe"), (b"PING",))])
            return Seen(None, NO_ENTITLEMENTS, {}, {})
        entitlements, place, of_reader = NO_ENTITLEMENTS, 0, {}
        marks: tuple[bytes, ...] = ()
        if reader is not None:
            asked, holder = reader, self._holders.of(replies[0], now)
            if holder.alias is not None:
                reader = holder.alias
                commands = self._commands(reader, visitor, frames)
                if ticket is not None:
                    replies, entry = self._read(commands, replace(ticket, reader=reader))
                else:
                    replies = self._link.read(commands)
                holder = self._holders.of(replies[0], now)
            entitlements, marks = holder.entitlements, (owner_mark(reader), *holder.heir_of)
            if holder.held:
                self._known.note(reader_hash(reader), holder.held, now)
                if reader != asked:
                    self._known.note(reader_hash(asked), reader_hash(reader), now)
            place = 1 + len(frames)
            of_reader = self._values(frames, replies[1:place])
        of_visitor = self._values(frames, replies[place:]) if visitor is not None else {}
        return Seen(reader, entitlements, of_reader, of_visitor, entry, marks)

    def _read(self, commands: list[Command], ticket: Ticket) -> tuple[list[Any], Entry | None]:
        """What the store says to these, and whether it lets in who holds the ticket."""
        if self._gate is None:
            return self._link.read(commands), None
        *replies, found = self._link.read([*commands, self._gate.command(ticket)])
        return replies, self._gate.entry(ticket, found)

    def _commands(self, reader: str | None, visitor: str | None, frames: Sequence[MeterFrame]) -> list[Command]:
        commands: list[Command] = []
        if reader is not None:
            commands.append(self._readers.read_command(reader))
            tag = reader_hash(reader)
            for frame in frames:
                key = self._keys.reader_meter(tag, frame.code)
                commands.append((key, (b"GET", key)))
        if visitor is not None:
            tag = visitor_hash(visitor)
            for frame in frames:
                key = self._keys.visitor_meter(tag, frame.code)
                commands.append((key, (b"GET", key)))
        return commands

    @staticmethod
    def _values(
        frames: Sequence[MeterFrame], values: Sequence[bytes | None]
    ) -> dict[str, tuple[MeterFrame, bytes | None]]:
        return {frame.policy.name: (frame, value) for frame, value in zip(frames, values, strict=True)}

    def _weigh(self, question: Question, tier: Tier, seen: Seen, now: float) -> Decision:
        # What an entitlement opens needs no meter; it is unpacked for the others.
        metered = tier.meter is not None and not seen.entitlements.opens(tier.requires)
        meter = self._standing(question, tier, seen, now) if metered else None
        story_pass = seen.entry.holding if seen.entry is not None else None
        return decide(
            question.story, tier, seen.entitlements, meter, now=now, catalogue=self.catalogue, story_pass=story_pass
        )

    def _standing(self, question: Question, tier: Tier, seen: Seen, now: float) -> metering.MeterStanding | None:
        """Where the reader, else the visitor, stands with the tier's meter; `None`: there is nobody to meter."""
        policy = self.catalogue.meters[tier.meter or ""]
        window = self._frame(policy.name, now).window
        visitor = seen.of_visitor(policy.name)
        mark = story_mark(question.story.id)
        if seen.reader is not None:
            read = seen.of_reader(policy.name).read
            if visitor.read and visitor.joined in (None, *seen.marks):
                read = metering.merge_counted(policy, read, visitor.read)
            return metering.meter_standing(policy, policy.readers, read, mark, window)
        if question.visitor is None or policy.visitors == 0:
            return None
        return metering.meter_standing(policy, policy.visitors, visitor.read, mark, window)

    def _count(
        self, question: Question, tier: Tier, frame: MeterFrame, seen: Seen, decision: Decision, now: float
    ) -> Decision:
        """Counts the read where it has to be, joins the visitor's stories where that is due, and says what holds now."""
        meter = decision.meter
        if meter is None:
            return decision
        counting = self._counting(question, frame, seen, meter)
        if counting is None:
            return decision
        done, tally = counting
        limit = frame.policy.visitors if seen.reader is None else frame.policy.readers
        after = metering.meter_standing(frame.policy, limit, tally.read, story_mark(question.story.id), frame.window)
        again = decide(question.story, tier, seen.entitlements, after, now=now, catalogue=self.catalogue)
        return mark_counted(again, after) if done else again

    def _counting(
        self, question: Question, frame: MeterFrame, seen: Seen, meter: metering.MeterStanding
    ) -> tuple[bool, Tally] | None:
        """Whether the story was counted now, and the meter after; `None` where nothing was to be written."""
        store, policy, story = self._store, frame.policy, question.story.id
        needed = meter.opens and not meter.seen
        if seen.reader is None:
            if not needed or question.visitor is None:
                return None
            return meters.count_for_visitor(store, frame, question.visitor, story, policy.visitors)
        visitor = seen.of_visitor(policy.name)
        if needed and question.visitor is not None and visitor.joined is None and not visitor.read:
            # Nothing to join yet: the visitor is claimed and the story counted in one wait.
            return meters.claim_and_count(store, frame, question.visitor, seen.reader, story, policy.readers)
        joining = self._joining(question.visitor, visitor, frame, seen.reader, seen)
        if not joining and not needed:
            return None
        return meters.count_for_reader(store, frame, seen.reader, story, policy.readers, joining)

    def _joining(
        self, visitor: str | None, found: Tally, frame: MeterFrame, reader: str, seen: Seen
    ) -> Mapping[bytes, int]:
        """The visitor's stories that are still to join the reader's; claims the visitor where nobody has yet."""
        if visitor is None:
            return {}
        claimed = found if found.joined else meters.join_visitor(self._store, frame, visitor, reader)
        if claimed is None or claimed.joined not in seen.marks:
            return {}
        own = seen.of_reader(frame.policy.name).read
        joining = {mark: at for mark, at in claimed.read.items() if at > own.get(mark, -1)}
        if joining and frame.policy.rolling and found.joined == owner_mark(reader):
            meters.join_visitor(self._store, frame, visitor, reader)
        return joining

    def _frame(self, name: str, now: float) -> MeterFrame:
        frame = self._frames.get(name)
        if frame is None or not frame.start <= now < frame.fresh_until:
            frame = self._frames[name] = meters.frame_at(self.catalogue.meters[name], now)
        return frame

    def _degraded(self, question: Question, tier: Tier, now: float) -> Decision:
        signed_in = question.reader is not None
        if not signed_in and is_free(question.story, tier):  # It needs no store, so there is nothing amiss with it.
            return decide(question.story, tier, NO_ENTITLEMENTS, None, now=now, catalogue=self.catalogue)
        known = self._known.lasting(reader_hash(question.reader), now) if question.reader else ()
        return decide_degraded(question.story, tier, known, signed_in=signed_in, catalogue=self.catalogue, now=now)
