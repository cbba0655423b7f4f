"""What a reader held at a past moment and what changed it, from the histories of the reader and of those merged into them.

A merge leaves the histories where they are. A question about either reader finds what both held before the merge. What led
to a decision is found as it was before the merge (`at`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from service.adapters.redis.client.keys import READER_TAG, reader_hash, split_tags
from service.adapters.redis.client.scripts import load
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import ReaderChange, field_pairs, unpack_change
from service.adapters.redis.records import StoreRecords
from service.domain.prices import HeldPrice
from service.domain.sources import STARTED, Source


class ReaderHistory(StoreRecords):
    """Reads histories. Raises: StoreUnavailable from every method."""

    def sources_at(self, reader: str, moment: float) -> list[Source]:
        """Return the sources as they were at a moment (epoch seconds): of each the last change up to then."""
        found: dict[bytes, ReaderChange] = {}
        for changes in self._histories(self._family(reader, None)):
            last = {change.field: change for change in changes if change.at <= moment}
            # The remaining reader comes first: while a merge is under way both can have the source.
            found = {field: change for field, change in last.items() if change.record is not None} | found
        decoded = (source_codec.decode(change.field, change.record or b"") for change in found.values())
        return [source for source in decoded if source is not None]

    def changes(self, reader: str, at: float | None = None) -> list[ReaderChange]:
        """Return all recorded changes, oldest first. With `at`: those up to that moment of readers who were merged by then."""
        family = self._family(reader, at)
        histories = self._histories(family)
        # Without what only records that the merge moved a source to the other reader.
        merged = [c for changes in histories for c in changes if c.record is not None or c.cause != "merge"]
        found = merged if len(family) > 1 else histories[0]
        return sorted((c for c in found if at is None or c.moment <= at), key=lambda change: change.moment)

    def held_prices(self, reader: str) -> list[HeldPrice]:
        """Return the prices that subscriptions of this reader had after they started, under any merged ID, oldest first.

        The history has those that an earlier release wrote.
        """
        family = self._family(reader, None)
        keys = [self.keys.held_prices(tag) for tag in family]
        kept = self._read_each(b"HGETALL", keys)
        found = [source_codec.decode_held_price(*pair) for reply in kept for pair in field_pairs(reply)]
        for change in (change for changes in self._histories(family) for change in changes if change.record):
            found += source_codec.held_prices(source_codec.decode(change.field, change.record or b""))
        return sorted(set(found), key=lambda held: (held.created, held.subscription))

    def _family(self, reader: str, at: float | None) -> list[bytes]:
        """Return the hashes of all readers that are one with this one now, or were at `at`; the remaining one comes first."""
        tag = reader_hash(reader)
        heir = self._read_one(b"HGET", self.keys.merge_heirs, tag)
        stays = heir[:READER_TAG] if heir else tag
        family = [stays, *split_tags(self._read_one(b"HGET", self.keys.merge_members, stays))]
        if at is None or len(family) == 1:
            return family
        above = self._above(family[1:], at)
        root = _root(tag, above)
        return [root, *(member for member in family if member != root and _root(member, above) == root)]

    def _above(self, members: Sequence[bytes], at: float) -> dict[bytes, bytes]:
        """Return whom each reader was merged into, as of the moment."""
        fields = [b">" + member for member in members]
        found = self._read_one(b"HMGET", self.keys.merge_heirs, *fields)
        edges = zip(members, found, strict=True)
        return {
            member: edge[:READER_TAG] for member, edge in edges if edge and int(edge[READER_TAG:] or 0) <= at * 1000
        }

    def _histories(self, family: Sequence[bytes]) -> list[list[ReaderChange]]:
        keys = [self.keys.history(tag) for tag in family]
        found = self._read_each(b"LRANGE", keys, b"0", b"-1")
        return [[unpack_change(entry) for entry in cast("list[bytes]", entries)] for entries in found]


def _root(tag: bytes, above: dict[bytes, bytes]) -> bytes:
    while tag in above:
        tag = above[tag]
    return tag


TRIM = load("trim_history")


class HistoryRetention(StoreRecords):
    """Deletes old history. Raises: StoreUnavailable from every method; a call can be repeated after a failure."""

    def acquire_turn(self, seconds: int) -> bool:
        """Return whether this process may start; one process may within so many seconds."""
        return bool(self._call(b"SET", self.keys.shared("retention"), b"1", b"NX", b"EX", seconds))

    def postpone(self, seconds: int) -> None:
        """Let no process start for so many seconds."""
        self._call(b"SET", self.keys.shared("retention"), b"1", b"EX", seconds)

    def trim_histories(self, before: float) -> Iterator[int]:
        """Delete changes older than `before` (epoch seconds), one page of readers a step, and yield how many were deleted.

        The last old change of each source stays, because it states how the source has been since.
        """
        for page in self._link.scan_nodes(self.keys.history(b"*")):
            pairs = [[key, self.keys.held_prices(self.keys.split(key)[0])] for key in page]
            yield sum(int(self._link.run(TRIM, keys, [int(before), *sorted(STARTED)])) for keys in pairs)
