"""Merges of readers: one step commits, the rest is rolled forward by whoever comes, and can be repeated.

Who was merged into whom is kept here in full, so that no two merges can ever make a circle, and beside it in the reader's
own record (`readers.ALIAS`, `readers.HEIR_OF`), where a check finds it in its one wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import msgspec

from service.adapters.redis.client.keys import READER_TAG, owner_mark, reader_hash
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers import meters
from service.adapters.redis.readers.readers import ALIAS, Readers
from service.adapters.redis.story_passes.passes import GiftAllowances, carry_openings
from service.domain.catalogue import Catalogue

COMMIT, INHERIT = load("commit_merge"), load("inherit_visitors")

Verdict = Literal["done", "again", "circle", "elsewhere"]
STRIPES = frozenset({"s", "f", "t", "p", "e"})
"""Letters of sources that follow an object of Stripe's; the others are carried over here."""


@dataclass(frozen=True, slots=True)
class Merge:
    """A merge that is committed and not yet rolled forward to its end. `audit` is the entry, as an outbox takes it."""

    gone: str
    stays: str
    audit: str
    at: float


class Merges:
    """Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store, readers: Readers, catalogue: Catalogue) -> None:
        self._store = store
        self._link = store.link
        self._keys = store.keys
        self._readers = readers
        self._catalogue = catalogue
        self._gifts = GiftAllowances(store)
        self._heirs = store.keys.merge("heirs")
        self._members = store.keys.merge("members")
        self._todo = store.keys.merge("todo")
        self._names = store.keys.merge("names")

    def commit(self, merge: Merge) -> tuple[Verdict, str]:
        """Commits a merge, or says why not. Gives who stays: where that one was merged itself, its heir."""
        tags = [reader_hash(merge.gone), reader_hash(merge.stays)]
        todo = msgspec.json.encode([merge.gone, merge.audit, merge.at])
        keys = [self._heirs, self._members, self._todo]
        reply = self._link.run(COMMIT, keys, [*tags, merge.stays, todo, int(merge.at * 1000)])
        verdict, _, stays = cast("tuple[bytes, bytes, bytes]", reply)
        return cast(Verdict, verdict.decode()), stays.decode()

    def list_unfinished(self) -> list[Merge]:
        """Merges that still have to be rolled forward."""
        (row,) = self._link.read([(self._todo, (b"HGETALL", self._todo))])
        found = []
        for tag, todo in zip(row[::2], row[1::2], strict=True):
            gone, audit, at = msgspec.json.decode(todo)
            (heir,) = self._link.read([(self._heirs, (b"HGET", self._heirs, tag))])
            found.append(Merge(gone, heir[READER_TAG:].decode(), audit, at))
        return found

    def mark_finished(self, gone: str) -> None:
        """Nothing is left to be done."""
        self._link.call(self._todo, b"HDEL", self._todo, reader_hash(gone))

    def carry_over(self, merge: Merge, now: float) -> None:
        """Puts all that the one had with the other, under the same numbers: what is newer there stays."""
        active, past = self._readers.load_active_and_past(merge.gone)
        for stored in active + past:
            if stored.source is not None:
                self._readers.write_source(
                    merge.stays,
                    stored.source,
                    stored.number,
                    rule="higher",
                    ended=stored in past,
                    now=now,
                    cause="merge",
                )
        self._carry_meters(merge, now)
        self._gifts.move_to(merge.gone, merge.stays)
        carry_openings(self._store, merge.gone, merge.stays)

    def _carry_meters(self, merge: Merge, now: float) -> None:
        """Stories that the one has read count for the other: a set union."""
        tag = reader_hash(merge.gone)
        for policy in self._catalogue.meters.values():
            frame = meters.frame_at(policy, now)
            key = self._keys.reader_meter(tag, frame.code)
            (value,) = self._link.read([(key, (b"GET", key))])
            read = meters.unpack(frame, value).read
            if read:
                meters.count_for_reader(self._store, frame, merge.stays, "", -1, read)

    def inherit(self, merge: Merge) -> bool:
        """Makes visitors of the one count for the other, with the audit entry. Gives `False` if that was done before."""
        (marks,) = self._link.read([self._field(merge.gone, b"<")])
        tag = reader_hash(merge.stays)
        inherited = owner_mark(merge.gone) + (marks or b"")
        keys = [self._keys.reader(tag), self._keys.outbox(tag)]
        return bool(self._link.run(INHERIT, keys, [inherited, merge.audit]))

    def redirect(self, merge: Merge) -> None:
        """From now on the one, and whoever was merged into it before, is answered as the other.

        Its id is kept for as long as the other's facts are: to export and erase them under all ids they went by.
        """
        self._link.call(self._names, b"HSET", self._names, reader_hash(merge.gone), merge.gone)
        (tags,) = self._link.read([(self._members, (b"HGET", self._members, reader_hash(merge.stays)))])
        for at in range(0, len(tags or b""), READER_TAG):
            key = self._keys.reader(tags[at : at + READER_TAG])
            self._link.call(key, b"HSET", key, ALIAS, merge.stays)

    def write_tombstones(self, merge: Merge, now: float) -> None:
        """What was carried over by value is the other's alone now; Stripe's objects see to theirs."""
        for kept in self._readers.load_all(merge.gone):
            if kept.source is not None and kept.field[:1].decode() not in STRIPES:
                self._readers.write_tombstone(merge.gone, kept.field, kept.number + 1, now=now, cause="merge")

    def list_stripe_objects(self, reader: str) -> list[str]:
        """The names of Stripe's objects of which this reader holds copies."""
        kinds = {"s": "subscription", "f": "subscription", "t": "subscription", "p": "session", "e": "entitlements"}
        names = []
        for kept in self._readers.load_all(reader):
            letter, _, name = kept.field.decode().partition(":")
            if letter in kinds and kept.source is not None:
                names.append(f"{kinds[letter]}:{name}")
        return list(dict.fromkeys(names))

    def _field(self, reader: str, field: bytes) -> tuple[bytes, tuple[bytes, ...]]:
        key = self._keys.reader(reader_hash(reader))
        return key, (b"HGET", key, field)
