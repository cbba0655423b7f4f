"""Count a read against a meter, and add a visitor's stories to the meter of the reader who has signed in.

Anyone can make up visitors, and each one that is counted takes about 110 bytes of the store until its window ends. So none gets
a meter while the store is filling up, and few of one address in a minute.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import structs

from service.adapters.redis.client.access import StoreAccess
from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.keys import owner_mark, story_mark, visitor_hash
from service.adapters.redis.client.link import Link
from service.adapters.redis.client.scripts import ScriptCall
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers import meters
from service.adapters.redis.readers.meters import COUNTED, NOT_BARE, MeterFrame
from service.domain import meter as metering
from service.domain.catalogue import Catalogue, MeterPolicy
from service.domain.decision import NO_ENTITLEMENTS, Entitlements
from service.domain.errors import StoreUnavailable
from service.domain.meter import EMPTY_TALLY, MeterLimit, MeterUse, Tally, VisitorRefusal
from service.domain.next_steps import Situation
from service.use_cases.story_passes.validation import ValidPass

if TYPE_CHECKING:
    from service.use_cases.access.check import AccessQuestion


StoredMeter = tuple[MeterFrame, bytes | None]
"""A meter's value in the store, and the frame to unpack it with."""


class StoredFacts(msgspec.Struct, frozen=True):
    """What the store returned for a question: the reader after merges, their entitlements, meters, and a story pass."""

    reader: str | None
    entitlements: Entitlements
    readers: Mapping[str, StoredMeter]
    visitors: Mapping[str, StoredMeter]
    story_pass: ValidPass | None = None
    marks: tuple[bytes, ...] = ()
    """The marks that a visitor carries who was joined with the reader, or with one that was merged into them."""

    def reader_tally(self, meter: str) -> Tally:
        """Return the stories that count for the reader in this meter."""
        found = self.readers.get(meter)
        return meters.unpack(*found) if found is not None else EMPTY_TALLY

    def visitor_tally(self, meter: str) -> Tally:
        """Return the stories that count for the visitor in this meter."""
        found = self.visitors.get(meter)
        return meters.unpack(*found) if found is not None else EMPTY_TALLY

    def meter_use(self, frame: MeterFrame, visitor: str | None, story: str) -> MeterUse:
        """Return what counts in a meter for the reader and the visitor, with respect to a story."""
        name = frame.policy.name
        reader = self.reader_tally(name) if self.reader is not None else None
        seen_here = self.visitor_tally(name) if visitor is not None else None
        return MeterUse(frame.policy, frame.window, story_mark(story), reader, seen_here, self.marks)

    def meter_limit(self, policy: MeterPolicy, now: float) -> MeterLimit:
        """Return the limit of the visitor, or of the reader with their plans."""
        if self.reader is None:
            return MeterLimit(policy.visitors)
        return self.entitlements.meter_limit(policy, now)

    def situation(
        self,
        question: AccessQuestion,
        catalogue: Catalogue,
        use: MeterUse | None,
        later: Sequence[MeterFrame],
        now: float,
    ) -> Situation:
        """Return all that decides about a question, from which its next steps follow.

        `use` is that of the tier's meter; `later` are the frames of the meters that the story's age brings later.
        """
        uses = {frame.policy.name: self.meter_use(frame, question.visitor, question.story.id) for frame in later}
        if use is not None:
            uses[use.policy.name] = use
        story_pass = self.story_pass.holding if self.story_pass is not None else None
        return Situation(question.story, catalogue, now, question.identity, self.entitlements, uses, story_pass)


class RecentReaders(set[str]):
    """Readers of whom something was seen lately. A full set begins anew: what it forgets costs a round trip or some bytes."""

    MOST = 8_192

    def remember(self, reader: str) -> None:
        """Add a reader."""
        if len(self) >= self.MOST:
            self.clear()
        self.add(reader)


class CountedFacts(NamedTuple):
    """The facts after a counting script, and whether it counted the story."""

    facts: StoredFacts
    counted: bool


NO_METERS: Mapping[str, StoredMeter] = {}

NO_FACTS = StoredFacts(None, NO_ENTITLEMENTS, NO_METERS, NO_METERS)
"""The facts where nothing was read."""


MINUTE = 60.0
MOST_ADDRESSES = 20_000
"""The most addresses counted at a time, in about 3 MB; a new one after them begins the minute anew."""


class NewVisitors:
    """Admits visitors who have no meter yet. One a process; threads share it.

    `per_minute` is the most new visitors of one address in a minute, in this process; `None` is no limit.
    `on_refused` is called for each visitor who is refused.
    """

    def __init__(
        self, link: Link, per_minute: int | None = None, on_refused: Callable[[VisitorRefusal], None] | None = None
    ) -> None:
        self._link = link
        self._per_minute = per_minute
        self._on_refused = on_refused
        self._lock = threading.Lock()
        self._since = 0.0
        self._admitted: dict[str, int] = {}

    def admits_all(self, key: bytes) -> bool:
        """Return whether any visitor can be counted, so that the meter with this key need not be looked at first."""
        return self._per_minute is None and not self._link.memory_at(key).is_filling

    def refusal(self, key: bytes, address: str | None, now: float, *, count: bool) -> VisitorRefusal | None:
        """Return why the visitor whose meter has this key cannot be counted now; `None` if they can.

        With `count`, the visitor is about to be counted, and uses up one of the address.
        """
        refused: VisitorRefusal | None = None
        if self._link.memory_at(key).is_filling:
            refused = "store_memory"
        elif self._per_minute is not None and not self._admits(_network(address), self._per_minute, now, count=count):
            refused = "address_limit"
        if refused is not None and count and self._on_refused is not None:
            self._on_refused(refused)
        return refused

    def _admits(self, network: str | None, limit: int, now: float, *, count: bool) -> bool:
        if network is None:
            return True
        with self._lock:
            if not 0 <= now - self._since < MINUTE:
                self._since, self._admitted = now, {}
            used = self._admitted.get(network, 0)
            if count and used < limit:
                if len(self._admitted) >= MOST_ADDRESSES:
                    self._admitted = {}
                self._admitted[network] = used + 1
        return used < limit


def _network(address: str | None) -> str | None:
    """Return what one subscriber of a network provider has: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or int(parsed) >> 64)
    return str(parsed)


class ReadCounter:
    """Counts reads: in one round trip where nothing has to be joined, else after the meters were read. Thread-safe."""

    def __init__(self, store: Store, new_visitors: NewVisitors) -> None:
        self._keys, self._link = store.keys, store.link
        self._new_visitors = new_visitors
        self._uncounted = RecentReaders()
        """Readers of whom no story was counted: that is likely of their next one too, and then a read costs less."""

    async def count_at_once(
        self, store: StoreAccess, question: AccessQuestion, frame: MeterFrame
    ) -> CountedFacts | list[Any] | None:
        """Count a read without a look at what is stored, where the script sees for itself that this is right.

        If nothing was counted, return the replies to `commands_of_check` where there is more to look at, or `None`.
        """
        try:
            if question.reader is None:
                return await self._count_visitor(store, question, frame)
            if question.reader not in self._uncounted:
                return await self._count_bare_reader(store, question.reader, question, frame)
        except StoreUnavailable as failure:
            if failure.why != "oom":  # The memory has filled up since the prober looked: such a script does not begin.
                raise
        except StoreError:
            pass  # Such as of a proxy in front of a cluster: it refuses a script with keys of two slots.
        return None

    def _key_of(self, visitor: str, frame: MeterFrame) -> bytes:
        return self._keys.visitor_meter(visitor_hash(visitor), frame.code)

    async def _count_visitor(
        self, store: StoreAccess, question: AccessQuestion, frame: MeterFrame
    ) -> CountedFacts | None:
        limit, visitor = frame.policy.visitors, question.visitor
        if visitor is None or not limit or not self._new_visitors.admits_all(self._key_of(visitor, frame)):
            return None
        call = meters.count_for_visitor(self._keys, frame, visitor, question.story.id, limit)
        ((verdict, value),) = await store.run(call)
        facts = StoredFacts(None, NO_ENTITLEMENTS, {}, {frame.policy.name: (frame, value)})
        return CountedFacts(facts, verdict == COUNTED)

    async def _count_bare_reader(
        self, store: StoreAccess, reader: str, question: AccessQuestion, frame: MeterFrame
    ) -> CountedFacts | list[Any] | None:
        visitor, name = question.visitor, frame.policy.name
        if visitor is not None and (
            self._link.is_cluster or not self._new_visitors.admits_all(self._key_of(visitor, frame))
        ):
            return None
        call = meters.count_for_bare_reader(self._keys, frame, reader, visitor, question.story.id)
        ((verdict, value, *others),) = await store.run(call)
        if verdict != COUNTED:
            self._uncounted.remember(reader)
        if verdict == NOT_BARE:
            record, *of_visitor = others
            return [record, value, *of_visitor]
        visitors: dict[str, StoredMeter] = {} if visitor is None else {name: (frame, None)}
        facts = StoredFacts(reader, NO_ENTITLEMENTS, {name: (frame, value)}, visitors, None, (owner_mark(reader),))
        return CountedFacts(facts, verdict == COUNTED)

    async def count(
        self,
        store: StoreAccess,
        question: AccessQuestion,
        frame: MeterFrame,
        facts: StoredFacts,
        meter: metering.MeterStanding,
        now: float,
    ) -> CountedFacts | None:
        """Count a read that is new, and add the visitor's stories to the reader's; `None`: nothing had to be written."""
        visitor = question.visitor
        if facts.reader is not None:
            if self.refusal(question, frame, facts, now):
                visitor = None  # A claim on them would be a new meter; they have no stories.
            calls = await self._calls_for_reader(store, visitor, question.story.id, frame, facts, meter)
        elif visitor is not None and meter.would_count:
            calls = [meters.count_for_visitor(self._keys, frame, visitor, question.story.id, meter.limit)]
        else:
            calls = []
        if not calls:
            return None
        *_, (verdict, value) = await store.run(*calls)
        counted, name = verdict == COUNTED, frame.policy.name
        after: dict[str, StoredMeter] = {name: (frame, value)}
        if facts.reader is None:
            return CountedFacts(structs.replace(facts, visitors={**facts.visitors, **after}), counted)
        if counted:
            self._uncounted.discard(facts.reader)
        visitors = facts.visitors
        if facts.visitor_tally(name).joined is None:
            # What they had read is in the reader's meter now, unless they joined another reader meanwhile.
            visitors = {**visitors, name: (frame, None)}
        return CountedFacts(structs.replace(facts, readers={**facts.readers, **after}, visitors=visitors), counted)

    async def _calls_for_reader(
        self,
        store: StoreAccess,
        visitor: str | None,
        story: str,
        frame: MeterFrame,
        facts: StoredFacts,
        meter: metering.MeterStanding,
    ) -> list[ScriptCall]:
        """Return the calls that join the visitor and count the read, the counting one last; none if nothing changes."""
        keys, reader = self._keys, facts.reader
        assert reader is not None
        tally = facts.visitor_tally(frame.policy.name)
        stories: Mapping[bytes, int] = {}
        if visitor is not None and (tally.joined is None or tally.read):  # A joined one without stories adds none.
            join = meters.join_visitor(keys, frame, visitor, reader)
            if meter.would_count and tally.joined is None and not tally.read:
                # The visitor has no stories to add: one round trip joins them with the reader and counts the story. What
                # they read meanwhile joins with the next request, like everything that they read later.
                return [join, meters.count_for_reader(keys, frame, reader, story, meter.limit, {})]
            stories = await _stories_to_add(store, join, tally, frame, facts)
        if not stories and not meter.would_count:
            return []
        return [meters.count_for_reader(keys, frame, reader, story, meter.limit, stories)]

    def refusal(
        self, question: AccessQuestion, frame: MeterFrame, facts: StoredFacts, now: float
    ) -> VisitorRefusal | None:
        """Return why the visitor gets no meter; `None` where they may, or have one."""
        if question.visitor is None or facts.visitors[frame.policy.name][1] is not None:
            return None
        key = self._key_of(question.visitor, frame)
        return self._new_visitors.refusal(key, question.address, now, count=question.count)


async def _stories_to_add(
    store: StoreAccess, join: ScriptCall, tally: Tally, frame: MeterFrame, facts: StoredFacts
) -> Mapping[bytes, int]:
    """Return the visitor's stories that the reader's meter lacks; join the visitor with the reader if they are not yet."""
    joined = tally if tally.joined else meters.joined(frame, (await store.run(join))[0])
    if joined is None or joined.joined not in facts.marks:
        return {}
    own = facts.reader_tally(frame.policy.name).read
    stories = {mark: at for mark, at in joined.read.items() if at > own.get(mark, -1)}
    if stories and frame.policy.rolling and facts.reader is not None and tally.joined == owner_mark(facts.reader):
        await store.run(join)
    return stories
