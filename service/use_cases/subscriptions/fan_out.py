"""Fan out an object: write its source to every reader who holds it, and a tombstone to those who no longer do.

The object's `rev` goes with every copy, and a lower one never overwrites a higher. The holders are saved with the object
before their copies are written, so a crash leaves no copy that the object does not know. The fan-out ends only if the
object is still what was fanned out; otherwise it starts again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import HoldingsCache, Readers, tombstone_of, write_of
from service.adapters.redis.stripe_objects.objects import NewOwner, Objects, StoredObject, WrittenCopies
from service.adapters.redis.stripe_objects.seats import Seats
from service.domain.catalogue import Catalogue
from service.domain.decision import Entitlements, Held, resolve_entitlements
from service.domain.sources import Source, end_order
from service.use_cases.subscriptions.owner_resolution import (
    OwnerResolver,
    ResolvedOwner,
    StoredReader,
    customer_to_read,
)
from service.use_cases.subscriptions.projections import copies_by_holder, is_expired, seats_paid_for
from service.use_cases.subscriptions.related_objects import FollowUps, RelatedObjects

ATTEMPTS = 20
"""Attempts for an object that keeps changing; then the worker continues."""
CHUNK = 50
"""Copies after which the deadline is checked: a group can have thousands."""
MOST_NOTED = 100
"""The most readers whose changes are noted with one event: a group's renewal changes thousands alike."""

OTHERS_CUSTOMER = frozenset("tf")
"""Letters of copies whose holder is not the customer: a seat's and a gift's."""

NoteChanges = Callable[[dict[str, list[object]]], None]
Rows = list[tuple[str, int | None, str]]
"""Feature, end and source of each entitlement."""


@dataclass(frozen=True, slots=True)
class FanOutRequest:
    """`cause` goes to the readers' histories, `note` receives changed entitlements by reader."""

    now: float
    cause: str
    has_time: Callable[[], bool]
    note: NoteChanges | None


@dataclass(slots=True)
class FanOutAttempt:
    """One attempt: the object as it was read, the `rev` of its copies, and the readers that were read for it."""

    obj: StoredObject
    rev: int
    request: FanOutRequest
    readers: dict[str, StoredReader]
    noted: int = 0

    def note(self, changes: Mapping[str, EntitlementDiff]) -> None:
        """Note with the event what is about to change."""
        found: dict[str, list[object]] = {reader: [c.before, c.after] for reader, c in changes.items() if c.differs}
        if self.request.note is not None and found and self.noted < MOST_NOTED:
            self.noted += len(found)
            self.request.note(found)


@dataclass(frozen=True)
class FanOut:
    """Fans out objects. Raises: StoreUnavailable; what is not finished is marked in the store."""

    objects: Objects
    seats: Seats
    owners: OwnerResolver
    related: RelatedObjects
    writer: ProjectionWriter
    catalogue: Catalogue

    def fan_out_object(self, name: str, request: FanOutRequest, follow_ups: FollowUps) -> bool:
        """Write and remove the copies of an object. Return whether all is done, and add to `follow_ups` what is next."""
        for _ in range(ATTEMPTS):
            obj = self.objects.load(name)
            if obj.is_fanned_out:
                return True
            if obj.number(b"behind"):  # Its copies are newer than it is; only a read from Stripe can decide.
                return False
            if self._changed_before(obj, request.now, follow_ups):
                continue
            found = self.owners.resolve_owners([obj])[0]
            reader, wanted = found.reader, copies_by_holder(obj, found.owner)
            missing, rev = self._save_holders(obj, found, wanted)
            if not rev:
                continue
            self.related.update_related(obj, found, rev, request.now, follow_ups)
            attempt = FanOutAttempt(obj, rev, request, {reader.reader: reader} if reader else {})
            done = self._write(attempt, wanted, missing)
            if done is not None:
                return done
        return False

    def _changed_before(self, obj: StoredObject, now: float, follow_ups: FollowUps) -> bool:
        """Do what has to precede the choice of the owner. Return whether that has changed the object."""
        if (facts := obj.facts) is None:
            return False
        if self.related.add_to_customer(obj, facts, now):
            return True
        if customer := customer_to_read(obj):
            follow_ups.to_read.append(customer)
        paid = seats_paid_for(facts, self.catalogue) or 0
        return len(obj.seats) > paid and self.seats.trim(obj.name, obj.rev, paid, now) > 0

    def _save_holders(
        self, obj: StoredObject, found: ResolvedOwner, wanted: dict[str, Source | None]
    ) -> tuple[list[str], int]:
        """Save the owner and the new holders. Return the holders without a current copy, and the rev (0: start again)."""
        new = [holder for holder in wanted if holder not in obj.held]
        (rev,) = self.objects.save_owners([NewOwner(obj, found.owner, found.unlinked, new)])
        return holders_to_write(obj, wanted, rev), rev

    def _write(self, attempt: FanOutAttempt, wanted: dict[str, Source | None], missing: Sequence[str]) -> bool | None:
        """Write and remove copies. Return `None` if the object has changed meanwhile, so that all starts again."""
        obj, has_time = attempt.obj, attempt.request.has_time
        for start in range(0, len(missing), CHUNK):
            if start and not has_time():
                return False
            chunk = missing[start : start + CHUNK]
            if not self.writer.write_copies(attempt, {holder: wanted[holder] for holder in chunk}):
                return None
            if self._moved_seats(attempt, chunk):
                return None
        former = [holder for holder in obj.held if holder not in wanted]
        for start in range(0, len(former), CHUNK):
            if start and not has_time():
                return False
            self.writer.write_tombstones(attempt, former[start : start + CHUNK])
        (is_done,) = self.objects.record_copies([WrittenCopies(obj.name, attempt.rev, [], former)], last=True)
        return is_done or None

    def _moved_seats(self, attempt: FanOutAttempt, holders: Sequence[str]) -> bool:
        """Move a seat that was assigned while its reader was merged: the merge may not have seen it."""
        found = [
            (holder[2:], attempt.readers[holder[2:]].reader) for holder in holders if holder[2:] in attempt.readers
        ]
        merged = [(removed, stays) for removed, stays in found if removed != stays and removed in attempt.obj.seats]
        for removed, stays in merged:
            self.seats.move_to_heir(attempt.obj.name, removed, stays, attempt.request.now)
        return bool(merged)


@dataclass(frozen=True)
class ProjectionWriter:
    """Writes copies of an object to readers, and tombstones. Raises: StoreUnavailable."""

    objects: Objects
    readers: Readers
    owners: OwnerResolver
    catalogue: Catalogue
    holdings: HoldingsCache
    known: RecentEntitlements | None

    def write_copies(self, attempt: FanOutAttempt, wanted: Mapping[str, Source | None]) -> bool:
        """Note changes and write copies. Return `False` if a reader was merged or a later state was written meanwhile."""
        now, rev = attempt.request.now, attempt.rev
        sources = {holder: source for holder, source in wanted.items() if source is not None}
        readers = self._readers_of(attempt, sources)
        copies = [(readers[h], source, is_expired(source, self.catalogue, now)) for h, source in sources.items()]
        changes = {}
        for reader, source, expired in copies:
            record = None if expired else source_codec.encode(source, rev)
            changes[reader.reader] = self._diff(reader, source_codec.field_of(source), record, now)
        attempt.note(changes)
        for reader, source, expired in copies:
            write = write_of(source, rev, ended=expired, now=now, cause=attempt.request.cause)
            outcome = self.readers.write(reader.reader, write)
            if outcome.is_late(rev):
                self._raise_counter(attempt, outcome.number)
                return False
            if expired or changes[reader.reader].removes_access:
                self.refresh_known([reader.reader], now)
        self._save_customer(attempt, wanted)
        return self.objects.record_copies([WrittenCopies(attempt.obj.name, rev, list(wanted), [])], last=False)[0]

    def write_tombstones(self, attempt: FanOutAttempt, holders: Sequence[str]) -> None:
        """Write a numbered tombstone to every reader who no longer holds a copy."""
        now, cause = attempt.request.now, attempt.request.cause
        names = list(dict.fromkeys(holder[2:] for holder in holders if holder[0] != "c"))
        readers = dict(zip(names, self.owners.find_readers(names), strict=True))
        for letter, reader in [(holder[0], holder[2:]) for holder in holders]:
            if letter != "c":
                field = f"{letter}:{attempt.obj.ref.id}".encode()
                attempt.note({reader: self._diff(readers[reader], field, None, now)})
                self.readers.write(reader, tombstone_of(field, attempt.rev, now=now, cause=cause))
                self.refresh_known([reader], now)
            if letter not in OTHERS_CUSTOMER:
                self.readers.write_customer(reader, attempt.obj.name, attempt.rev, None)

    def move_known(self, removed: str, stays: str, now: float) -> None:
        """After a merge move what this machine knows of the removed reader to the remaining one."""
        if self.known is not None:
            self.known.merge(reader_hash(removed), reader_hash(stays), lambda: self._held(stays, now))

    def _readers_of(self, attempt: FanOutAttempt, sources: Mapping[str, Source]) -> dict[str, StoredReader]:
        missing = [reader for holder in sources if (reader := holder[2:]) not in attempt.readers]
        attempt.readers |= dict(zip(missing, self.owners.find_readers(missing), strict=True))
        return {holder: attempt.readers[holder[2:]] for holder in sources}

    def _entitlements(self, hot: Mapping[bytes, bytes], now: float) -> Entitlements:
        return resolve_entitlements(self.holdings.holdings(hot), self.catalogue.features, now)

    def _diff(self, reader: StoredReader, field: bytes, record: bytes | None, now: float) -> EntitlementDiff:
        """Return what a new record under the field changes; `None`: no record that opens anything."""
        after = {name: value for name, value in reader.hot.items() if name != field}
        if record is not None:
            after[field] = record
        return EntitlementDiff(_rows(self._entitlements(reader.hot, now)), _rows(self._entitlements(after, now)))

    def refresh_known(self, readers: Collection[str], now: float) -> None:
        """Replace what this machine knows of the readers, which no longer holds."""
        if self.known is not None and readers:
            self.known.refresh({reader_hash(reader): partial(self._held, reader, now) for reader in readers})

    def _held(self, reader: str, now: float) -> Held:
        return self._entitlements(self.owners.find_reader(reader).hot, now).held

    def _raise_counter(self, attempt: FanOutAttempt, number: int) -> None:
        """Raise the object's counter above a copy's number, unless a later state explains that number."""
        if self.objects.load(attempt.obj.name).rev < number:
            self.objects.request_fan_out(attempt.obj.name, attempt.request.now, above=number)

    def _save_customer(self, attempt: FanOutAttempt, wanted: Mapping[str, Source | None]) -> None:
        customer, holders = customer_to_list(attempt.obj, wanted)
        for holder in holders:
            self.readers.write_customer(holder[2:], attempt.obj.name, attempt.rev, customer)


def holders_to_write(obj: StoredObject, wanted: Iterable[str], rev: int) -> list[str]:
    """Return the holders without a current copy."""
    lowest = max(obj.number(b"facts") if rev == obj.rev else rev, 1)
    # A copy above the rev is of a counter that has lost its last numbers; writing the copy finds out.
    return [holder for holder in wanted if not lowest <= obj.held.get(holder, 0) <= rev]


def customer_to_list(obj: StoredObject, holders: Iterable[str]) -> tuple[str | None, list[str]]:
    """Return the object's customer, and the new holders with whom it is to be listed.

    It is not listed with the holder of a seat or a gift: another customer paid for it.
    """
    customer = obj.ref.id if obj.ref.kind == "customer" else obj.facts.customer if obj.facts else None
    due = [holder for holder in holders if holder[0] not in OTHERS_CUSTOMER and not obj.held.get(holder)]
    return customer, due if customer else []


@dataclass(frozen=True, slots=True)
class EntitlementDiff:
    """A reader's entitlements before and after a change."""

    before: Rows
    after: Rows

    @property
    def differs(self) -> bool:
        return self.before != self.after

    @property
    def removes_access(self) -> bool:
        """Whether a feature is no longer held, or ends earlier."""
        left = {name: end_order(until) for name, until, _ in self.after}
        return any(name not in left or left[name] < end_order(until) for name, until, _ in self.before)


def _rows(entitlements: Entitlements) -> Rows:
    return [(name, holding.until, holding.key) for name, holding in entitlements.by_feature.items()]
