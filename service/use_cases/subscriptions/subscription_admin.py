"""What admins do to subscriptions: link them to readers, merge readers, assign and release seats, replay events.

Each change carries its audit entry, into an outbox in the slot of what it changes (design decision 8).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from service.adapters.redis.audit.audit import Actor, audit_entry
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.reader_lifecycle.merges import Merge, Merges
from service.adapters.redis.stripe_objects.ledger import LedgerEntry
from service.adapters.redis.stripe_objects.objects import StoredObject, tag_of
from service.adapters.redis.stripe_objects.seats import Seat, SeatVerdict, seats_of
from service.domain.errors import (
    CannotMerge,
    InvalidFields,
    NoSeats,
    NoSuchObject,
    NotLinked,
    SeatsFull,
    StripeRefused,
    StripeUnavailable,
    UnknownEvent,
    UnknownSubscription,
)
from service.domain.sources import LIVE
from service.domain.stripe_facts import ObjectRef
from service.domain.times import write_time
from service.use_cases.subscriptions.event_processor import EventProcessor
from service.use_cases.subscriptions.projections import group_holdings, seats_paid_for


class AuditOutboxes(Protocol):
    """What these use cases need of the audit log."""

    def recording(self, tag: bytes, written: dict[str, Any]) -> AbstractContextManager[bytes]: ...
    def sign_entry(self, written: dict[str, Any]) -> bytes: ...
    def announce_at(self, tag: bytes) -> None: ...
    def flush_quietly(self, tag: bytes) -> None: ...


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
    owner: str | None
    inactive_status: str | None
    """Stripe's status if it keeps the seats from giving access now."""

    @property
    def used(self) -> int:
        return len(self.seats)


def _linkable(customer: str | None, subscription: str | None) -> ObjectRef:
    return ObjectRef("customer", customer) if customer is not None else ObjectRef("subscription", subscription or "")


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
        force: bool = False,
    ) -> LinkResult:
        """Link a customer or a subscription to a reader, above all claims; also one that Stripe has not reported yet.

        Raises: InvalidFields if Stripe does not know the object, unless `force` is set.
        """
        processor = self._processor
        ref = _linkable(customer, subscription)
        name, target = ref.name, ref.id
        heir = processor.owners.find_reader(reader).reader
        stored = processor.objects.load(name)
        if stored.facts is None and not force and self._is_missing_at_stripe(ref):
            raise InvalidFields(
                [(ref.kind, f"Stripe knows no {ref.kind} with this ID. Check it, and test or live mode")]
            )
        was = stored.owner.reader
        before, after = {"reader": was} if was else None, {"reader": heir}
        entry = audit_entry(
            actor, "link", now=now, reader=heir, target=target, before=before, after=after, reason=reason
        )
        with self.recording_at(name, entry, now) as signed:
            owner = processor.objects.link_to_reader(name, heir, now, signed)
            if stored.facts is None:
                processor.refresh_soon(name, now)
        return LinkResult(heir, owner.reader)

    def unlink_from_reader(
        self,
        reader: str,
        *,
        customer: str | None = None,
        subscription: str | None = None,
        actor: Actor,
        now: float,
        reason: str | None = None,
    ) -> None:
        """Remove the link of a customer or a subscription; then its owner is as if it had never been linked.

        Raises: NotLinked if it is not linked to this reader.
        """
        processor, ref = self._processor, _linkable(customer, subscription)
        stored = processor.objects.load(ref.name)
        if stored.link is None:
            raise NotLinked
        heir, linked = processor.owners.find_readers([reader, stored.link])
        if heir.reader != linked.reader:
            raise NotLinked
        entry = audit_entry(
            actor, "unlink", now=now, reader=heir.reader, target=ref.id, before={"reader": heir.reader}, reason=reason
        )
        with self.recording_at(ref.name, entry, now) as signed:
            if not processor.objects.unlink_from_reader(stored, now, signed):
                raise NotLinked

    def _is_missing_at_stripe(self, ref: ObjectRef) -> bool:
        """Return whether Stripe answers that it does not know an object; `False` also while it cannot be asked."""
        try:
            if self._processor.gateway is not None:
                self._processor.gateway.read_object(ref)
        except NoSuchObject:
            return True
        except (StripeUnavailable, StripeRefused):
            pass
        return False

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
        self._audit.announce_at(reader_hash(merge.stays))
        self._merges.inherit(merge)
        self._merges.redirect(merge)
        # Again, for what was written meanwhile. From now on nothing can be written to the removed reader.
        self._merges.carry_over(merge, now)
        self._merges.write_tombstones(merge, now)
        names = {*self._merges.list_stripe_objects(merge.gone), *processor.readers.list_owned_objects(merge.gone)}
        for name in names:
            processor.seats.move_to_heir(name, merge.gone, merge.stays, now)
            processor.objects.request_fan_out(name, now)
            processor.fan_out_soon(name, now, "merge")
        processor.projections.move_known(merge.gone, merge.stays, now)
        self._merges.mark_finished(merge.gone)
        self._audit.flush_quietly(reader_hash(merge.stays))

    # ------------------------------------------------------------------------------------------------------ seats

    def load_seats(self, subscription: str, now: float) -> SeatGroup:
        """Return the seats of a subscription. Raises: UnknownSubscription, NoSeats."""
        obj, quantity = self.load_group(subscription, now)
        return SeatGroup(
            subscription,
            quantity,
            seats=seats_of(obj),
            removed=tuple(self._processor.seats.list_removed(obj.name)),
            owner=obj.owner.reader,
            inactive_status=self._inactive_status(obj, now),
        )

    def _inactive_status(self, obj: StoredObject, now: float) -> str | None:
        held = group_holdings(obj, self._processor.catalogue)
        is_active = any(one.standing_at(now) in LIVE for one in held)
        return held[0].status if held and not is_active else None

    def assign_seat(self, subscription: str, reader: str, actor: Actor, now: float) -> SeatGroup:
        """Assign a seat; a second time changes nothing. Raises: UnknownSubscription, NoSeats, SeatsFull."""
        heir = self._processor.owners.find_reader(reader).reader
        after = {"subscription": subscription, "since": write_time(now)}
        entry = audit_entry(actor, "seat.give", now=now, reader=heir, target=subscription, after=after)
        with self.recording_at(f"subscription:{subscription}", entry, now) as signed:
            verdict: SeatVerdict = "retry"
            while verdict == "retry":
                obj, quantity = self.load_group(subscription, now)
                verdict = self._processor.seats.assign(obj.name, obj.rev, quantity, heir, now=now, audit=signed)
            if verdict == "full":
                raise SeatsFull
        return self.load_seats(subscription, now)

    def release_seat(
        self, subscription: str, reader: str, actor: Actor, now: float, reason: str | None = None
    ) -> SeatGroup:
        """Release a seat; a second time changes nothing. Raises: UnknownSubscription, NoSeats."""
        obj, _ = self.load_group(subscription, now)
        heir = self._processor.owners.find_reader(reader).reader
        since = obj.seats.get(heir)
        before = {"subscription": subscription, "since": write_time(since / 1000)} if since else None
        entry = audit_entry(actor, "seat.take", now=now, reader=heir, target=subscription, before=before, reason=reason)
        with self.recording_at(obj.name, entry, now) as signed:
            self._processor.seats.release(obj.name, heir, now, signed)
        return self.load_seats(subscription, now)

    def load_subscription(self, subscription: str, now: float) -> StoredObject:
        """Return a subscription; an unknown one is read from Stripe, once. Raises: UnknownSubscription."""
        name = f"subscription:{subscription}"
        obj = self._processor.objects.load(name)
        if obj.facts is None:
            self._processor.refresh_soon(name, now)
            obj = self._processor.objects.load(name)
        if obj.facts is None:
            raise UnknownSubscription
        return obj

    def load_group(self, subscription: str, now: float) -> tuple[StoredObject, int]:
        """Return a subscription and its paid seats. Raises: UnknownSubscription, NoSeats."""
        obj = self.load_subscription(subscription, now)
        quantity = seats_paid_for(obj.facts, self._processor.catalogue)
        if quantity is None:
            raise NoSeats
        return obj, quantity

    @contextmanager
    def recording_at(self, name: str, entry: dict[str, Any], now: float) -> Iterator[bytes]:
        """Yield the signed entry for a change of an object, and fan the object out after it."""
        with self._audit.recording(tag_of(name), entry) as signed:
            yield signed
            self._processor.fan_out_soon(name, now, f"audit:{entry['id']}")

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
        entry = audit_entry(actor, "event.replay", now=now, target=event, before={"state": found.state})
        with self._audit.recording(tag_of(found.name), entry) as signed:
            self._processor.inbox.write_audit_entry(found.name, signed)
            self._processor.replay_event(found.id, found.name, now)
        return self.find_event(event)
