"""Stripe's objects in the store: the facts, the owner and the copies of each, and the queues of objects that need work.

An object is one hash, and `n` is its counter. Everything that changes the object takes the next number: a read before it asks
Stripe (`begin_read`), a change when it is made (`rev`). Copies carry `rev`, so a late writer never undoes a later one. Scripts
add an object to a queue in the same step that makes the work necessary, so a crash loses no work: the fan-out queue names
objects whose copies are out of date, the refresh queue those that have to be read from Stripe.

    n         the counter                        doc        the latest facts (`facts_codec`)
    applied   number of the read in force        mark       which event or read they are from (`domain.event_order`)
    want      a read must have this number       confirmed  1 read from Stripe, 0 from a payload
    rev       number of the last change          final      1 = never replaced (ended, deleted, paid)
    facts     … that every copy must have        owner      [reader, how, as_gift]
    shown     rev that all copies have           link       the reader whom an admin named; empty: unlinked again
    unlinked  the owner as it would be without links, while it differs from `owner`
    imports   the imports behind the link (`lua/link_imported_object.lua`)
    lease     a read is under way until (ms)     session:…, customer, payment, known, linked:…, paid: from related objects
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Literal, NamedTuple, Protocol, cast

from service.adapters.redis.client.keys import PARTITIONS, partition_of, partition_tag
from service.adapters.redis.client.link import Command
from service.adapters.redis.client.scripts import ScriptCall, load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.adapters.redis.readers.readers import field_pairs
from service.adapters.redis.records import StoreRecords
from service.adapters.redis.stripe_objects import facts_codec
from service.domain.event_order import StateVersion
from service.domain.ownership import UNASSIGNED, Owner
from service.domain.stripe_facts import ObjectRef, StripeFacts

BEGIN, APPLY, WRITE_RELATED = load("begin_object_read"), load("apply_object"), load("write_related_fact")
SAVE_OWNER, RECORD_COPIES = load("save_object_owner"), load("record_copies")
REQUEST_FAN_OUT, LINK = load("request_fan_out"), load("link_object")

LEASE = 8.0
"""Seconds for which one process reads an object alone, so that a burst of events costs one or two reads."""

Verdict = Literal["applied", "same", "stale", "kept", "marked", "retry"]


@dataclass(frozen=True)
class StoredObject:
    """An object as stored. `held`: `letter:reader` → number of the copy there; `seats`: reader → when the seat began."""

    name: str
    fields: dict[bytes, bytes]
    held: dict[str, int]
    seats: dict[str, int]

    @cached_property
    def ref(self) -> ObjectRef:
        kind, _, name = self.name.partition(":")
        return ObjectRef(cast(Any, kind), name)

    @cached_property
    def facts(self) -> StripeFacts | None:
        doc = self.fields.get(b"doc")
        return facts_codec.unpack_facts(self.ref, doc) if doc else None

    @property
    def version(self) -> StateVersion | None:
        version = self.fields.get(b"mark")
        return facts_codec.unpack_version(version) if version else None

    @property
    def owner(self) -> Owner:
        return facts_codec.unpack_owner(self.fields.get(b"owner", b""))

    @property
    def unlinked_owner(self) -> Owner:
        """The last owner as it would be without any link. A former release did not store it beside a link."""
        if text := self.fields.get(b"unlinked"):
            return facts_codec.unpack_owner(text)
        return self.owner if self.owner.how != "link" else UNASSIGNED

    @property
    def has_unknown_past(self) -> bool:
        """Whether a former release saved the owner, so that it is not known who it would be without the link."""
        return self.owner.how == "link" and b"unlinked" not in self.fields

    @property
    def link(self) -> str | None:
        return self.fields.get(b"link", b"").decode() or None

    @property
    def was_linked(self) -> bool:
        """Whether an admin has linked the object at any time."""
        return b"link" in self.fields

    @property
    def confirmed(self) -> bool:
        return self.fields.get(b"confirmed") != b"0"

    def number(self, field: bytes) -> int:
        return int(self.fields.get(field, b"0"))

    @property
    def rev(self) -> int:
        return self.number(b"rev")

    @property
    def is_deleted(self) -> bool:
        """Whether Stripe reports that the object was deleted."""
        return self.facts is not None and self.facts.deleted

    @property
    def is_fanned_out(self) -> bool:
        return self.rev == self.number(b"shown")


class NewOwner(NamedTuple):
    """An object as it was seen, its owner with and without links, and who is about to hold a copy."""

    seen: StoredObject
    owner: Owner
    unlinked: Owner
    holders: Sequence[str]


class RelatedFact(NamedTuple):
    """What another object, at that number, states about an object: the field, and its value."""

    name: str
    about: str
    number: int
    value: bytes


class WrittenCopies(NamedTuple):
    """Whose copies of an object were written at a rev, and who held one before."""

    name: str
    rev: int
    holders: Sequence[str]
    former: Sequence[str]


class ObjectListener(Protocol):
    """Is called after changes, to maintain alerts. It raises nothing if the store is unavailable."""

    def object_applied(self, name: str, facts: StripeFacts, now: float) -> None:
        """Handle the new facts of an object."""

    def owners_saved(self, saved: Sequence[tuple[StoredObject, Owner]]) -> None:
        """Handle the new owners of objects."""


class Objects(StoreRecords):
    """Reads and writes objects. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, erased: ErasedReaders, listener: ObjectListener | None) -> None:
        super().__init__(store)
        self.erased = erased
        self._listener = listener

    def load(self, name: str) -> StoredObject:
        """Return an object; it has no fields if nothing is known of it."""
        return self.load_all([name])[0]

    def load_all(self, names: Sequence[str]) -> list[StoredObject]:
        """Return several objects in one round trip."""
        commands: list[Command] = []
        for name in names:
            key, lists = self.keys.stripe_object(name), (self.keys.copy_holders(name), self.keys.seats(name))
            commands.append((key, (b"HGETALL", key)))
            commands += [(key, (b"ZRANGE", key, b"0", b"-1", b"WITHSCORES")) for key in lists]
        replies = iter(self._link.read(commands))
        return [
            StoredObject(name, dict(field_pairs(fields)), scores(held), scores(seats))
            for name, fields, held, seats in zip(names, replies, replies, replies, strict=True)
        ]

    def begin_read(
        self, name: str, now: float, *, force: bool = False, wanted: bool = False, holding: int = 0
    ) -> tuple[int, bool]:
        """Take a number before a read from Stripe. Returns the number, and whether this process has the lease.

        `wanted`: the object must be read after this, by this process or the holder of the lease. `holding`: the number
        under which this process holds the lease already.
        """
        keys = [self.keys.stripe_object(name), self.keys.refresh_queue(partition_of(name))]
        until = ms(now + LEASE)
        number, leased = self._link.run(BEGIN, keys, [ms(now), until, int(force), int(wanted), name, holding])
        return number, leased == 1

    def request_reads(self, names: Sequence[str], now: float) -> None:
        """Request that each object is read from Stripe, in one round trip."""
        keys = [(self.keys.stripe_object(name), self.keys.refresh_queue(partition_of(name))) for name in names]
        self._link.run_all(
            [ScriptCall(BEGIN, pair, (ms(now), 0, 0, 1, name, 0)) for pair, name in zip(keys, names, strict=True)]
        )

    def apply(
        self,
        name: str,
        number: int,
        facts: StripeFacts | None,
        now: float,
        *,
        read: bool,
        version: StateVersion | None = None,
        due: float | None = None,
        rev: int | None = None,
    ) -> tuple[Verdict, int]:
        """Apply what was read from Stripe, or a payload. Returns the verdict of `lua/apply_object.lua`, and the rev."""
        facts = self.erased.hide_ids(facts) if facts is not None else None
        if version is not None and facts is not None:
            version = replace(version, fingerprint=facts.fingerprint)
        at, keys = partition_of(name), self.keys
        queues = (keys.refresh_queue(at), keys.fan_out_queue(at), keys.recheck_queue(at))
        final = facts is not None and (facts.terminal or facts.deleted)
        packed = facts_codec.pack_facts(facts) if facts else b""
        packed_version = facts_codec.pack_version(version) if version else b""
        turns = ("" if rev is None else rev, packed_version, "" if due is None else _score(due))
        verdict, stands = self._link.run(
            APPLY, [keys.stripe_object(name), *queues], [number, packed, int(read), int(final), ms(now), name, *turns]
        )
        if self._listener is not None and facts is not None and verdict == b"applied":
            self._listener.object_applied(name, facts, now)
        return cast(Verdict, verdict.decode()), stands

    def write_related(
        self, name: str, about: str, number: int, value: bytes, now: float, *, from_payload: bool = False
    ) -> bool:
        """Write what another object, at that number, states about this one. Returns whether it is new."""
        return self.write_all_related([RelatedFact(name, about, number, value)], now, from_payload=from_payload)[0]

    def write_all_related(self, facts: Sequence[RelatedFact], now: float, *, from_payload: bool = False) -> list[bool]:
        """Write several facts in one round trip, as `write_related` does. Returns which are new."""
        calls = []
        for name, about, number, value in facts:
            at, keys = partition_of(name), self.keys
            named = (keys.stripe_object(name), keys.fan_out_queue(at), keys.refresh_queue(at))
            calls.append(ScriptCall(WRITE_RELATED, named, (about, number, value, ms(now), name, int(from_payload))))
        return [bool(new) for new in self._link.run_all(calls)]

    def link_to_reader(self, name: str, reader: str, now: float, audit: bytes) -> Owner:
        """Link an object to a reader by an admin's decision, with its audit entry. Returns the owner before."""
        return self._set_link(name, reader, "", now, audit)[1]

    def unlink_from_reader(self, seen: StoredObject, now: float, audit: bytes) -> bool:
        """Remove the link of an object, with its audit entry. Returns `False` if the link has changed meanwhile."""
        return self._set_link(seen.name, "", seen.link or "", now, audit)[0]

    def _set_link(self, name: str, reader: str, removed: str, now: float, audit: bytes) -> tuple[bool, Owner]:
        queue, outbox = self.keys.fan_out_queue(partition_of(name)), self.keys.outbox(tag_of(name))
        keys = [self.keys.stripe_object(name), queue, outbox]
        has_changed, owner = self._link.run(LINK, keys, [reader, ms(now), name, audit, removed])
        return bool(has_changed), facts_codec.unpack_owner(owner)

    def save_owners(self, found: Sequence[NewOwner]) -> list[int]:
        """Save owners in one round trip. Returns the rev of each object, or 0 if the object has changed meanwhile."""
        calls = []
        for seen, owner, unlinked, holders in found:
            stored = facts_codec.pack_owner(owner) if owner.reader else b""
            without = facts_codec.pack_owner(unlinked) if unlinked != owner else b""
            keys = (self.keys.stripe_object(seen.name), self.keys.copy_holders(seen.name))
            calls.append(ScriptCall(SAVE_OWNER, keys, (seen.rev, stored, without, *holders)))
        revs: list[int] = self._link.run_all(calls)
        if self._listener is not None:
            saved = zip(revs, found, strict=True)
            self._listener.owners_saved([(one.seen, one.owner) for rev, one in saved if rev])
        return revs

    def record_copies(self, written: Sequence[WrittenCopies], *, last: bool) -> list[bool]:
        """Record which copies were written, in one round trip; `False` for an object that has changed meanwhile."""
        calls = []
        for name, rev, holders, former in written:
            queue = self.keys.fan_out_queue(partition_of(name))
            keys = (self.keys.stripe_object(name), self.keys.copy_holders(name), queue)
            calls.append(ScriptCall(RECORD_COPIES, keys, (rev, name, int(last), len(holders), *holders, *former)))
        return [bool(reply) for reply in self._link.run_all(calls)]

    def request_fan_out(self, name: str, now: float, *, above: int = 0) -> None:
        """Give an object a new number, so that its copies are written again. `above`: the number of a copy ahead of it."""
        partition = partition_of(name)
        keys = [self.keys.stripe_object(name), self.keys.fan_out_queue(partition), self.keys.refresh_queue(partition)]
        self._link.run(REQUEST_FAN_OUT, keys, [ms(now), name, above])

    def add_customer_object(self, customer: str, name: str) -> None:
        """Add an object to those of its customer, before the customer's owner is looked up, so that none is missed."""
        self._call(b"SADD", self.keys.customer_objects(customer), name)

    def list_customer_objects(self, customer: str) -> list[str]:
        return sorted(name.decode() for name in self._read_one(b"SMEMBERS", self.keys.customer_objects(customer)))

    def list_objects_of_customers(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Return the objects of those that are customers and have any, in one round trip."""
        keys = {name: self.keys.customer_objects(name.partition(":")[2]) for name in names if name[:9] == "customer:"}
        replies = self._read_each(b"SMEMBERS", keys.values())
        return {name: sorted(map(bytes.decode, found)) for name, found in zip(keys, replies, strict=True) if found}


def tag_of(name: str) -> bytes:
    """Return the hash tag of an object, in whose slot its audit entries are written too."""
    return partition_tag(partition_of(name))


def ms(moment: float) -> int:
    """Return milliseconds, the unit of scores and leases."""
    return int(moment * 1000)


def _score(moment: float) -> int | str:
    return "inf" if moment == float("inf") else ms(moment)


def scores(row: Sequence[Any]) -> dict[str, int]:
    """Return a reply WITHSCORES as member → score."""
    return {member.decode(): int(float(score)) for member, score in zip(row[::2], row[1::2], strict=True)}


NAMES_A_PARTITION = 200
"""The most names read from one partition at a time."""


class PendingWork(StoreRecords):
    """The queues of work about objects, read over all 64 partitions in one round trip. Raises: StoreUnavailable."""

    def list_to_refresh(self, now: float) -> list[str]:
        """Return the objects that have to be read from Stripe and whose next try is due; `now` can be infinite."""
        return self._names(self.keys.refresh_queue, now)

    def needs_refresh(self, name: str) -> bool:
        queue = self.keys.refresh_queue(partition_of(name))
        return self._read_one(b"ZSCORE", queue, name.encode()) is not None

    def list_to_fan_out(self, now: float) -> list[str]:
        """Return the objects whose copies have been out of date since before `now`."""
        return self._names(self.keys.fan_out_queue, now)

    def list_to_recheck(self, now: float) -> list[str]:
        """Return the objects that change by themselves about now."""
        return self._names(self.keys.recheck_queue, now)

    def postpone_refresh(self, name: str, until: float) -> None:
        """Set the next try to read this object, if it is in the queue."""
        self._call(b"ZADD", self.keys.refresh_queue(partition_of(name)), b"XX", ms(until), name)

    def schedule_recheck(self, name: str, until: float) -> None:
        """Set when this object is to be checked again."""
        self._call(b"ZADD", self.keys.recheck_queue(partition_of(name)), b"XX", _score(until), name)

    def make_due(self, now: float, *, later_than: float | None = None) -> None:
        """Make due at `now` what waits for a later moment, except rechecks, whose moments are Stripe's.

        A process whose clock was ahead put it there, and it would wait until other clocks are there too. With `later_than`
        only what waits for a moment after that; events that failed are not among it, since they wait for up to an hour.
        """
        queues = [self.keys.refresh_queue, self.keys.fan_out_queue]
        for key_at in queues if later_than is not None else [*queues, self.keys.inbox]:
            keys, least = [key_at(partition) for partition in range(PARTITIONS)], ms(later_than or now)
            rows = self._read_each(b"ZRANGEBYSCORE", keys, b"(%d" % least, b"+inf")
            later = [(key, name) for key, row in zip(keys, rows, strict=True) for name in row]
            self._link.pipeline([(key, (b"ZADD", key, b"XX", ms(now), name)) for key, name in later])

    def save_moment(self, what: str, moment: int) -> None:
        """Store when a job that exists once was last done (epoch seconds)."""
        self._call(b"SET", self.keys.shared(what), moment)

    def load_moment(self, what: str) -> int | None:
        """Return when that was, or `None`."""
        text = self._read_one(b"GET", self.keys.shared(what))
        return int(text) if text else None

    def count(self) -> dict[str, int]:
        """Return the lengths of all queues: objects `unread`, `unspread` and `kept`, events `pending` and `dead`."""
        keys = self.keys
        kinds = {"unread": keys.refresh_queue, "unspread": keys.fan_out_queue, "kept": keys.recheck_queue}
        kinds |= {"pending": keys.inbox, "dead": keys.dead_events}
        names = [key_at(partition) for key_at in kinds.values() for partition in range(PARTITIONS)]
        sizes = iter(self._read_each(b"ZCARD", names))
        return {kind: sum(islice(sizes, PARTITIONS)) for kind in kinds}

    def iterate_objects(self) -> Iterator[list[str]]:
        """Yield the names of all stored objects in pages; one can occur twice."""
        for partition in range(PARTITIONS):
            for row in self._link.scan_key(b"ZSCAN", self.keys.recheck_queue(partition), 500):
                yield [name.decode() for name in row[::2]]

    def _names(self, key_at: Callable[[int], bytes], upto: float) -> list[str]:
        limit = b"+inf" if upto == float("inf") else b"%d" % ms(upto)
        keys = [key_at(partition) for partition in range(PARTITIONS)]
        part = (b"-inf", limit, b"LIMIT", b"0", b"%d" % NAMES_A_PARTITION)
        rows = self._read_each(b"ZRANGEBYSCORE", keys, *part)
        return [name.decode() for row in rows for name in row]
