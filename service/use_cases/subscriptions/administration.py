"""What admins say about Stripe's facts: whose an object is, who has a seat, and that two readers are one.

Each change goes with its audit entry, into an outbox in the slot of what it changes (design.md, decision 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from service.adapters.redis.audit.audit import Actor, audit_entry
from service.adapters.redis.client.keys import partition_of, partition_tag
from service.adapters.redis.reader_lifecycle.merges import Merge, Merges
from service.adapters.redis.stripe_objects.objects import StoredObject
from service.adapters.redis.stripe_objects.seats import Seat
from service.domain.errors import CannotMerge, NoSeats, SeatsFull, UnknownEvent, UnknownSubscription
from service.domain.times import write_time
from service.use_cases.subscriptions.processor import Engine
from service.use_cases.subscriptions.projections import seats_paid_for


class Trail(Protocol):
    """What is needed of the audit log."""

    def packed(self, written: dict[str, Any]) -> bytes: ...
    def intend(self, reader: str) -> None: ...
    def intend_at(self, tag: bytes) -> None: ...
    def settle(self, reader: str) -> int: ...
    def settle_soon(self, tag: bytes) -> int: ...


@dataclass(frozen=True, slots=True)
class Linked:
    """Whose it is now, by an admin's word, and whose it was."""

    reader: str
    was: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """The seats of a subscription: how many are paid for, who has one, who lost one when there were fewer."""

    subscription: str
    quantity: int
    seats: tuple[Seat, ...]
    removed: tuple[Seat, ...]


class Admin:
    """Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, engine: Engine, audit: Trail, merges: Merges) -> None:
        self._engine = engine
        self._audit = audit
        self._merges = merges

    def link(
        self,
        reader: str,
        *,
        customer: str | None = None,
        subscription: str | None = None,
        actor: Actor,
        now: float,
        reason: str | None = None,
    ) -> Linked:
        """This is whose it is, above all metadata; also of one that Stripe has not told of yet."""
        name = f"customer:{customer}" if customer is not None else f"subscription:{subscription}"
        target = customer if customer is not None else subscription
        heir = self._engine.people.find(reader).reader
        before = self._engine.objects.load(name)
        was = before.owner.reader
        known = {"reader": was} if was else None
        after = {"reader": heir}
        entry = self._entry(actor, "link", now, reader=heir, target=target, before=known, after=after, reason=reason)
        tag = partition_tag(partition_of(name))
        self._audit.intend_at(tag)
        new, owner = self._engine.objects.link(name, heir, now, self._audit.packed(entry), self._outbox(tag))
        if before.told is None:
            self._engine.work_soon(name, now)
        self._engine.spread_soon([name], now, f"audit:{entry['id']}")
        if new:
            self._audit.settle_soon(tag)
        return Linked(heir, owner.reader)

    def group(self, subscription: str, now: float) -> Group:
        """The seats of a subscription. `UnknownSubscription`, `NoSeats`."""
        obj, quantity = self._group(subscription, now)
        seats = sorted(obj.seats.items(), key=lambda seat: (seat[1], seat[0]))
        given = tuple(Seat(reader, since // 1000) for reader, since in seats)
        return Group(subscription, quantity, given, tuple(self._engine.seats.removed(obj.name)))

    def give_seat(self, subscription: str, reader: str, actor: Actor, now: float) -> Group:
        """Gives a seat; given again it stays as it is. `UnknownSubscription`, `NoSeats`, `SeatsFull`."""
        heir = self._engine.people.find(reader).reader
        after = {"subscription": subscription, "since": write_time(now)}
        entry = self._entry(actor, "seat.give", now, reader=heir, target=subscription, after=after)
        packed, name = self._audit.packed(entry), f"subscription:{subscription}"
        tag = partition_tag(partition_of(name))
        self._audit.intend_at(tag)
        while True:
            obj, quantity = self._group(subscription, now)
            given = self._engine.seats.give(name, obj.rev, quantity, heir, now, packed)
            if given == "full":
                raise SeatsFull
            if given != "retry":
                break
        self._show(name, tag, now, entry)
        return self.group(subscription, now)

    def take_seat(self, subscription: str, reader: str, actor: Actor, now: float, reason: str | None = None) -> Group:
        """Takes a seat back; taken again nothing changes. `UnknownSubscription`, `NoSeats`."""
        obj, _ = self._group(subscription, now)
        heir = self._engine.people.find(reader).reader
        since = obj.seats.get(heir)
        before = {"subscription": subscription, "since": write_time(since / 1000)} if since else None
        entry = self._entry(actor, "seat.take", now, reader=heir, target=subscription, before=before, reason=reason)
        tag = partition_tag(partition_of(obj.name))
        self._audit.intend_at(tag)
        self._engine.seats.take(obj.name, heir, now, self._audit.packed(entry))
        self._show(obj.name, tag, now, entry)
        return self.group(subscription, now)

    def merge(self, reader: str, gone: str, actor: Actor, now: float, reason: str | None = None) -> str:
        """Makes two readers one, and gives the id that stays. `CannotMerge`."""
        stays = self._engine.people.find(reader).reader
        entry = self._entry(actor, "merge", now, reader=stays, target=gone, after={"from": gone}, reason=reason)
        verdict, stays = self._merges.commit(Merge(gone, reader, self._audit.packed(entry).decode(), now))
        if verdict == "circle":
            raise CannotMerge("a reader cannot be merged into itself, nor into one that was merged into it")
        if verdict == "elsewhere":
            raise CannotMerge("this reader was merged into another one before")
        self.finish_merges(now)
        return stays

    def replay(self, event: str, actor: Actor, now: float) -> None:
        """Puts an event back into the inbox, and works on it. `UnknownEvent`."""
        found = self._engine.ledger.find(event)
        if found is None:
            raise UnknownEvent
        entry = self._entry(actor, "event.replay", now, reader=None, target=event, before={"state": found.state})
        tag = partition_tag(partition_of(found.name))
        self._audit.intend_at(tag)
        self._engine.inbox.note(self._outbox(tag), self._audit.packed(entry))
        self._engine.replay(found.id, found.name, now)
        self._audit.settle_soon(tag)

    def finish_merges(self, now: float) -> int:
        """Rolls every committed merge forward to its end, also another's; each step can be repeated. Gives how many."""
        merges = self._merges.unfinished()
        for merge in merges:
            self._roll(merge, now)
        return len(merges)

    def _roll(self, merge: Merge, now: float) -> None:
        self._merges.carry(merge, now)
        self._audit.intend(merge.stays)
        self._merges.inherit(merge)
        self._merges.answer_as(merge)
        # Once more: what came in between. From now on nothing can be put with the one that goes.
        self._merges.carry(merge, now)
        self._merges.leave(merge, now)
        for name in {*self._merges.stripe_objects(merge.gone), *self._engine.customers.objects(merge.gone)}:
            self._engine.seats.move(name, merge.gone, merge.stays, now)
            self._engine.objects.touch(name, now)
            self._engine.spread_soon([name], now, "merge")
        self._engine.merged(merge.gone, merge.stays, now)
        self._merges.finished(merge.gone)
        self._audit.settle(merge.stays)

    def _group(self, subscription: str, now: float) -> tuple[StoredObject, int]:
        """The subscription and its quantity; one that was never told of is looked up at Stripe, once."""
        name = f"subscription:{subscription}"
        obj = self._engine.objects.load(name)
        if obj.told is None:
            self._engine.work_soon(name, now)
            obj = self._engine.objects.load(name)
        if obj.told is None:
            raise UnknownSubscription
        quantity = seats_paid_for(obj.told, self._engine.catalogue)
        if quantity is None:
            raise NoSeats
        return obj, quantity

    def _show(self, name: str, tag: bytes, now: float, entry: dict[str, Any]) -> None:
        self._engine.spread_soon([name], now, f"audit:{entry['id']}")
        self._audit.settle_soon(tag)

    def _outbox(self, tag: bytes) -> bytes:
        return self._engine.readers.keys.outbox(tag)

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
