"""What a process remembers between checks: what readers' records mean, and decisions that many answers share.

An entry is never out of date, because its key holds everything that it follows from: another record or meter has other bytes.
What follows from the time too is used only until its next change.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from service.adapters.redis.client.keys import story_mark
from service.adapters.redis.readers.readers import (
    CACHED_BYTES,
    HoldingsCache,
    RecordCache,
    field_pairs,
    merged_into,
    merged_marks,
)
from service.domain.catalogue import Catalogue, Story, Tier
from service.domain.decision import FOREVER, NO_ENTITLEMENTS, Decision, Entitlements, resolve_entitlements
from service.domain.meter import MeterStanding
from service.use_cases.access.counting import StoredFacts

if TYPE_CHECKING:
    from service.use_cases.access.check import AccessQuestion


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
    """Entitlements under one catalogue, by the bytes of the reader's record. Thread-safe: entries are only replaced."""

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


MOST_REMEMBERED = 8_192
"""How many decisions are remembered. A full memory begins anew."""

interned = lru_cache(maxsize=2_048)(bytes)
"""Return the first of equal bytes, so that what is written alike about many people is in memory once."""


@dataclass(slots=True, eq=False)
class SharedDecision:
    """A decision that other answers can share, and its encoded forms, made once by whoever writes them."""

    decision: Decision
    entitlements: Entitlements
    """Those that it follows from; kept, because their identity is in the key."""
    since: float
    until: float
    """From and until when it holds (epoch seconds)."""
    counts_nothing: bool = False
    """Whether neither the story is to be counted nor the visitor to be joined with the reader."""
    sealed: bytes | None = None
    """Its part of a decision ID."""
    body: tuple[object, bytes] | None = None
    """The offer in an answer's body, and the decision's part of that body."""


class DecisionMemory:
    """The shared decisions of one catalogue. Thread-safe: entries are only replaced."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._age_limits = catalogue.age_limits
        self._rolling = frozenset(meter.name for meter in catalogue.meters.values() if meter.rolling)
        self._entries: dict[Hashable, SharedDecision] = {}

    def key(self, question: AccessQuestion, tier: Tier, facts: StoredFacts, now: float) -> Hashable:
        """Return all that a decision follows from; `None` if too few answers would share it.

        That is so with a story pass, for a story that a meter has counted, for one whose tier changes with its age, and in
        a rolling window, which moves every second.
        """
        story, meter = question.story, tier.meter or ""
        if not self._is_shareable(story, facts, now):
            return None
        reader, visitor = facts.readers.get(meter), facts.visitors.get(meter)
        of_reader, of_visitor = reader and reader[1], visitor and visitor[1]
        if reader is not None or visitor is not None:
            mark = story_mark(story.id)
            # A mark can also be found where two others meet: then this decision is only not shared.
            if meter in self._rolling or mark in (of_reader or b"") or mark in (of_visitor or b""):
                return None
        who = question.identity, question.visitor is None
        return id(facts.entitlements), facts.marks, tier.name, story.parts, who, of_reader, of_visitor

    def metered_key(
        self, question: AccessQuestion, tier: Tier, facts: StoredFacts, meter: MeterStanding, now: float
    ) -> Hashable:
        """Return the same for a story that a meter opens: of what it has counted, only the number matters.

        The limit follows from the entitlements, and from whether there is a reader.
        """
        story = question.story
        if tier.meter in self._rolling or not self._is_shareable(story, facts, now):
            return None
        standing = meter.used, meter.seen, meter.counted, meter.resets_at
        return id(facts.entitlements), tier.name, story.parts, question.identity, standing

    def _is_shareable(self, story: Story, facts: StoredFacts, now: float) -> bool:
        return facts.story_pass is None and (story.tier is not None or not self._age_limits(story, now))

    def find(self, key: Hashable, now: float) -> SharedDecision | None:
        """Return the decision under a key."""
        found = self._entries.get(key) if key is not None else None
        return found if found is not None and found.since <= now < found.until else None

    def remember(
        self, key: Hashable, decision: Decision, entitlements: Entitlements, since: float, until: float
    ) -> SharedDecision | None:
        """Remember a decision under a key; not under `None`."""
        if key is None:
            return None
        if len(self._entries) >= MOST_REMEMBERED:
            self._entries.clear()
        shared = self._entries[key] = SharedDecision(decision, entitlements, since, until)
        return shared
