"""What admins say about Stripe's facts: whose an object is, who has a seat, and that two readers are one.

Each change goes with its audit entry, into an outbox in the slot of what it changes (design.md, decision 8).
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
from service.use_cases.subscriptions.processor import EventProcessor
from service.use_cases.subscriptions.projections import seats_paid_for


class AuditOutboxes(Protocol):
    """What is needed of the audit log."""

    def sign_entry(self, written: dict[str, Any]) -> bytes: ...
    def announce(self, reader: str) -> None: ...
    def announce_at(self, tag: bytes) -> None: ...
    def flush(self, reader: str) -> int: ...
    def flush_quietly(self, tag: bytes) -> int: ...


@dataclass(frozen=True, slots=True)
class LinkResult:
    """Whose it is now, by an admin's word, and whose it was."""

    reader: str
    was: str | None


@dataclass(frozen=True, slots=True)
class SeatGroup:
    """The seats of a subscription: how many are paid for, who has one, who lost one when there were fewer."""

    subscription: str
    quantity: int
    seats: tuple[Seat, ...]
    removed: tuple[Seat, ...]

    @property
    def used(self) -> int:
        """Return how many seats are assigned."""
        return len(self.seats)


class SubscriptionAdmin:
    """Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, processor: EventProcessor, audit: AuditOutboxes, merges: Merges) -> None:
        self._processor = processor
        self._audit = audit
        self._merges = merges

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
        """This is whose it is, above all metadata; also of one that Stripe has not told of yet."""
        name = f"customer:{customer}" if customer is not None else f"subscription:{subscription}"
        target = customer if customer is not None else subscription
        heir = self._processor.owners.find(reader).reader
        before = self._processor.objects.load(name)
        was = before.owner.reader
        known = {"reader": was} if was else None
        after = {"reader": heir}
        entry = self._entry(actor, "link", now, reader=heir, target=target, before=known, after=after, reason=reason)
        tag = partition_tag(partition_of(name))
        self._audit.announce_at(tag)
        new, owner = self._processor.objects.link_to_reader(
            name, heir, now, self._audit.sign_entry(entry), self._outbox(tag)
        )
        if before.facts is None:
            self._processor.refresh_soon(name, now)
        self._processor.fan_out_soon([name], now, f"audit:{entry['id']}")
        if new:
            self._audit.flush_quietly(tag)
        return LinkResult(heir, owner.reader)

    def load_seats(self, subscription: str, now: float) -> SeatGroup:
        """The seats of a subscription. `UnknownSubscription`, `NoSeats`."""
        obj, quantity = self._group(subscription, now)
        seats = sorted(obj.seats.items(), key=lambda seat: (seat[1], seat[0]))
        given = tuple(Seat(reader, since // 1000) for reader, since in seats)
        return SeatGroup(subscription, quantity, given, tuple(self._processor.seats.list_removed(obj.name)))

    def assign_seat(self, subscription: str, reader: str, actor: Actor, now: float) -> SeatGroup:
        """Gives a seat; given again it stays as it is. `UnknownSubscription`, `NoSeats`, `SeatsFull`."""
        heir = self._processor.owners.find(reader).reader
        after = {"subscription": subscription, "since": write_time(now)}
        entry = self._entry(actor, "seat.give", now, reader=heir, target=subscription, after=after)
        packed, name = self._audit.sign_entry(entry), f"subscription:{subscription}"
        tag = partition_tag(partition_of(name))
        self._audit.announce_at(tag)
        while True:
            obj, quantity = self._group(subscription, now)
            given = self._processor.seats.assign(name, obj.rev, quantity, heir, now, packed)
            if given == "full":
                raise SeatsFull
            if given != "retry":
                break
        self._show(name, tag, now, entry)
        return self.load_seats(subscription, now)

    def release_seat(
        self, subscription: str, reader: str, actor: Actor, now: float, reason: str | None = None
    ) -> SeatGroup:
        """Takes a seat back; taken again nothing changes. `UnknownSubscription`, `NoSeats`."""
        obj, _ = self._group(subscription, now)
        heir = self._processor.owners.find(reader).reader
        since = obj.seats.get(heir)
        before = {"subscription": subscription, "since": write_time(since / 1000)} if since else None
        entry = self._entry(actor, "seat.take", now, reader=heir, target=subscription, before=before, reason=reason)
        tag = partition_tag(partition_of(obj.name))
        self._audit.announce_at(tag)
        self._processor.seats.release(obj.name, heir, now, self._audit.sign_entry(entry))
        self._show(obj.name, tag, now, entry)
        return self.load_seats(subscription, now)

    def merge_readers(self, reader: str, gone: str, actor: Actor, now: float, reason: str | None = None) -> str:
        """Makes two readers one, and gives the id that stays. `CannotMerge`."""
        stays = self._processor.owners.find(reader).reader
        entry = self._entry(actor, "merge", now, reader=stays, target=gone, after={"from": gone}, reason=reason)
        verdict, stays = self._merges.commit(Merge(gone, reader, self._audit.sign_entry(entry).decode(), now))
        if verdict == "circle":
            raise CannotMerge("a reader cannot be merged into itself, nor into one that was merged into it")
        if verdict == "elsewhere":
            raise CannotMerge("this reader was merged into another one before")
        self.finish_merges(now)
        return stays

    def find_event(self, event: str) -> LedgerEntry:
        """Return an event of the ledger. Raises: `UnknownEvent`."""
        found = self._processor.ledger.find(event)
        if found is None:
            raise UnknownEvent
        return found

    def replay_event(self, event: str, actor: Actor, now: float) -> LedgerEntry:
        """Put an event back into the inbox, and process it. Raises: `UnknownEvent`."""
        found = self.find_event(event)
        entry = self._entry(actor, "event.replay", now, reader=None, target=event, before={"state": found.state})
        tag = partition_tag(partition_of(found.name))
        self._audit.announce_at(tag)
        self._processor.inbox.write_audit_entry(self._outbox(tag), self._audit.sign_entry(entry))
        self._processor.replay(found.id, found.name, now)
        self._audit.flush_quietly(tag)
        return self.find_event(event)

    def finish_merges(self, now: float) -> int:
        """Rolls every committed merge forward to its end, also another's; each step can be repeated. Gives how many."""
        merges = self._merges.list_unfinished()
        for merge in merges:
            self._roll(merge, now)
        return len(merges)

    def _roll(self, merge: Merge, now: float) -> None:
        self._merges.carry_over(merge, now)
        self._audit.announce(merge.stays)
        self._merges.inherit(merge)
        self._merges.redirect(merge)
        # Once more: what came in between. From now on nothing can be put with the one that goes.
        self._merges.carry_over(merge, now)
        self._merges.write_tombstones(merge, now)
        for name in {
            *self._merges.list_stripe_objects(merge.gone),
            *self._processor.readers.list_owned_objects(merge.gone),
        }:
            self._processor.seats.move_to_heir(name, merge.gone, merge.stays, now)
            self._processor.objects.request_fan_out(name, now)
            self._processor.fan_out_soon([name], now, "merge")
        self._processor.merged(merge.gone, merge.stays, now)
        self._merges.mark_finished(merge.gone)
        self._audit.flush(merge.stays)

    def _group(self, subscription: str, now: float) -> tuple[StoredObject, int]:
        """The subscription and its quantity; one that was never told of is looked up at Stripe, once."""
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

    def _show(self, name: str, tag: bytes, now: float, entry: dict[str, Any]) -> None:
        self._processor.fan_out_soon([name], now, f"audit:{entry['id']}")
        self._audit.flush_quietly(tag)

    def _outbox(self, tag: bytes) -> bytes:
        return self._processor.readers.keys.outbox(tag)

    @staticmethod
    def _entry(
        actor: Actor,
        action: str,
        now: float,
        *,
        reader: str | None,
        target: str | None,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
        reason: str | None = None,
    ) -> dict[str, Any]:
        return audit_entry(
            actor, action, now=now, reader=reader, target=target, before=before, after=after, reason=reason
        )
