"""Readers in the store: the hot record that a check reads, the past beside it, and the history of both.

A reader's record is a hash with a field a source (`source_codec.field_of`). What has ended lies in the past, so that a check
reads only what can still open something. Every change of a source leaves an entry in the history, by which the past can
be told later: `[1, at, field, record, cause, ms]`, `record` null where the source went to another reader, `ms` what `at` left
off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import msgspec

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers import source_codec
from service.domain.catalogue import Catalogue
from service.domain.errors import NewerSchema
from service.domain.sources import Holding, Source

PUT = load("put_source")
MOST_RECORDS = 50_000
"""Records whose holdings are kept; with one more, all are dropped."""
HISTORY_ENTRIES = 2_000
"""The most changes kept of one reader; a year of monthly renewals leaves about thirty."""

ALIAS = b">"
"""Field of a reader that was merged into another: the id it is answered as."""

MERGED_MARKS = b"<"
"""Field of a reader that others were merged into: the marks (8 bytes each) that visitors who had joined them carry."""

Rule = Literal["higher", "next"]
Command = tuple[bytes, tuple[bytes, ...]]

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list)


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A source as it is kept: the field, the record's bytes, and what they say (`None`: a tombstone)."""

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
    """`at` to the millisecond: what led to a decision of the same second, and what came after it."""


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of a put. `before` is the source as it stood (`None`: unknown until now)."""

    verdict: Literal["applied", "same", "stale", "conflict", "merged"]
    number: int
    before: Source | None


class ReaderListener(Protocol):
    """Who keeps figures of what readers hold, told before and after a source is put."""

    def before_write(self, reader: str, source: Source) -> None:
        """May raise `StoreUnavailable`: then nothing is put."""

    def after_write(self, reader: str, source: Source, outcome: WriteOutcome, now: float) -> None:
        """It stands. Raises nothing for a store that is away."""


@dataclass(frozen=True, slots=True)
class _Write:
    """A record to put into a field of a reader."""

    field: bytes
    number: int
    rule: Rule
    ended: bool
    record: bytes
    now: float
    cause: str
    audit: bytes = b""


class Readers:
    """Reads and writes readers' sources. Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store, listener: ReaderListener | None = None) -> None:
        self._link = store.link
        self.keys = store.keys
        self._listener = listener

    def read_command(self, reader: str) -> Command:
        """The command that fetches the hot record; its reply goes to `sources_in`."""
        key = self.keys.reader(reader_hash(reader))
        return key, (b"HGETALL", key)

    def load_active(self, reader: str) -> list[StoredSource]:
        """What can still open something for this reader."""
        return stored_sources(self._link.read([self.read_command(reader)])[0])

    def load_all(self, reader: str) -> list[StoredSource]:
        """The hot record and the past."""
        past = self.keys.past(reader_hash(reader))
        hot, ended = self._link.read([self.read_command(reader), (past, (b"HGETALL", past))])
        return stored_sources(hot) + stored_sources(ended)

    def find_source(self, reader: str, field: bytes) -> StoredSource | None:
        """One source, wherever it lies."""
        tag = reader_hash(reader)
        hot, past = self.keys.reader(tag), self.keys.past(tag)
        here, ended = self._link.read([(hot, (b"HGET", hot, field)), (past, (b"HGET", past, field))])
        record = here or ended
        return StoredSource(field, record, source_codec.decode(field, record)) if record else None

    def resolve_merged(self, reader: str) -> str:
        """The reader that this one is answered as: itself, unless it was merged into another."""
        key = self.keys.reader(reader_hash(reader))
        (alias,) = self._link.read([(key, (b"HGET", key, ALIAS))])
        return alias.decode() if alias else reader

    def list_customers(self, reader: str) -> list[str]:
        """Stripe's customers that are this reader's, by id."""
        key = self.keys.customers(reader_hash(reader))
        (found,) = self._link.read([(key, (b"HVALS", key))])
        return sorted({customer.decode() for value in found if (customer := value.partition(b" ")[2])})

    def load_history(self, reader: str) -> list[ReaderChange]:
        """All changes kept, oldest first."""
        key = self.keys.history(reader_hash(reader))
        (entries,) = self._link.read([(key, (b"LRANGE", key, b"0", b"-1"))])
        return [unpack_change(entry) for entry in cast("list[bytes]", entries)]

    def erased_at(self, *readers: str) -> float | None:
        """When one of these readers was erased last; `None` if never."""
        keys = [self.keys.erased(reader_hash(reader)) for reader in dict.fromkeys(readers)]
        found = self._link.read([(key, (b"GET", key)) for key in keys])
        return max((float(moment) for moment in found if moment is not None), default=None)

    def write_source(
        self,
        reader: str,
        source: Source,
        number: int,
        *,
        rule: Rule,
        ended: bool,
        now: float,
        cause: str,
        audit: bytes = b"",
    ) -> WriteOutcome:
        """Puts a source in one step with its history and its audit entry.

        `rule` `higher` takes any number above the one that stands, `next` only its successor. `ended` sources lie in the
        past. `cause` names the event or the audit entry that brought the change.
        """
        field, record = source_codec.field_of(source), source_codec.encode(source, number)
        if self._listener is not None:
            self._listener.before_write(reader, source)
        outcome = self._put(reader, _Write(field, number, rule, ended, record, now, cause, audit))
        if self._listener is not None:
            self._listener.after_write(reader, source, outcome, now)
        return outcome

    def write_tombstone(self, reader: str, field: bytes, number: int, *, now: float, cause: str) -> WriteOutcome:
        """Marks a source as another reader's, so that a late write cannot bring it back here."""
        return self._put(reader, _Write(field, number, "higher", True, source_codec.tombstone(number), now, cause))

    def _put(self, reader: str, write: _Write) -> WriteOutcome:
        tag = reader_hash(reader)
        keys = [self.keys.reader(tag), self.keys.past(tag), self.keys.history(tag), self.keys.outbox(tag)]
        entry = pack_change(write.now, write.field, write.record, write.cause)
        place = b"past" if write.ended else b"reader"
        arguments: list[bytes | int | str] = [write.field, write.number, write.rule, place, write.record]
        arguments += [entry, write.audit, HISTORY_ENTRIES]
        verdict, stands, before = cast("tuple[bytes, int, bytes]", self._link.run(PUT, keys, arguments))
        if verdict == b"merged":
            return self._put_with_heir(before.decode(), write)
        known = source_codec.decode(write.field, before) if before else None
        return WriteOutcome(cast(Any, verdict.decode()), stands, known)

    def _put_with_heir(self, heir: str, write: _Write) -> WriteOutcome:
        """Write a grant of a reader who was merged into another to that one; Stripe's sources must be settled again."""
        if write.rule == "higher":
            return WriteOutcome("merged", write.number, None)
        intention = b"%b:heir:%d" % (reader_hash(heir), int(write.now))
        self._link.call(self.keys.audit_intents, b"SADD", self.keys.audit_intents, intention)
        return self._put(heir, write)


def pack_change(now: float, field: bytes, record: bytes, cause: str) -> bytes:
    """An entry of the history, in whole seconds; a tombstone's record is null."""
    text = None if len(_decoder.decode(record)) == 2 else record.decode()
    return _encoder.encode([source_codec.SCHEMA, int(now), field.decode(), text, cause, int(now * 1000) % 1000])


def unpack_change(entry: bytes) -> ReaderChange:
    """An entry of a history, read. `NewerSchema` if a newer service wrote it."""
    schema, at, field, record, cause, ms = _decoder.decode(entry)
    if schema != source_codec.SCHEMA:
        raise NewerSchema(f"a history entry of schema {schema}, this service knows {source_codec.SCHEMA}")
    kept = record.encode() if record is not None else None
    return ReaderChange(at, field.encode(), kept, cause, at + ms / 1000)


def field_pairs(reply: Any) -> Iterable[tuple[bytes, bytes]]:
    """Fields and values of an HGETALL reply, whichever protocol it came by."""
    if isinstance(reply, Mapping):
        return reply.items()
    return zip(reply[::2], reply[1::2], strict=True)


def stored_sources(reply: Any) -> list[StoredSource]:
    """The sources in an HGETALL reply; fields that are no sources are left out."""
    found = []
    for field, record in field_pairs(reply):
        if field[1:2] == b":":
            found.append(StoredSource(field, record, source_codec.decode(field, record)))
    return found


def merged_into(reply: Any) -> str | None:
    """The reader that this one was merged into, of an HGETALL reply of its hot record."""
    for field, value in field_pairs(reply):
        if field == ALIAS:
            return value.decode()
    return None


def merged_marks(reply: Any) -> tuple[bytes, ...]:
    """The marks of those merged into this reader, of an HGETALL reply of its hot record."""
    for field, value in field_pairs(reply):
        if field == MERGED_MARKS:
            return tuple(value[at : at + 8] for at in range(0, len(value), 8))
    return ()


class HoldingsCache:
    """What records give under one catalogue, worked out once a record and kept while it is asked for.

    A record's bytes say all that its holdings depend on, so nothing here can be out of date.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: dict[tuple[bytes, bytes], tuple[Holding, ...]] = {}

    def holdings(self, reply: Any) -> list[Holding]:
        """The holdings of an HGETALL reply of a hot record."""
        found: list[Holding] = []
        known = self._known
        for pair in field_pairs(reply):
            holdings = known.get(pair)
            if holdings is None:
                holdings = self._work_out(pair)
            found += holdings
        return found

    def _work_out(self, pair: tuple[bytes, bytes]) -> tuple[Holding, ...]:
        field, record = pair
        source = source_codec.decode(field, record) if field[1:2] == b":" else None
        holdings = source.holdings(self._catalogue) if source is not None else ()
        if len(self._known) >= MOST_RECORDS:
            self._known.clear()
        self._known[pair] = holdings
        return holdings


PUT_CUSTOMER = load("put_customer")


class ReaderCustomers:
    """Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._keys = store.keys

    def write_customer(self, reader: str, name: str, number: int, customer: str | None) -> None:
        """The object `name`, of this customer, is the reader's; `None`: it is no more."""
        key = self._keys.customers(reader_hash(reader))
        self._link.run(PUT_CUSTOMER, [key], [name, number, customer or ""])

    def list_objects(self, reader: str) -> list[str]:
        """The names of all objects that are or were the reader's; `Readers.customers` has the customers."""
        key = self._keys.customers(reader_hash(reader))
        (row,) = self._link.read([(key, (b"HKEYS", key))])
        return [name.decode() for name in row]
