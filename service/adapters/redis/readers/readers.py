"""Readers in the store: the sources that can still open something, past sources, and the history of both.

A reader's active record is a hash with one field a source (`source_codec.field_of`). Sources that have ended move to the
past record, so that an access check reads no more than it needs. Each record also holds the reader's ID
(`reader_index.READER_ID`). Every change of a source appends an entry to the history:

    [1, at, field, record, cause, ms]    `at` in epoch seconds and `ms` its milliseconds; `record` is null where the source
                                         went to another reader; `cause` names the event or the audit entry
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, cast

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.link import Command
from service.adapters.redis.client.scripts import ScriptCall, load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers import source_codec
from service.adapters.redis.records import StoreRecords, decode_list, encode_json
from service.domain.catalogue import Catalogue
from service.domain.decision import Held, resolve_entitlements
from service.domain.errors import NewerSchema, StoreUnavailable
from service.domain.sources import Grant, Holding, Source

WRITE_SOURCE, WRITE_CUSTOMER = load("write_source"), load("write_customer")
ANNOUNCE, MARK = load("announce_change"), load("mark_changed")

MARKS_A_SCRIPT = 500

HISTORY_ENTRIES = 2_000
"""The most changes kept of one reader; a year of monthly renewals leaves about thirty."""

ALIAS = b">"
"""The field of a reader who was merged into another: that reader's ID."""
MERGED_MARKS = b"<"
"""The field of a reader whom others were merged into: the marks (8 bytes each) of the readers they were."""

CACHED_BYTES = 16 * 2**20
"""The size of a cache of records."""
_PART_BYTES = 300
"""Bytes that Python takes for a part of a record and for its share of the value, besides the part itself."""

Rule = Literal["higher", "next"]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A source as stored: its field, the bytes of its record, and the source itself (`None`: a tombstone)."""

    field: bytes
    record: bytes
    source: Source | None

    @property
    def number(self) -> int:
        return source_codec.number_of(self.record)


@dataclass(frozen=True, slots=True)
class ReaderChange:
    """One entry of a reader's history; `record` is `None` where the source went to another reader."""

    at: int
    field: bytes
    record: bytes | None
    cause: str
    moment: float
    """`at` with its milliseconds: it separates what led to a decision from what followed in the same second."""


@dataclass(frozen=True, slots=True)
class ReaderDetails:
    """What a list shows of a reader; `changed_at` is the last change in their history (epoch seconds)."""

    sources: list[Source]
    customers: list[str]
    changed_at: int | None


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """The result of a write. `number` is the one in force, `before` the source as it was (`None`: there was none)."""

    verdict: Literal["applied", "same", "stale", "conflict", "merged"]
    number: int
    before: Source | None

    def is_late(self, number: int) -> bool:
        """Return whether a copy with this number came too late: the reader was merged, or has another copy as new."""
        return self.verdict == "merged" or (self.verdict == "stale" and self.number != number)


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """A source that is to replace its predecessor, or a tombstone: then no late write brings the source back.

    With the rule `higher` any number above the stored one is accepted, with `next` only its successor. What has `ended` goes
    to the past record. `cause` names the event or the audit entry that makes the change.
    """

    field: bytes
    number: int
    source: Source | None
    rule: Rule
    ended: bool
    now: float
    cause: str
    audit: bytes


class ReaderListener(Protocol):
    """Is called before and after each write of a source; it keeps counters and the index of grants by their end."""

    def before_write(self, reader: str, source: Source) -> None:
        """Prepare for a write. Raises: StoreUnavailable; then nothing is written."""

    def after_write(self, reader: str, source: Source, outcome: WriteOutcome, now: float) -> None:
        """Handle a write that was made. It raises nothing if the store is unavailable."""


class IndexMarks(StoreRecords):
    """Marks of readers whom `reader_index` has to index again. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._announced, self._changed = store.keys.index_marks("announced"), store.keys.index_marks("changed")

    def announce(self, *readers: str) -> int:
        """Announce a write of each of these readers; return the moment, for `mark_changed`."""
        return int(self._link.run(ANNOUNCE, [self._announced], readers))

    def mark_changed(self, readers: Sequence[str], announced: int = 0) -> None:
        """Mark readers as changed after a write."""
        self._mark(self._changed, readers, announced)

    def _mark(self, key: bytes, readers: Sequence[str], announced: int) -> None:
        for start in range(0, len(readers), MARKS_A_SCRIPT):
            self._link.run(MARK, [self._announced, key], [announced, *readers[start : start + MARKS_A_SCRIPT]])


class Readers(StoreRecords):
    """Reads and writes the records of readers. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, listener: ReaderListener | None = None) -> None:
        super().__init__(store)
        self.listener = listener
        self._index = IndexMarks(store)

    def load_active(self, reader: str) -> list[Source]:
        """Return the sources that can still open something."""
        return _sources_in(self._read_one(b"HGETALL", self.keys.reader(reader_hash(reader))))

    def load_holdings(self, reader: str, catalogue: Catalogue) -> list[Holding]:
        return [holding for source in self.load_active(reader) for holding in source.holdings(catalogue)]

    def load_held(self, reader: str, catalogue: Catalogue, now: float) -> Held:
        """Return the features that a reader holds, with their ends: what the cache of recent entitlements records."""
        return resolve_entitlements(self.load_holdings(reader, catalogue), catalogue.features, now).held

    def load_active_and_past(self, reader: str) -> tuple[list[StoredSource], list[StoredSource]]:
        """Return the sources that can still open something, and those that have ended, with their tombstones."""
        active, ended = self._read_each(b"HGETALL", self._records(reader_hash(reader)))
        return stored_sources(active), stored_sources(ended)

    def load_all(self, reader: str) -> list[Source]:
        """Return all sources, the active ones first."""
        active, ended = self._read_each(b"HGETALL", self._records(reader_hash(reader)))
        return _sources_in(active) + _sources_in(ended)

    def find_grants(self, places: Sequence[tuple[bytes, bytes]]) -> list[Grant | None]:
        """Return the grant of each ID, of the reader with each hash; `None` where it is gone."""
        fields = [b"g:" + grant for _, grant in places]
        keys = [key for tag, _ in places for key in self._records(tag)]
        asked = [(key, (b"HGET", key, fields[at // 2])) for at, key in enumerate(keys)]
        replies = iter(self._link.read(asked))
        records = [here or past for here, past in zip(replies, replies, strict=True)]
        found = [source_codec.decode(f, record) if record else None for f, record in zip(fields, records, strict=True)]
        return [source if isinstance(source, Grant) else None for source in found]

    def _records(self, tag: bytes) -> tuple[bytes, bytes]:
        return self.keys.reader(tag), self.keys.past(tag)

    def load_many(self, readers: Sequence[str]) -> list[list[Source]]:
        """Return all sources of each of these readers; none of one who was merged into another."""
        keys = [key for tag in map(reader_hash, readers) for key in self._records(tag)]
        replies = iter(self._read_each(b"HGETALL", keys))
        return [_unless_merged(active, past) for active, past in zip(replies, replies, strict=True)]

    def load_details(self, readers: Sequence[str]) -> list[ReaderDetails]:
        """Return what a list shows of each of these readers; no sources of one who was merged into another."""
        commands: list[Command] = []
        for tag in map(reader_hash, readers):
            customers, history = self.keys.customers(tag), self.keys.history(tag)
            commands += [(key, (b"HGETALL", key)) for key in self._records(tag)]
            commands += [(customers, (b"HVALS", customers)), (history, (b"LINDEX", history, b"-1"))]
        replies = iter(self._link.read(commands))
        return [
            ReaderDetails(_unless_merged(active, past), customer_ids(owned), unpack_change(last).at if last else None)
            for active, past, owned, last in zip(replies, replies, replies, replies, strict=True)
        ]

    def find_source(self, reader: str, field: bytes) -> StoredSource | None:
        """Return one source, active or past."""
        active, past = self._read_each(b"HGET", self._records(reader_hash(reader)), field)
        record = active or past
        return StoredSource(field, record, source_codec.decode(field, record)) if record else None

    def resolve_merged(self, reader: str) -> str:
        """Return the reader whom this one was merged into, or this one."""
        alias = self._read_one(b"HGET", self.keys.reader(reader_hash(reader)), ALIAS)
        return alias.decode() if alias else reader

    def load_history(self, reader: str) -> list[ReaderChange]:
        """Return all recorded changes, oldest first."""
        entries = self._read_one(b"LRANGE", self.keys.history(reader_hash(reader)), b"0", b"-1")
        return [unpack_change(entry) for entry in cast("list[bytes]", entries)]

    def load_meters(self, reader: str, codes: Sequence[bytes]) -> list[bytes | None]:
        """Return what is stored of a reader's meters with these codes; `meters.unpack` reads it."""
        tag = reader_hash(reader)
        return self._read_each(b"GET", [self.keys.reader_meter(tag, code) for code in codes])

    # The Stripe objects that a reader owns. A number orders the writes of each, as it orders the copies of sources.

    def list_customers(self, reader: str) -> list[str]:
        """Return the IDs of the Stripe customers that belong to this reader."""
        return customer_ids(self._read_one(b"HVALS", self.keys.customers(reader_hash(reader))))

    def list_owned_objects(self, reader: str) -> list[str]:
        """Return the names of all Stripe objects that this reader owns or owned."""
        return [name.decode() for name in self._read_one(b"HKEYS", self.keys.customers(reader_hash(reader)))]

    def write_customer(self, reader: str, name: str, number: int, customer: str | None) -> None:
        """Record that the reader owns the object `name` of this customer; `None` as the customer: no longer."""
        self._link.run(WRITE_CUSTOMER, [self.keys.customers(reader_hash(reader))], [name, number, customer or ""])

    # Writing sources.

    def write(self, reader: str, write: RecordWrite) -> WriteOutcome:
        """Write a source or a tombstone in one step with its history entry and its audit entry."""
        if self.listener is not None and write.source is not None:
            self.listener.before_write(reader, write.source)
        announced = self._index.announce(reader)
        verdict, number, before = self._link.run(*self.pack_write(reader, write))
        with suppress(StoreUnavailable):  # The announcement then stays, and the reader is indexed all the same.
            self._index.mark_changed([reader], announced)
        if verdict == b"merged" and write.rule == "next":
            # The reader was merged meanwhile. An admin's change goes to the heir; Stripe's owner is resolved again.
            heir = before.decode()
            intent = b"%b:heir:%d" % (reader_hash(heir), int(write.now))
            self._call(b"SADD", self.keys.audit_intents, intent)
            return self.write(heir, write)
        return self.finish_write(reader, write, verdict, number, before)

    def pack_write(self, reader: str, write: RecordWrite) -> ScriptCall:
        """Return the call that writes a record; `finish_write` takes its reply."""
        tag = reader_hash(reader)
        keys = (*self._records(tag), self.keys.history(tag), self.keys.outbox(tag), self.keys.held_prices(tag))
        source, number = write.source, write.number
        record = source_codec.encode(source, number) if source is not None else source_codec.tombstone(number)
        entry = pack_change(write.now, write.field, record, write.cause)
        place = b"past" if write.ended else b"reader"
        held = (part for price in source_codec.held_prices(source) for part in source_codec.encode_held_price(price))
        stored = (write.field, number, write.rule, place, record)
        return ScriptCall(WRITE_SOURCE, keys, (*stored, entry, write.audit, HISTORY_ENTRIES, reader, *held))

    def finish_write(self, reader: str, write: RecordWrite, verdict: bytes, number: int, before: bytes) -> WriteOutcome:
        """Return the outcome of a write, from the script's reply, after the listener has handled it."""
        known = source_codec.decode(write.field, before) if before and verdict != b"merged" else None
        outcome = WriteOutcome(cast(Any, verdict.decode()), number, known)
        if self.listener is not None and write.source is not None:
            self.listener.after_write(reader, write.source, outcome, write.now)
        return outcome


def write_of(
    source: Source, number: int, *, ended: bool, now: float, cause: str, rule: Rule = "higher", audit: bytes = b""
) -> RecordWrite:
    """Return the write of a source."""
    return RecordWrite(source_codec.field_of(source), number, source, rule, ended, now, cause, audit)


def tombstone_of(field: bytes, number: int, *, now: float, cause: str, audit: bytes = b"") -> RecordWrite:
    """Return the write of a tombstone."""
    return RecordWrite(field, number, None, "higher", True, now, cause, audit)


def customer_ids(values: Iterable[bytes]) -> list[str]:
    """Return the customers in the values of a reader's Stripe objects."""
    return sorted({customer.decode() for value in values if (customer := value.partition(b" ")[2])})


def pack_change(now: float, field: bytes, record: bytes, cause: str) -> bytes:
    """Return an entry of the history; the record of a tombstone becomes null."""
    text = None if len(decode_list(record)) == 2 else record.decode()
    return encode_json([source_codec.SCHEMA, int(now), field.decode(), text, cause, int(now * 1000) % 1000])


def unpack_change(entry: bytes) -> ReaderChange:
    """Return a change from its entry in the history. Raises: NewerSchema if a newer service wrote it."""
    schema, at, field, record, cause, ms = decode_list(entry)
    if schema != source_codec.SCHEMA:
        raise NewerSchema(f"a history entry of schema {schema}, this service knows {source_codec.SCHEMA}")
    return ReaderChange(at, field.encode(), record.encode() if record is not None else None, cause, at + ms / 1000)


def field_pairs(reply: Any) -> Iterable[tuple[bytes, bytes]]:
    """Return the fields and values of an HGETALL reply, or of a record that is a mapping already."""
    if isinstance(reply, Mapping):
        return reply.items()
    return zip(reply[::2], reply[1::2], strict=True)


def stored_sources(reply: Any) -> list[StoredSource]:
    """Return the sources of an HGETALL reply; other fields of a reader's record are left out."""
    return [
        StoredSource(field, record, source_codec.decode(field, record))
        for field, record in field_pairs(reply)
        if field[1:2] == b":"
    ]


def _sources_in(reply: Any) -> list[Source]:
    """Return the sources of an HGETALL reply, without tombstones."""
    return [stored.source for stored in stored_sources(reply) if stored.source is not None]


def _unless_merged(active: Any, past: Any) -> list[Source]:
    return [] if merged_into(active) is not None else _sources_in(active) + _sources_in(past)


def merged_into(reply: Any) -> str | None:
    """Return the reader whom this one was merged into, from an HGETALL reply of the active record."""
    for field, value in field_pairs(reply):
        if field == ALIAS:
            return value.decode()
    return None


def merged_marks(reply: Any) -> tuple[bytes, ...]:
    """Return the marks of the readers merged into this one, from an HGETALL reply of the active record."""
    for field, value in field_pairs(reply):
        if field == MERGED_MARKS:
            return tuple(value[at : at + 8] for at in range(0, len(value), 8))
    return ()


class RecordCache(dict[tuple[bytes, ...], Value]):
    """Values by record, bounded by bytes: one reader's record can be a thousand times another's.

    When a new one exceeds `most_bytes`, the cache begins anew. Thread-safe: entries are only replaced.
    """

    def __init__(self, most_bytes: int = CACHED_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0

    def add(self, record: tuple[bytes, ...], value: Value) -> None:
        size = sum(map(len, record)) + _PART_BYTES * len(record)
        if self._bytes + size > self._most_bytes:
            self.clear()
            self._bytes = 0
        self[record] = value
        self._bytes += size


class HoldingsCache:
    """What records grant under one catalogue, computed once a record.

    A record's bytes hold everything that its holdings depend on, so an entry is never out of date.
    """

    def __init__(self, catalogue: Catalogue, most_bytes: int = CACHED_BYTES) -> None:
        self._catalogue = catalogue
        self._cached = RecordCache[tuple[Holding, ...]](most_bytes)

    def holdings(self, reply: Any) -> list[Holding]:
        """Return the holdings of an HGETALL reply of an active record."""
        found: list[Holding] = []
        cached = self._cached
        for pair in field_pairs(reply):
            holdings = cached.get(pair)
            if holdings is None:
                holdings = self._compute(pair)
            found += holdings
        return found

    def _compute(self, pair: tuple[bytes, bytes]) -> tuple[Holding, ...]:
        field, record = pair
        source = source_codec.decode(field, record) if field[1:2] == b":" else None
        holdings = source.holdings(self._catalogue) if source is not None else ()
        self._cached.add(pair, holdings)
        return holdings
