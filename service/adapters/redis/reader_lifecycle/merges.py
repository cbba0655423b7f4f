"""Merges of readers: one step commits a merge, then any process rolls it forward in steps that can be repeated.

Who was merged into whom is stored here in full, so that merges never form a circle. It also stands in the reader's own record
(`readers.ALIAS`, `readers.MERGED_MARKS`), where an access check finds it in its one round trip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from service.adapters.redis.client.keys import READER_TAG, owner_mark, reader_hash, split_tags
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.reader_index.reader_index import ReaderIndex
from service.adapters.redis.readers import meters
from service.adapters.redis.readers.readers import ALIAS, MERGED_MARKS, Readers, field_pairs, tombstone_of, write_of
from service.adapters.redis.readers.source_codec import field_of
from service.adapters.redis.records import StoreRecords, decode_list, encode_json
from service.adapters.redis.story_passes.passes import GiftAllowances, carry_openings
from service.domain.catalogue import Catalogue

COMMIT, INHERIT = load("commit_merge"), load("inherit_visitors")

Verdict = Literal["done", "again", "circle", "elsewhere"]
COPIED_KINDS = {"s": "subscription", "f": "subscription", "t": "subscription", "p": "session", "e": "entitlements"}
"""Letter of a source that is a copy of a Stripe object → the kind of that object."""


@dataclass(frozen=True, slots=True)
class Merge:
    """A committed merge that is not rolled forward to its end. `audit` is its signed entry for the outbox."""

    gone: str
    stays: str
    audit: str
    at: float


class Merges(StoreRecords):
    """Commits merges and rolls them forward. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, readers: Readers, catalogue: Catalogue) -> None:
        super().__init__(store)
        self._store = store
        self._readers = readers
        self._catalogue = catalogue
        self._gifts = GiftAllowances(store)
        self._index = ReaderIndex(store)

    def commit(self, merge: Merge) -> tuple[Verdict, str]:
        """Commit a merge or return why not, and the reader that stays: the heir of `merge.stays` if that was merged itself."""
        tags = [reader_hash(merge.gone), reader_hash(merge.stays)]
        todo = encode_json([merge.gone, merge.audit, merge.at])
        keys = [self.keys.merge_heirs, self.keys.merge_members, self.keys.merge_todo]
        reply = self._link.run(COMMIT, keys, [*tags, merge.stays, todo, int(merge.at * 1000)])
        verdict, stays = cast("tuple[bytes, bytes]", reply)
        return cast(Verdict, verdict.decode()), stays.decode()

    def list_unfinished(self) -> list[Merge]:
        """Return the merges that still have to be rolled forward."""
        row = self._read_one(b"HGETALL", self.keys.merge_todo)
        found = []
        for tag, todo in field_pairs(row):
            gone, audit, at = decode_list(todo)
            heir = self._read_one(b"HGET", self.keys.merge_heirs, tag)
            found.append(Merge(gone, heir[READER_TAG:].decode(), audit, at))
        return found

    def mark_finished(self, gone: str) -> None:
        self._call(b"HDEL", self.keys.merge_todo, reader_hash(gone))

    def carry_over(self, merge: Merge, now: float) -> None:
        """Copy all that the merged reader had to the remaining one under the same numbers; newer data there stays."""
        active, past = self._readers.load_active_and_past(merge.gone)
        for stored, ended in [*((kept, False) for kept in active), *((kept, True) for kept in past)]:
            if stored.source is not None:
                copied = write_of(stored.source, stored.number, ended=ended, now=now, cause="merge")
                self._readers.write(merge.stays, copied)
        self._carry_meters(merge, now)
        self._gifts.move_to(merge.gone, merge.stays)
        carry_openings(self._store, merge.gone, merge.stays)

    def _carry_meters(self, merge: Merge, now: float) -> None:
        """Count the stories that the merged reader has read for the remaining one: a set union."""
        tag = reader_hash(merge.gone)
        for policy in self._catalogue.meters.values():
            frame = meters.frame_at(policy, now)
            value = self._read_one(b"GET", self.keys.reader_meter(tag, frame.code))
            read = meters.unpack(frame, value).read
            if read:
                self._link.run(*meters.count_for_reader(self.keys, frame, merge.stays, "", -1, read))

    def inherit(self, merge: Merge) -> None:
        """Let the merged reader's visitors count for the remaining one, and write the audit entry, both once."""
        marks = self._read_one(b"HGET", self.keys.reader(reader_hash(merge.gone)), MERGED_MARKS)
        tag = reader_hash(merge.stays)
        inherited = owner_mark(merge.gone) + (marks or b"")
        self._link.run(INHERIT, [self.keys.reader(tag), self.keys.outbox(tag)], [inherited, merge.audit])

    def redirect(self, merge: Merge) -> None:
        """Make the merged reader, and all who were merged into them before, an alias of the remaining one.

        Their IDs are stored as long as the remaining reader's data, to export and erase it under every ID.
        """
        self._call(b"HSET", self.keys.merge_names, reader_hash(merge.gone), merge.gone)
        for tag in split_tags(self._read_one(b"HGET", self.keys.merge_members, reader_hash(merge.stays))):
            self._call(b"HSET", self.keys.reader(tag), ALIAS, merge.stays)
        self._index.mark_changed([merge.gone, merge.stays])

    def write_tombstones(self, merge: Merge, now: float) -> None:
        """Replace what `carry_over` copied by tombstones; the copies of Stripe objects follow with their fan-out."""
        active, past = self._readers.load_active_and_past(merge.gone)
        for kept in (*active, *past):
            if kept.source is not None and kept.field[:1].decode() not in COPIED_KINDS:
                self._readers.write(merge.gone, tombstone_of(kept.field, kept.number + 1, now=now, cause="merge"))

    def list_stripe_objects(self, reader: str) -> list[str]:
        """Return the names of the Stripe objects of which this reader holds copies."""
        fields = [field_of(source).decode().partition(":") for source in self._readers.load_all(reader)]
        return list(
            dict.fromkeys(f"{COPIED_KINDS[letter]}:{name}" for letter, _, name in fields if letter in COPIED_KINDS)
        )
