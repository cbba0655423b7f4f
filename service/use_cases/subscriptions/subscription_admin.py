"""What admins do to subscriptions: link them to readers, merge readers, assign and release seats, replay events.

Each change carries its audit entry, into an outbox in the slot of what it changes (design decision 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from service.adapters.redis.audit.audit import Actor, audit_entry
from service.adapters.redis.client.keys import partition_of, partition_tag
from service.adapters.redis.reader_lifecycle.merges import Merge, Merges
from service.adapters.redis.stripe_objects.ledger import LedgerEntry
from service.adapters.redis.stripe_objects.objects import StoredObject
from service.adapters.redis.stripe_objects.seats import Seat
from service.domain.errors import CannotMerge, NoSeats, SeatsFull, UnknownEvent, UnknownSubscription
from service.domain.times import write_time
from service.use_cases.subscriptions.event_processor import EventProcessor
from service.use_cases.subscriptions.projections import seats_paid_for


class AuditOutboxes(Protocol):
    """What these use cases need of the audit log."""

    def sign_entry(self, written: dict[str, Any]) -> bytes: ...
    def announce(self, reader: str) -> None: ...
    def announce_at(self, tag: bytes) -> None: ...
    def flush(self, reader: str) -> int: ...
    def flush_quietly(self, tag: bytes) -> int: ...


@dataclass(frozen=True, slots=True)
class LinkResult:
    """The reader to whom an object is linked, and the owner before."""

    reader: str
    was: str | None


@dataclass(frozen=True, slots=True)
class SeatGroup:
    """The seats of a subscription: paid for, assigned, and removed because fewer were paid for."""

    subscription: str
    quantity: int
    seats: tuple[Seat, ...]
    removed: tuple[Seat, ...]

    @property
    def used(self) -> int:
        """Return how many seats are assigned."""
        return len(self.seats)


class SubscriptionAdmin:
    """Changes by admins. Raises: StoreUnavailable."""

    def __init__(self, processor: EventProcessor, audit: AuditOutboxes, merges: Merges) -> None:
        self._processor = processor
        self._audit = audit
        self._merges = merges

    # -------------------------------------------------------------------------------------------- link and merge

    def link_to_reader(
        self,
        reader: str,
        *,
        customer: str | None = None,
        subscription: str | None = None,
        actor: Actor,
        now: float,
        reason: str | None = None,
    ) -> LinkResult:
        """Link a customer or a subscription to a reader, above all claims; also one that Stripe has not reported yet."""
        processor = self._processor
        name = f"customer:{customer}" if customer is not None else f"subscription:{subscription}"
        target = customer if customer is not None else subscription
        heir = processor.owners.find_reader(reader).reader
        stored = processor.objects.load(name)
        was = stored.owner.reader
        before, after = {"reader": was} if was else None, {"reader": heir}
        entry = audit_entry(
            actor, "link", now=now, reader=heir, target=target, before=before, after=after, reason=reason
        )
        tag = partition_tag(partition_of(name))
        self._audit.announce_at(tag)
        new, owner = processor.objects.link_to_reader(name, heir, now, self._audit.sign_entry(entry), self._outbox(tag))
        if stored.facts is None:
            processor.refresh_soon(name, now)
        processor.fan_out_soon([name], now, f"audit:{entry['id']}")
        if new:
            self._audit.flush_quietly(tag)
        return LinkResult(heir, owner.reader)

    def merge_readers(self, reader: str, removed: str, actor: Actor, now: float, reason: str | None = None) -> str:
        """Merge the reader `removed` into another one. Return the ID that stays. Raises: CannotMerge."""
        stays = self._processor.owners.find_reader(reader).reader
        entry = audit_entry(
            actor, "merge", now=now, reader=stays, target=removed, after={"from": removed}, reason=reason
        )
        verdict, stays = self._merges.commit(Merge(removed, reader, self._audit.sign_entry(entry).decode(), now))
        if verdict == "circle":
            raise CannotMerge("a reader cannot be merged into itself, nor into one that was merged into it")
        if verdict == "elsewhere":
            raise CannotMerge("this reader was merged into another one before")
        self.finish_merges(now)
        return stays

    def finish_merges(self, now: float) -> int:
        """Finish every committed merge, also of other processes; each step can be repeated. Return how many there were."""
        merges = self._merges.list_unfinished()
        for merge in merges:
            self._finish_merge(merge, now)
        return len(merges)

    def _finish_merge(self, merge: Merge, now: float) -> None:
        processor = self._processor
        self._merges.carry_over(merge, now)
        self._audit.announce(merge.stays)
        self._merges.inherit(merge)
        self._merges.redirect(merge)
        # Again, for what was written meanwhile. From now on nothing can be written to the removed reader.
        self._merges.carry_over(merge, now)
        self._merges.write_tombstones(merge, now)
        names = {*self._merges.list_stripe_objects(merge.gone), *processor.readers.list_owned_objects(merge.gone)}
        for name in names:
            processor.seats.move_to_heir(name, merge.gone, merge.stays, now)
            processor.objects.request_fan_out(name, now)
            processor.fan_out_soon([name], now, "merge")
        processor.projections.move_known(merge.gone, merge.stays, now)
        self._merges.mark_finished(merge.gone)
        self._audit.flush(merge.stays)

    # ------------------------------------------------------------------------------------------------------ seats

    def load_seats(self, subscription: str, now: float) -> SeatGroup:
        """Return the seats of a subscription. Raises: UnknownSubscription, NoSeats."""
        obj, quantity = self._load_group(subscription, now)
        seats = sorted(obj.seats.items(), key=lambda seat: (seat[1], seat[0]))
        assigned = tuple(Seat(reader, since // 1000) for reader, since in seats)
        return SeatGroup(subscription, quantity, assigned, tuple(self._processor.seats.list_removed(obj.name)))

    def assign_seat(self, subscription: str, reader: str, actor: Actor, now: float) -> SeatGroup:
        """Assign a seat; a second time changes nothing. Raises: UnknownSubscription, NoSeats, SeatsFull."""
        heir = self._processor.owners.find_reader(reader).reader
        after = {"subscription": subscription, "since": write_time(now)}
        entry = audit_entry(actor, "seat.give", now=now, reader=heir, target=subscription, after=after)
        signed, name = self._audit.sign_entry(entry), f"subscription:{subscription}"
        self._audit.announce_at(partition_tag(partition_of(name)))
        while True:
            obj, quantity = self._load_group(subscription, now)
            verdict = self._processor.seats.assign(name, obj.rev, quantity, heir, now, signed)
            if verdict == "full":
                raise SeatsFull
            if verdict != "retry":
                break
        return self._fan_out_seats(subscription, now, entry)

    def release_seat(
        self, subscription: str, reader: str, actor: Actor, now: float, reason: str | None = None
    ) -> SeatGroup:
        """Release a seat; a second time changes nothing. Raises: UnknownSubscription, NoSeats."""
        obj, _ = self._load_group(subscription, now)
        heir = self._processor.owners.find_reader(reader).reader
        since = obj.seats.get(heir)
        before = {"subscription": subscription, "since": write_time(since / 1000)} if since else None
        entry = audit_entry(actor, "seat.take", now=now, reader=heir, target=subscription, before=before, reason=reason)
        self._audit.announce_at(partition_tag(partition_of(obj.name)))
        self._processor.seats.release(obj.name, heir, now, self._audit.sign_entry(entry))
        return self._fan_out_seats(subscription, now, entry)

    def _load_group(self, subscription: str, now: float) -> tuple[StoredObject, int]:
        """Return a subscription and its paid seats; an unknown one is read from Stripe, once."""
        name = f"subscription:{subscription}"
        obj = self._processor.objects.load(name)
        if obj.facts is None:
            self._processor.refresh_soon(name, now)
            obj = self._processor.objects.load(name)
        if obj.facts is None:
            raise UnknownSubscription
        quantity = seats_paid_for(obj.facts, self._processor.catalogue)
        if quantity is None:
            raise NoSeats
        return obj, quantity

    def _fan_out_seats(self, subscription: str, now: float, entry: dict[str, Any]) -> SeatGroup:
        name = f"subscription:{subscription}"
        self._processor.fan_out_soon([name], now, f"audit:{entry['id']}")
        self._audit.flush_quietly(partition_tag(partition_of(name)))
        return self.load_seats(subscription, now)

    # ----------------------------------------------------------------------------------------------------- events

    def find_event(self, event: str) -> LedgerEntry:
        """Return an event of the ledger. Raises: UnknownEvent."""
        found = self._processor.ledger.find(event)
        if found is None:
            raise UnknownEvent
        return found

    def replay_event(self, event: str, actor: Actor, now: float) -> LedgerEntry:
        """Put an event back into the inbox, and process it. Raises: UnknownEvent."""
        found = self.find_event(event)
        entry = audit_entry(actor, "event.replay", now=now, reader=None, target=event, before={"state": found.state})
        tag = partition_tag(partition_of(found.name))
        self._audit.announce_at(tag)
        self._processor.inbox.write_audit_entry(self._outbox(tag), self._audit.sign_entry(entry))
        self._processor.replay_event(found.id, found.name, now)
        self._audit.flush_quietly(tag)
        return self.find_event(event)

    def _outbox(self, tag: bytes) -> bytes:
        return self._processor.readers.keys.outbox(tag)
