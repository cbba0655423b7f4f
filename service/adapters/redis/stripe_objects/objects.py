"""Stripe's objects in the store: what was told of each, whose it is, who holds copies of it.

One hash an object, `n` its counter. Everything that changes it takes the next number: a read before it asks Stripe
(`begin`), a change when it is made (`rev`). Copies carry `rev`, so a late writer never undoes a later one. `unspread` names
the objects whose copies are behind, `unread` those that have to be read from Stripe; both are written by the very scripts
that make it so, and hence survive any crash.

    n         the counter                        doc        what was told last (`told_codec`)
    applied   number of the read in force        mark       of which event or read that was, for `newer`
    want      a read must have this number       confirmed  1 read from Stripe, 0 from a payload
    rev       number of the last change          final      1 = never gives way (ended, deleted, paid)
    facts     … that every copy must show        owner      whose it is: [reader, how, as_gift]
    shown     rev that all copies show           link       the reader that an admin named
    lease     a read is under way until (ms)     session:…, customer, payment, known, paid: what others say about it (`tell`)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from service.adapters.redis.client.keys import PARTITIONS, partition_of
from service.adapters.redis.client.link import Command
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.stripe_objects import facts_codec
from service.domain.event_order import Mark
from service.domain.ownership import NOBODY, Owner
from service.domain.stripe_facts import Ref, Told

BEGIN, APPLY, ABOUT = load("begin_object_read"), load("apply_object"), load("write_related_fact")
SETTLE, SHOWN, TOUCH, LINK = (
    load("save_object_owner"),
    load("record_copies"),
    load("request_fan_out"),
    load("link_object"),
)

LEASE = 8.0
"""Seconds for which one that reads an object is alone with it, so that a burst costs one read or two."""

Verdict = Literal["applied", "same", "stale", "kept", "marked", "retry"]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is kept. `held` maps `letter:reader` to the number of the copy there, `seats` readers to since when."""

    name: str
    fields: dict[bytes, bytes]
    held: dict[str, int]
    seats: dict[str, int]

    @property
    def ref(self) -> Ref:
        kind, _, name = self.name.partition(":")
        return Ref(cast(Any, kind), name)

    @property
    def told(self) -> Told | None:
        doc = self.fields.get(b"doc")
        return facts_codec.unpack_told(self.ref, doc) if doc else None

    @property
    def mark(self) -> Mark | None:
        mark = self.fields.get(b"mark")
        return facts_codec.unpack_mark(mark) if mark else None

    @property
    def owner(self) -> Owner:
        return owner_from(self.fields.get(b"owner", b""))

    @property
    def link(self) -> str | None:
        link = self.fields.get(b"link")
        return link.decode() if link else None

    @property
    def confirmed(self) -> bool:
        return self.fields.get(b"confirmed") != b"0"

    def number(self, field: bytes) -> int:
        return int(self.fields.get(field, b"0"))

    @property
    def rev(self) -> int:
        return self.number(b"rev")

    @property
    def is_fanned_out(self) -> bool:
        return self.rev == self.number(b"shown")


def owner_from(text: bytes) -> Owner:
    return Owner(*facts_codec.unpack_row(text)) if text else NOBODY


def pack_owner(owner: Owner) -> bytes:
    return facts_codec.pack_row([owner.reader, owner.how, owner.as_gift]) if owner.reader else b""


class ObjectListener(Protocol):
    """Who notes what needs a hand. Raises nothing for a store that is away: what is noted is no part of the work."""

    def object_applied(self, name: str, told: Told, now: float) -> None:
        """This is what an object says now."""

    def owner_saved(self, seen: StoredObject, owner: Owner) -> None:
        """This is whose an object is now."""


class Objects:
    """Reads and writes objects. Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(
        self, store: Store, blind: Callable[[Told], Told] = lambda told: told, listener: ObjectListener | None = None
    ) -> None:
        """`blind` leaves out the ids that must not be kept (`erased`)."""
        self._link = store.link
        self.keys = store.keys
        self.blind = blind
        self._listener = listener

    def load(self, name: str) -> StoredObject:
        """All of an object; without fields if nothing is known of it."""
        return self.load_all([name])[0]

    def load_all(self, names: Sequence[str]) -> list[StoredObject]:
        """Several in one wait."""
        commands: list[Command] = []
        for name in names:
            key, held, seats = self.keys.stripe_object(name), self.keys.copy_holders(name), self.keys.seats(name)
            commands.append((key, (b"HGETALL", key)))
            commands.append((held, (b"ZRANGE", held, b"0", b"-1", b"WITHSCORES")))
            commands.append((seats, (b"ZRANGE", seats, b"0", b"-1", b"WITHSCORES")))
        replies = self._link.read(commands)
        found = []
        for at, name in enumerate(names):
            fields, held_row, seats_row = replies[3 * at : 3 * at + 3]
            pairs = dict(zip(fields[::2], fields[1::2], strict=True))
            found.append(StoredObject(name, pairs, scores(held_row), scores(seats_row)))
        return found

    def begin_read(
        self, name: str, now: float, *, force: bool = False, wanted: bool = False, holding: int = 0
    ) -> tuple[int, bool]:
        """Takes a number before a read. Gives it, and whether the lease is ours.

        `wanted`: somebody must read after this, be it the one who holds the lease. `holding`: we are that one.
        """
        partition = partition_of(name)
        keys = [self.keys.stripe_object(name), self.keys.refresh_queue(partition)]
        until = ms(now + LEASE)
        number, leased = self._link.run(BEGIN, keys, [ms(now), until, int(force), int(wanted), name, holding])
        return number, leased == 1

    def request_read(self, name: str, now: float) -> None:
        """Somebody has to read this object; whoever does so next."""
        keys = [self.keys.stripe_object(name), self.keys.refresh_queue(partition_of(name))]
        self._link.run(BEGIN, keys, [ms(now), 0, 0, 1, name, 0])

    def apply(
        self,
        name: str,
        number: int,
        told: Told | None,
        now: float,
        *,
        read: bool,
        mark: Mark | None = None,
        due: float | None = None,
        rev: int | None = None,
    ) -> tuple[Verdict, int]:
        """Applies what was read from Stripe, or what a payload says. Gives the verdict (`lua/apply_object.lua`) and the rev."""
        told = self.blind(told) if told is not None else None
        partition = partition_of(name)
        keys = [
            self.keys.stripe_object(name),
            self.keys.refresh_queue(partition),
            self.keys.fan_out_queue(partition),
            self.keys.recheck_queue(partition),
        ]
        final = told is not None and (told.terminal or told.deleted)
        arguments: list[bytes | int | str] = [
            number,
            facts_codec.pack_told(told) if told else b"",
            int(read),
            int(final),
            ms(now),
            name,
            "" if rev is None else rev,
            facts_codec.pack_mark(mark) if mark else b"",
            "" if due is None else "inf" if due == float("inf") else ms(due),
        ]
        verdict, stands = self._link.run(APPLY, keys, arguments)
        if self._listener is not None and told is not None and verdict == b"applied":
            self._listener.object_applied(name, told, now)
        return cast(Verdict, verdict.decode()), stands

    def write_related(
        self, name: str, about: str, number: int, value: bytes, now: float, *, from_payload: bool = False
    ) -> bool:
        """Tells an object what another one, at that number, says about it. Gives whether that was new."""
        partition = partition_of(name)
        keys = [self.keys.stripe_object(name), self.keys.fan_out_queue(partition), self.keys.refresh_queue(partition)]
        changed, _ = self._link.run(ABOUT, keys, [about, number, value, ms(now), name, int(from_payload)])
        return bool(changed)

    def link_to_reader(self, name: str, reader: str, now: float, audit: bytes, outbox: bytes) -> tuple[bool, Owner]:
        """An admin's word on whose it is, with its audit entry. Gives whether it is new, and the owner before."""
        keys = [self.keys.stripe_object(name), self.keys.fan_out_queue(partition_of(name)), outbox]
        new, owner = self._link.run(LINK, keys, [reader, ms(now), name, audit])
        return bool(new), owner_from(owner)

    def save_owner(self, seen: StoredObject, owner: Owner, holders: Sequence[str]) -> int:
        """Settles whose it is, and who is about to hold a copy. Gives the rev; 0 if it was changed meanwhile."""
        keys = [self.keys.stripe_object(seen.name), self.keys.copy_holders(seen.name)]
        rev = cast(int, self._link.run(SETTLE, keys, [seen.rev, pack_owner(owner), *holders]))
        if self._listener is not None and rev:
            self._listener.owner_saved(seen, owner)
        return rev

    def record_copies(self, name: str, rev: int, put: Sequence[str], let_go: Sequence[str], *, last: bool) -> bool:
        """Notes which copies were put at this rev. Gives `False` if the object was changed meanwhile."""
        keys = [
            self.keys.stripe_object(name),
            self.keys.copy_holders(name),
            self.keys.fan_out_queue(partition_of(name)),
        ]
        return bool(self._link.run(SHOWN, keys, [rev, name, int(last), len(put), *put, *let_go]))

    def request_fan_out(self, name: str, now: float, *, above: int = 0) -> int:
        """Gives an object a fresh number, so that its copies are put again; `above` what a copy has, if it fell behind."""
        partition = partition_of(name)
        keys = [self.keys.stripe_object(name), self.keys.fan_out_queue(partition), self.keys.refresh_queue(partition)]
        return cast(int, self._link.run(TOUCH, keys, [ms(now), name, above]))

    def add_customer_object(self, customer: str, name: str) -> None:
        """Puts an object among the customer's belongings; before the customer is asked whose it is, so none is missed."""
        key = self.keys.customer_objects(customer)
        self._link.call(key, b"SADD", key, name)

    def list_customer_objects(self, customer: str) -> list[str]:
        """The names of the objects of a customer."""
        key = self.keys.customer_objects(customer)
        (found,) = self._link.read([(key, (b"SMEMBERS", key))])
        return sorted(name.decode() for name in found)


def ms(moment: float) -> int:
    """Milliseconds, as scores and leases have them."""
    return int(moment * 1000)


def scores(row: Sequence[Any]) -> dict[str, int]:
    """A reply WITHSCORES: member → score."""
    return {member.decode(): int(float(score)) for member, score in zip(row[::2], row[1::2], strict=True)}


NAMES_A_PARTITION = 200
"""The most names taken from one partition at a time."""


class PendingWork:
    """Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self.keys = store.keys

    def list_to_refresh(self, now: float) -> list[str]:
        """Objects that have to be read from Stripe and whose next try is due; `now` may be infinite."""
        return self._names(self.keys.refresh_queue, now)

    def needs_refresh(self, name: str) -> bool:
        """Whether this object has still to be read."""
        key = self.keys.refresh_queue(partition_of(name))
        (score,) = self._link.read([(key, (b"ZSCORE", key, name.encode()))])
        return score is not None

    def list_to_fan_out(self, now: float) -> list[str]:
        """Objects whose copies are behind since before `now`."""
        return self._names(self.keys.fan_out_queue, now)

    def list_to_recheck(self, now: float) -> list[str]:
        """Objects that change by themselves about now."""
        return self._names(self.keys.recheck_queue, now)

    def postpone_refresh(self, name: str, until: float) -> None:
        """The next try to read this object; it only moves what is still to be read."""
        key = self.keys.refresh_queue(partition_of(name))
        self._link.call(key, b"ZADD", key, b"XX", ms(until), name)

    def schedule_recheck(self, name: str, until: float) -> None:
        """When this object is to be looked at again."""
        key = self.keys.recheck_queue(partition_of(name))
        self._link.call(key, b"ZADD", key, b"XX", "inf" if until == float("inf") else ms(until), name)

    def save_moment(self, what: str, moment: int) -> None:
        """Keeps when something of which there is one was done last (epoch seconds)."""
        key = self.keys.shared(what)
        self._link.call(key, b"SET", key, moment)

    def load_moment(self, what: str) -> int | None:
        """When that was, if ever."""
        key = self.keys.shared(what)
        (text,) = self._link.read([(key, (b"GET", key))])
        return int(text) if text else None

    def count(self) -> dict[str, int]:
        """How many objects are unread, unspread and kept, and how many events wait or were given up."""
        kinds = {
            "unread": self.keys.refresh_queue,
            "unspread": self.keys.fan_out_queue,
            "kept": self.keys.recheck_queue,
        }
        kinds |= {"pending": self.keys.inbox, "dead": self.keys.dead_events}
        keys = [(name, key(partition)) for name, key in kinds.items() for partition in range(PARTITIONS)]
        replies = self._link.read([(key, (b"ZCARD", key)) for _, key in keys])
        found = dict.fromkeys(kinds, 0)
        for (name, _), reply in zip(keys, replies, strict=True):
            found[name] += reply
        return found

    def iterate_objects(self) -> Iterator[list[str]]:
        """The names of all objects kept, a page at a time; one may come twice."""
        for partition in range(PARTITIONS):
            key, cursor = self.keys.recheck_queue(partition), b"0"
            while True:
                (reply,) = self._link.read([(key, (b"ZSCAN", key, cursor, b"COUNT", b"500"))])
                cursor, row = reply
                yield [name.decode() for name in row[::2]]
                if cursor == b"0":
                    break

    def _names(self, key_at: Callable[[int], bytes], upto: float) -> list[str]:
        limit = b"+inf" if upto == float("inf") else b"%d" % ms(upto)
        keys = [key_at(partition) for partition in range(PARTITIONS)]
        part = (b"-inf", limit, b"LIMIT", b"0", b"%d" % NAMES_A_PARTITION)
        rows = self._link.read([(key, (b"ZRANGEBYSCORE", key, *part)) for key in keys])
        return [name.decode() for row in rows for name in row]
