"""All data under the prefix as plain values: read beside a running service, and written back.

Data that is read while others write is of no single moment. The order of reading makes sure that nothing is lost and that
nothing counts as done that is not: first the catch-up's cursor, then events, then Stripe's objects, then the queues, then
readers (each at one moment, with history and outbox), and last the audit log, up to the end that it has then. A restored store
is as after a crash: unfinished work is finished, and Stripe's events are caught up from the cursor.

The prefix of another title can begin with ours and a colon, as `pw:b` does for `pw`. Each title registers itself in the store
(`TitleRegistry`), under its own prefix as every other key of it. A title of a release that does not is known by keys that
every title has. A key with a hash tag right behind our prefix is always ours, because no prefix holds a brace. Only such keys
hold IDs from Stripe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from service.adapters.batches import batched
from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.keys import READER_TAG, is_own_name
from service.adapters.redis.client.scripts import ScriptCall, load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.readers import field_pairs
from service.adapters.redis.records import StoreRecords

READER = load("read_reader")

Kind = Literal["string", "hash", "list", "set", "zset"]

LEAST_LIFETIME = 120_000
"""Milliseconds; a key that expires sooner is a lease or another short-lived mark, and is left out."""
_NOT_KEPT = (b"probe", b"secret", b"leader", b"retention", b"wrong:", b"index-turn", b"{index")
"""The index of readers is built anew from a restored store."""
_OF_EVERY_TITLE = (b":title", b":policies", b":secret")
"""What ends the keys by which another title is recognized: its registration, or what a title has that does not register."""
_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """Some or all content of a key. `key` is without the prefix; `expires` is in epoch milliseconds, 0 = never."""

    key: bytes
    kind: Kind
    expires: int
    first: bool
    """The first part of a key takes the place of whatever is there."""
    values: list[Any]
    """Of a hash field and value in turn, of a sorted set member and score, of all else the values."""


@dataclass(frozen=True, slots=True)
class KeyCount:
    """How many keys lie under the prefix: this title's without short-lived ones, its short-lived ones, and other titles'."""

    kept: int
    short_lived: int
    of_titles: Mapping[str, int]
    """By the other title's prefix."""


class TitleRegistry(StoreRecords):
    """Registers this title. A backup leaves out the keys of the other titles that are registered.

    Raises: StoreUnavailable from every method.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._key = store.keys.shared("title")

    def register(self, now: float) -> None:
        """Register this title; the time of the first registration stays."""
        self._call(b"SET", self._key, int(now), b"NX")

    def registered_at(self) -> int | None:
        """Return when this title was first registered (epoch seconds), or `None` if it is not yet."""
        found = self._call(b"GET", self._key)
        return int(found) if found is not None else None


class Snapshot(StoreRecords):
    """Reads and writes snapshots. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._start = store.keys.shared("")

    # Reading.

    def read_parts(self) -> Iterator[SnapshotPart]:
        """Yield everything that does not expire within two minutes, in the order that the module describes."""
        least, others = self._least_expiry(), self._other_titles()
        for phase in _PHASES:
            for page in self._link.scan_nodes(self._start + b"*"):
                mine = [key for key in page if self._kept(key, others) and _phase_of(*self.keys.split(key)) == phase]
                if phase == "readers":
                    yield from self._readers(mine)
                else:
                    yield from self._whole(mine, least)
        for name in _READ_AGAIN:
            for part in self._whole([self._start + name], least):
                yield SnapshotPart(part.key, part.kind, part.expires, False, part.values)
        yield from self._audit()

    def _least_expiry(self) -> int:
        """Return the moment (epoch ms, by the store's clock) up to which a key counts as short-lived."""
        _, (seconds, _) = self._link.each_master(b"TIME")[0]
        return int(seconds) * 1000 + LEAST_LIFETIME

    def _other_titles(self) -> tuple[bytes, ...]:
        """Return what follows the prefix in the keys of other titles whose prefix begins with it: `b:` of `pw:b`, for `pw`."""
        found = set()
        for rest in self._names():
            if rest.startswith(b"{") or is_own_name(rest):
                continue
            if b":{" in rest:
                found.add(rest.partition(b":{")[0] + b":")
            elif rest.endswith(_OF_EVERY_TITLE):
                found.add(rest.rpartition(b":")[0] + b":")
        return tuple(sorted(found, key=len, reverse=True))

    def _names(self) -> Iterator[bytes]:
        """Yield what follows the prefix in every key."""
        for page in self._link.scan_nodes(self._start + b"*"):
            yield from (key[len(self._start) :] for key in page)

    def _kept(self, key: bytes, others: tuple[bytes, ...]) -> bool:
        """Return whether a key belongs to a snapshot: it is this title's, and not short-lived."""
        rest = key[len(self._start) :]
        return _is_ours(rest, others) and not rest.startswith(_NOT_KEPT)

    def _whole(self, keys: Sequence[bytes], least: int) -> Iterator[SnapshotPart]:
        """Yield each key with its complete content."""
        asked = [(key, (word, key)) for key in keys for word in (b"TYPE", b"PEXPIRETIME")]
        replies = self._link.read(asked)
        for key, kind, expires in zip(keys, replies[::2], replies[1::2], strict=True):
            if kind == b"none" or 0 <= expires < least:
                continue
            first = True
            for values in self._content(key, kind.decode()):
                yield self._part(key, cast(Kind, kind.decode()), max(0, expires), first, values)
                first = False

    def _content(self, key: bytes, kind: str) -> Iterator[list[Any]]:
        if kind == "string":
            if (value := self._read_one(b"GET", key)) is not None:
                yield [value]
        elif kind == "list":
            yield self._read_one(b"LRANGE", key, b"0", b"-1")
        elif kind in _SCANS:
            yield from filter(None, self._link.scan_key(_SCANS[kind], key, _COUNT))
        else:
            raise StoreError(f"a key of the kind {kind}, of which this service has none")

    def _readers(self, keys: Sequence[bytes]) -> Iterator[SnapshotPart]:
        """Yield readers, each at one moment; a reader's history key, which every reader with sources has, includes the other
        keys.
        """
        calls = [self._read_call(*self.keys.split(key)) for key in keys]
        for call, rows in zip(calls, self._link.run_all(calls), strict=True):
            for name, kind, row in zip(call.keys, ("hash", "hash", "list", "list"), rows, strict=True):
                if row:
                    yield self._part(name, cast(Kind, kind), 0, True, list(row))

    def _read_call(self, tag: bytes, rest: bytes) -> ScriptCall:
        names = (self.keys.reader(tag), self.keys.past(tag), self.keys.history(tag), self.keys.outbox(tag))
        return ScriptCall(READER, names, (int(rest != b"history"),))

    def _audit(self) -> Iterator[SnapshotPart]:
        """Yield the chain up to its present end; later entries are still in their outboxes too."""
        key = self.keys.audit_head
        while True:
            head = dict(field_pairs(self._call(b"HGETALL", key)))
            if not head:
                return
            yield self._part(key, "hash", 0, True, [part for pair in head.items() for part in pair])
            yield from self._upto(self.keys.audit_log, "hash", 0, int(head[b"seq"]))
            yield from self._upto(self.keys.audit_seen, "zset", 1, int(head[b"seq"]))
            # If records were pruned meanwhile, all of it is read again.
            if self._call(b"HGET", key, b"checkpoint") == head.get(b"checkpoint"):
                return

    def _upto(self, key: bytes, kind: Kind, place: int, last: int) -> Iterator[SnapshotPart]:
        """Yield a hash or sorted set without what is numbered higher; `place` is where in a pair the number stands."""
        first = True
        for row in self._content(key, kind):
            pairs = [pair for pair in zip(row[::2], row[1::2], strict=True) if float(pair[place]) <= last]
            if pairs:
                yield self._part(key, kind, 0, first, [part for pair in pairs for part in pair])
                first = False

    def _part(self, key: bytes, kind: Kind, expires: int, first: bool, values: list[Any]) -> SnapshotPart:
        return SnapshotPart(key[len(self._start) :], kind, expires, first, values)

    # Writing.

    def count_keys(self) -> KeyCount:
        """Count the keys under the prefix; a key that is written meanwhile can be missing or counted twice."""
        others, kept, short_lived = self._other_titles(), 0, 0
        of_titles = Counter[str]()
        for rest in self._names():
            if not _is_ours(rest, others):
                title = next(other for other in others if rest.startswith(other))
                of_titles[(self._start + title[:-1]).decode()] += 1
            elif rest.startswith(_NOT_KEPT):
                short_lived += 1
            else:
                kept += 1
        return KeyCount(kept, short_lived, dict(of_titles))

    def count_missing(self, parts: Sequence[SnapshotPart]) -> int:
        """Return how many keys of these parts the store lacks, without those that have expired or are about to."""
        least = self._least_expiry()
        keys = [self._start + part.key for part in parts if part.first and not 0 < part.expires < least]
        return self._read_each(b"EXISTS", keys).count(0)

    def delete_all(self) -> None:
        """Delete all keys of this title, also the short-lived ones."""
        others = self._other_titles()
        for page in self._link.scan_nodes(self._start + b"*"):
            mine = [key for key in page if _is_ours(key[len(self._start) :], others)]
            self._link.pipeline([(key, (b"UNLINK", key)) for key in mine])

    def write_parts(self, found: Sequence[SnapshotPart]) -> None:
        commands: list[tuple[bytes, tuple[Any, ...]]] = []
        for part in found:
            key = self._start + part.key
            if part.first:
                commands.append((key, (b"DEL", key)))
            rows = batched(part.values, _COUNT)
            commands += [(key, (_PUTS[part.kind], key, *_in_order(part.kind, row))) for row in rows]
            if part.expires:
                commands.append((key, (b"PEXPIREAT", key, part.expires)))
            tag, rest = self.keys.split(key)
            if rest == b"audit":
                # The worker has to move the entries of this outbox to the chain.
                intents = self.keys.audit_intents
                commands.append((intents, (b"SADD", intents, b"%b:restored:0" % tag)))
        self._link.pipeline(commands)


_PHASES = ("shared", "events", "objects", "marks", "readers", "audit")
_READ_AGAIN = (
    b"{merge}heirs",
    b"{merge}members",
    b"{merge}todo",
    b"{merge}names",
    b"imports",
    b"{erased}marks",
    b"{erased}keys",
)
"""A merge that was committed meanwhile is included, one that was finished is repeated, and who was erased stays erased."""
_SCANS = {"hash": b"HSCAN", "set": b"SSCAN", "zset": b"ZSCAN"}
_PUTS: dict[Kind, bytes] = {"string": b"SET", "hash": b"HSET", "list": b"RPUSH", "set": b"SADD", "zset": b"ZADD"}


def _is_ours(rest: bytes, others: tuple[bytes, ...]) -> bool:
    """Return whether what follows the prefix makes a key this title's. What is unknown counts as ours: too much is saved."""
    return rest.startswith(b"{") or is_own_name(rest) or not rest.startswith(others)


def _in_order(kind: Kind, values: Sequence[Any]) -> Sequence[Any]:
    """Return values in the order of the command's arguments: ZADD takes the score first."""
    if kind != "zset":
        return values
    return [part for member, score in zip(values[::2], values[1::2], strict=True) for part in (score, member)]


def _phase_of(tag: bytes, rest: bytes) -> str:
    """Return in which phase a key is read; keys that are independent of all others come first."""
    if tag == b"audit" and rest in (b"log", b"head", b"seen"):
        return "audit"
    if tag.startswith(b"s:"):
        if rest.startswith((b"e:", b"w:")) or rest in (b"ledger", b"inbox", b"dead", b"audit"):
            return "events"
        return "marks" if rest in (b"unread", b"unspread", b"due") else "objects"
    if len(tag) == READER_TAG and rest in (b"", b"past", b"history", b"audit"):
        return "readers"
    if len(tag) == READER_TAG:
        return "marks"
    return "events" if tag.startswith(b"i:") else "shared"
