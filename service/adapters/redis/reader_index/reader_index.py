"""The index of readers and grants in the store, and the marks of readers who have to be indexed again.

The readers' own records are the truth. They lie in a slot each, and the index in slots of its own, so a record and its row
cannot be written in one step. Therefore a process announces a write before it makes it, and marks the reader as changed
afterwards. A mark goes when the reader is indexed. An announcement that is left shows that a process died in between, or is
slow: the reader is indexed, too, and again until the write must have failed.

A partition is one string (`partition`), which is read as a whole and replaced if it is still the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple
from zlib import crc32

from service.adapters.batches import batched
from service.adapters.redis.client.keys import INDEX_PARTITIONS, reader_hash
from service.adapters.redis.client.scripts import ScriptCall, load
from service.adapters.redis.client.store import Store
from service.adapters.redis.reader_index.partition import HEADER_BYTES, IndexPartition, read_first_change
from service.adapters.redis.readers.readers import MARKS_A_SCRIPT, IndexMarks

REMOVE_MARKS, REPLACE = load("remove_index_marks"), load("replace_index_partition")
NAME = load("name_reader")

READER_ID = b"="
"""The field of a reader's ID in their records: keys hold only its hash."""
SLOW_WRITE, FAILED_WRITE = 0.5, 10.0
"""Seconds after which an announced write can have been lost, and after which it was made or never will be."""
_PARTITIONS_A_READ = 64


MarkKind = Literal["changed", "imported"]
"""Marked by a write, or by an import."""


class IndexMark(NamedTuple):
    """A reader who has to be indexed, and when they were marked (µs by the store's clock)."""

    reader: str
    moment: int


class IndexState(NamedTuple):
    """For which policy and when (epoch seconds) the index was built, and how many readers no record names."""

    policy: str
    built_at: int
    unnamed: int


def index_partition_of(reader: str) -> int:
    return crc32(reader_hash(reader)) % INDEX_PARTITIONS


class ReaderIndex(IndexMarks):
    """Keeps the index. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._mark_keys = {"changed": self._changed, "imported": store.keys.index_marks("imported")}
        self._state = store.keys.index_marks("state")

    # Marks.

    def mark_imported(self, tags: Collection[bytes]) -> None:
        """Mark the readers with these hashes, whom an import has changed; they are indexed when the import pauses."""
        names = [name for name in self.find_ids(tags).values() if name is not None]
        self.mark_imported_ids(sorted(names))

    def mark_imported_ids(self, readers: Sequence[str], announced: int = 0) -> None:
        """Mark these readers, as `mark_imported` does, after a write that was announced."""
        self._mark(self._mark_keys["imported"], readers, announced)

    def find_ids(self, tags: Collection[bytes]) -> dict[bytes, str | None]:
        """Return the reader of each hash who has a record, with the ID, `None` where no record holds it."""
        keys = [key for tag in tags for key in (self.keys.reader(tag), self.keys.past(tag))]
        asked = [command for key in keys for command in ((key, (b"EXISTS", key)), (key, (b"HGET", key, READER_ID)))]
        replies = iter(self._link.read(asked))
        found: dict[bytes, str | None] = {}
        for tag, *states in zip(tags, replies, replies, replies, replies, strict=True):
            if states[0] or states[2]:
                name = states[1] or states[3]
                found[tag] = name.decode() if name else None
        return found

    def name_readers(self, names: Mapping[bytes, str]) -> None:
        """Store IDs, by their hashes, in the records of these readers, where they are missing."""
        keys = [(key, name) for tag, name in names.items() for key in (self.keys.reader(tag), self.keys.past(tag))]
        self._link.run_all([ScriptCall(NAME, (key,), (name,)) for key, name in keys])

    def count_imported(self) -> int:
        """Return how many readers are marked whom an import has changed."""
        return int(self._call(b"ZCARD", self._mark_keys["imported"]))

    def list_marked(self, kind: MarkKind, limit: int) -> list[IndexMark]:
        """Return readers with marks of this kind, the first marked first."""
        return _marks(self._call(b"ZRANGE", self._mark_keys[kind], 0, limit - 1, b"WITHSCORES"))

    def list_announced(self) -> list[IndexMark]:
        """Return readers whose write was announced long enough ago to have been lost."""
        return self._announced_until(SLOW_WRITE)

    def remove_marked(self, kind: MarkKind, marks: Sequence[IndexMark]) -> None:
        """Remove the marks of readers who were indexed since."""
        self._remove(self._mark_keys[kind], marks)

    def remove_announced(self, marks: Sequence[IndexMark]) -> None:
        """Remove those of these announcements whose writes must have been made or have failed."""
        over = {mark.moment for mark in self._announced_until(FAILED_WRITE)}
        self._remove(self._announced, [mark for mark in marks if mark.moment in over])

    def remove_marks(self, readers: Sequence[str]) -> None:
        keys = (self._announced, *self._mark_keys.values())
        self._link.pipeline([(key, (b"ZREM", key, *readers)) for key in keys])

    def _announced_until(self, seconds: float) -> list[IndexMark]:
        # The time of the server that holds the marks: its clock set their moments.
        now, part = self._link.call(self._announced, b"TIME")
        limit = int(now) * 1_000_000 + int(part) - int(seconds * 1_000_000)
        return _marks(self._call(b"ZRANGE", self._announced, b"-inf", limit, b"BYSCORE", b"WITHSCORES"))

    def _remove(self, key: bytes, marks: Sequence[IndexMark]) -> None:
        for batch in batched(marks, MARKS_A_SCRIPT):
            self._link.run(REMOVE_MARKS, [key], [part for mark in batch for part in mark])

    # Partitions.

    def load_partitions(self, numbers: Sequence[int] = range(INDEX_PARTITIONS)) -> Iterator[IndexPartition]:
        """Yield these partitions, by default all, in their order."""
        for batch in batched(numbers, _PARTITIONS_A_READ):
            keys = [self.keys.index_partition(number) for number in batch]
            for stored in self._read_each(b"GET", keys):
                yield IndexPartition.unpack(stored)

    def list_due_partitions(self, now: float) -> list[int]:
        """Return the partitions in which a reader has changed by themselves since they were indexed."""
        last = b"%d" % (HEADER_BYTES - 1)
        keys = [self.keys.index_partition(number) for number in range(INDEX_PARTITIONS)]
        headers = self._read_each(b"GETRANGE", keys, b"0", last)
        return [number for number, header in enumerate(headers) if read_first_change(header) <= now]

    def replace_partitions(self, packed: Mapping[int, tuple[bytes, bytes]]) -> set[int]:
        """Replace partitions, by number the revision that was read and the new form; return those that were replaced."""
        numbers = list(packed)
        calls = [ScriptCall(REPLACE, (self.keys.index_partition(number),), packed[number]) for number in numbers]
        replies = self._link.run_all(calls)
        return {number for number, reply in zip(numbers, replies, strict=True) if reply}

    # The whole index.

    def load_state(self) -> IndexState | None:
        """Return what the index was built for; `None` if it is missing."""
        policy, built_at, unnamed = self._read_one(b"HMGET", self._state, b"policy", b"built_at", b"unnamed")
        return None if policy is None else IndexState(policy.decode(), int(built_at), int(unnamed))

    def save_state(self, state: IndexState) -> None:
        """Record that the index is built."""
        policy, built_at, unnamed = state
        self._call(b"HSET", self._state, b"policy", policy, b"built_at", built_at, b"unnamed", unnamed)


def _marks(row: Sequence[bytes]) -> list[IndexMark]:
    return [IndexMark(reader.decode(), int(float(moment))) for reader, moment in zip(row[::2], row[1::2], strict=True)]
