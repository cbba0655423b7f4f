"""The inbox of Stripe's events: an event is recorded before it is processed, by any process, and marked done at the very end.

An event lies in the partition of its first object, together with the inbox. So recording it, taking the object's number for
it and marking it done are one step each. Its hash is kept for 35 days, because Stripe resends for 30:

    type, object, created, received (ms), state, why, attempts, duplicates     what the ledger shows
    name      its first object        says     the facts of its payload, until it is done
    c:…       a reader's entitlements before and after (`record_changes`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from service.adapters.redis.client.keys import PARTITIONS, partition_of
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.adapters.redis.records import StoreRecords, encode_json
from service.adapters.redis.stripe_objects import facts_codec
from service.adapters.redis.stripe_objects.objects import LEASE, ms, tag_of
from service.domain.stripe_facts import EventContent, ObjectRef, PaymentRef

RECORD, FINISH, FAIL = load("record_event"), load("finish_events"), load("record_event_failure")

KEPT_FOR = 35 * 86_400
"""Seconds for which an event is known, so that a duplicate is only counted."""
MOST_EVENTS = 1_000_000
ABANDONED_AFTER = 60.0
"""Seconds after which an event that a process works on counts as abandoned."""
MOST_TRIES = 10
GAVE_UP = "Stripe could not be read in ten tries; it is finished once it can be, or replay it"

State = Literal["pending", "applied", "stale", "ignored", "dead"]
Mode = Literal["deliver", "list", "replay"]


@dataclass(frozen=True, slots=True)
class InboxEvent:
    """An event as received: what the ledger shows, and its signal. `why` is a reason to ignore it."""

    id: str
    type: str
    object: str | None
    created: int
    content: EventContent
    why: str = ""

    @property
    def name(self) -> str:
        """Return the object in whose partition the event lies; for an event about no stored object, a name of its own."""
        return self.content.refs[0].name if self.content.refs else f"event:{self.id}"


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """The result of recording: the state before (`None`: new), the number taken, and whether this process has the lease."""

    before: State | None
    number: int
    leased: bool


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event that is not done, with its number."""

    id: str
    number: int
    type: str
    created: int
    content: EventContent


@dataclass(frozen=True, slots=True)
class EventResult:
    """What has become of an event; `pending` means that it waits for the object to be read."""

    id: str
    state: State
    why: str = ""


class Inbox(StoreRecords):
    """Records events and their results. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, erased: ErasedReaders) -> None:
        super().__init__(store)
        self._erased = erased

    def record(self, event: InboxEvent, now: float, *, mode: Mode = "deliver", lease: bool = True) -> RecordOutcome:
        """Record an event durably; of a known event count the duplicate. The call can be repeated."""
        fields: list[bytes | str | int] = ["type", event.type, "object", event.object or ""]
        fields += ["created", event.created, "name", event.name]
        if event.content.refs and not event.why:
            facts, previous = event.content.facts, self._erased.key_digests(event.content.previous)
            kept = self._erased.hide_ids(facts) if facts else None
            fields += ["says", pack_content(replace(event.content, facts=kept, previous=previous))]
        return self._record(event.id, event.name, now, mode, lease=lease, why=event.why, fields=fields)

    def replay(self, event: str, name: str, now: float) -> RecordOutcome:
        """Put a known event back into the inbox, whatever its state."""
        return self._record(event, name, now, "replay")

    def _record(
        self,
        event: str,
        name: str,
        now: float,
        mode: Mode,
        *,
        lease: bool = False,
        why: str = "",
        fields: Sequence[bytes | str | int] = (),
    ) -> RecordOutcome:
        at, keys = partition_of(name), self.keys
        lists = (keys.ledger(at), keys.inbox(at), keys.dead_events(at))
        until = ms(now + LEASE) if lease else 0
        before, number, leased = self._link.run(
            RECORD,
            [keys.stripe_event(at, event), *lists, keys.stripe_object(name), keys.pending_events(name)],
            [event, ms(now), KEPT_FOR, ms(now + ABANDONED_AFTER), until, mode, ms(now - KEPT_FOR), why, *fields],
        )
        return RecordOutcome(cast(Any, before.decode() or None), number, leased == 1)

    def load_pending(self, name: str, upto: int) -> list[PendingEvent]:
        """Return the events about an object that are not done and have at most this number, in order."""
        partition, key = partition_of(name), self.keys.pending_events(name)
        row = self._read_one(b"ZRANGEBYSCORE", key, b"-inf", b"%d" % upto, b"WITHSCORES")
        keys = [self.keys.stripe_event(partition, event.decode()) for event in row[::2]]
        found = self._read_each(b"HMGET", keys, b"type", b"created", b"says")
        return [
            PendingEvent(event.decode(), int(number), (kind or b"").decode(), int(created or 0), unpack_content(says))
            for event, number, (kind, created, says) in zip(row[::2], row[1::2], found, strict=True)
        ]

    def list_pending_ids(self, name: str, upto: int) -> list[str]:
        """Return only the IDs of those events."""
        row = self._read_one(b"ZRANGEBYSCORE", self.keys.pending_events(name), b"-inf", b"%d" % upto)
        return [event.decode() for event in row]

    def release_lease(self, name: str, holder: int) -> None:
        """Release the lease, whatever else there is to do."""
        self.finish(name, 1 << 53, holder, [])

    def finish(
        self,
        name: str,
        number: int,
        holder: int,
        done: Sequence[EventResult],
        *,
        failed: bool = False,
        now: float = 0.0,
        gives_up: bool = False,
    ) -> bool:
        """Record the results of events. Returns whether more have arrived meanwhile, for the holder of the lease.

        `gives_up`: an event that still waits for a read is given up after ten attempts.
        """
        at, most = partition_of(name), MOST_TRIES if gives_up else 0
        keys = [*self._keys_of(name, at), *(self.keys.stripe_event(at, one.id) for one in done)]
        results = [part for one in done for part in (one.id, one.state, one.why)]
        return bool(self._link.run(FINISH, keys, [number, holder, int(failed), ms(now), most, GAVE_UP, *results]))

    def record_failure(self, name: str, events: Sequence[str], now: float, why: str) -> None:
        """Record that processing these events failed here: they are retried later, up to ten times."""
        at = partition_of(name)
        keys = [*self._keys_of(name, at), self.keys.refresh_queue(at)]
        keys += [self.keys.stripe_event(at, event) for event in events]
        self._link.run(FAIL, keys, [ms(now), name, MOST_TRIES, why, *events])

    def _keys_of(self, name: str, partition: int) -> list[bytes]:
        names = [self.keys.stripe_object(name), self.keys.pending_events(name)]
        return [*names, self.keys.inbox(partition), self.keys.dead_events(partition)]

    def record_changes(self, name: str, event: str, changes: Mapping[str, object]) -> None:
        """Record what an event changes, by reader, before it is changed, so that a crash leaves no unknown change."""
        key = self.keys.stripe_event(partition_of(name), event)
        pairs = [part for reader, change in changes.items() for part in (f"c:{reader}", encode_json(change))]
        self._call(b"HSET", key, *pairs)

    def write_audit_entry(self, name: str, audit: bytes) -> None:
        self._call(b"RPUSH", self.keys.outbox(tag_of(name)), audit)

    def find_state(self, name: str, event: str) -> State | None:
        state = self._read_one(b"HGET", self.keys.stripe_event(partition_of(name), event), b"state")
        return cast(Any, state.decode()) if state else None

    def list_abandoned(self, now: float, *, all_of_them: bool) -> list[str]:
        """Return the objects with events that no process works on; with `all_of_them`, with any event that is not done."""
        upto = b"+inf" if all_of_them else b"%d" % ms(now)
        keys = [self.keys.inbox(partition) for partition in range(PARTITIONS)]
        rows = self._read_each(b"ZRANGEBYSCORE", keys, b"-inf", upto, b"LIMIT", b"0", b"500")
        places = [(partition, event) for partition, row in enumerate(rows) for event in row]
        events = [self.keys.stripe_event(partition, event.decode()) for partition, event in places]
        names = self._read_each(b"HGET", events, b"name")
        for (partition, event), name in zip(places, names, strict=True):
            if not name:  # Its hash has expired, so that no process can work on it.
                self._call(b"ZREM", self.keys.inbox(partition), event)
        return list(dict.fromkeys(name.decode() for name in names if name))


def pack_content(content: EventContent) -> bytes:
    refs = [ref.name for ref in content.refs]
    facts = [content.facts.ref.name, facts_codec.pack_facts(content.facts).decode()] if content.facts else None
    update = facts_codec.payment_update_row(content.payment_update)
    return facts_codec.pack_row([refs, facts, update, content.previous, content.paid_at])


def unpack_content(says: bytes | None) -> EventContent:
    """Return the content that `pack_content` packed; an empty one for an event that is stored without it."""
    if not says:
        return EventContent()
    names, packed, update, previous, paid_at = facts_codec.unpack_row(says)
    ref = ref_from(packed[0]) if packed else None
    facts = facts_codec.unpack_facts(ref, packed[1].encode()) if isinstance(ref, ObjectRef) else None
    refs = tuple(ref_from(name) for name in names)
    return EventContent(refs, facts, facts_codec.payment_update_from(update), previous, paid_at)


def ref_from(name: str) -> ObjectRef | PaymentRef:
    kind, _, ident = name.partition(":")
    return ObjectRef(cast(Any, kind), ident) if kind in KEPT_KINDS else PaymentRef(cast(Any, kind), ident)


KEPT_KINDS = frozenset({"subscription", "session", "customer", "entitlements"})
