"""Spreading: every reader gets the copy of an object that is theirs, and nobody keeps one that is not.

The object's `rev` goes with every copy, and a lower one never overwrites a higher. Who is about to hold a copy is noted
with the object before it is put, so a crash leaves no copy that nobody knows of. The object counts as shown only if it is
still what was shown; else it is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from service.engine.changes import MOST_NOTED, Change, Entitled
from service.engine.copies import about_customer, copies_of, customer_of, is_past, pack_about, seats_paid_for
from service.engine.owning import People, Person, by_claims, needs_customer, settled_on
from service.engine.payments import adds_to, news_of, session_of
from service.engine.seams import Checkpoint
from service.paywall.catalogue import Catalogue
from service.paywall.ownership import Owner
from service.paywall.source import Source
from service.paywall.told import Ref, Told
from service.store import codec, told_codec
from service.store.customers import Customers
from service.store.keys import reader_hash
from service.store.known import Known
from service.store.objects import Objects, StoredObject
from service.store.readers import Readers
from service.store.seats import Seats

TURNS = 20
"""How often an object that keeps changing is taken up again; then it is left to the worker."""
CHUNK = 50
"""Copies between two looks at the time: a group can have thousands."""

NoteChanges = Callable[[dict[str, object]], None]


@dataclass(slots=True)
class Spread:
    """What has come of spreading: finished, or not yet (no time left, or Stripe has to be read first)."""

    finished: bool = True
    next: list[str] = field(default_factory=list)
    """Objects that were told something on the way, and have to be spread in turn."""
    unread: list[str] = field(default_factory=list)
    """Customers that Stripe has to be asked about before it is known whose the object is."""


class Spreader:
    """Raises `StoreUnavailable` where the store cannot be reached; what is not finished is marked in the store."""

    def __init__(
        self,
        objects: Objects,
        seats: Seats,
        readers: Readers,
        people: People,
        customers: Customers,
        catalogue: Catalogue,
        known: Known | None,
        checkpoint: Checkpoint,
    ) -> None:
        self._objects = objects
        self._seats = seats
        self._readers = readers
        self._people = people
        self._customers = customers
        self._catalogue = catalogue
        self._known = known
        self._checkpoint = checkpoint
        self._entitled = Entitled(catalogue)

    def spread(
        self, name: str, now: float, cause: str, *, note: NoteChanges | None = None, in_time: Callable[[], bool]
    ) -> Spread:
        """Gives everybody what is theirs of this object. `cause` goes to readers' histories, `note` gets the changes."""
        spread = Spread()
        for _ in range(TURNS):
            obj = self._objects.load(name)
            if obj.is_shown:
                return spread
            if obj.number(b"behind"):  # Its copies are newer than it is; only Stripe can tell.
                spread.finished = False
                return spread
            self._checkpoint("spread.loaded")
            done = self._turn(obj, now, cause, spread, note, in_time)
            if done is not None:
                spread.finished = done
                return spread
        spread.finished = False
        return spread

    def _turn(
        self,
        obj: StoredObject,
        now: float,
        cause: str,
        spread: Spread,
        note: NoteChanges | None,
        in_time: Callable[[], bool],
    ) -> bool | None:
        """One try; `None`: the object has changed meanwhile, so again."""
        told = obj.told
        if told is not None and self._join(obj, told, now):
            return None
        if told is not None and told.source is not None and told.customer and needs_customer(obj):
            spread.unread.append(f"customer:{told.customer}")
        if self._trim_seats(obj, told, now):
            return None
        owner, person = self._owner(obj, told)
        wanted = copies_of(obj, owner)
        behind, rev = self._settle(obj, owner, wanted)
        if rev == 0:
            return None
        self._checkpoint("spread.settled")
        self._pass_on(obj, owner, rev, now, spread)
        put = _Putting(obj, rev, now, cause, note, {owner.reader: person} if owner.reader and person else {})
        for start in range(0, len(behind), CHUNK):
            if start and not in_time():
                return False
            if not self._put(put, {holder: wanted[holder] for holder in behind[start : start + CHUNK]}):
                return None
        gone = [holder for holder in obj.held if holder not in wanted]
        for start in range(0, len(gone), CHUNK):
            if start and not in_time():
                return False
            self._take(put, gone[start : start + CHUNK])
        self._checkpoint("spread.put")
        return True if self._objects.shown(obj.name, rev, [], gone, last=True) else None

    def _join(self, obj: StoredObject, told: Told, now: float) -> bool:
        """Asks the customer what it says about its object, once; later it tells by itself. Gives whether that was new."""
        known = customer_of(obj)
        if obj.ref.kind == "customer" or told.customer is None or (known and known.customer == told.customer):
            return False
        self._objects.join(told.customer, obj.name)
        self._checkpoint("spread.joined")
        customer = self._objects.load(f"customer:{told.customer}")
        value = pack_about(about_customer(customer), whole=obj.ref.kind == "entitlements")
        return self._objects.tell(obj.name, "customer", customer.rev, value, now)

    def _trim_seats(self, obj: StoredObject, told: Told | None, now: float) -> bool:
        """Fewer are paid for than were given: the newest go."""
        paid = seats_paid_for(told, self._catalogue)
        if not obj.seats or told is None or len(obj.seats) <= (paid or 0):
            return False
        return self._seats.trim(obj.name, obj.rev, paid or 0, now) > 0

    def _owner(self, obj: StoredObject, told: Told | None) -> tuple[Owner, Person | None]:
        owner = by_claims(obj)
        person = self._people.find(owner.reader) if owner.reader else None
        return settled_on(owner, person, told.created if told else 0), person

    def _settle(self, obj: StoredObject, owner: Owner, wanted: dict[str, Source | None]) -> tuple[list[str], int]:
        """Notes the owner and whoever is about to hold a copy. Gives who has to get one, and the rev (0: again)."""
        rev = self._objects.settle(obj, owner, [holder for holder in wanted if holder not in obj.held])
        facts = obj.number(b"facts") if rev == obj.rev else rev
        return [holder for holder in wanted if obj.held.get(holder, 0) < facts or not obj.held.get(holder)], rev

    def _pass_on(self, obj: StoredObject, owner: Owner, rev: int, now: float, spread: Spread) -> None:
        """Tells other objects what this one says about them."""
        kind, told = obj.ref.kind, obj.told
        if kind == "customer":
            self._tell_belongings(obj, rev, now, spread)
        elif session := session_of(obj):
            self._tell_session(obj, session, rev, now, spread)
        if told is None or kind == "customer":
            return
        if kind == "session" and told.subscription:
            self._tell_subscription(told, rev, now, spread)
        if kind == "session" and told.payment and told.payment.intent:
            self._tell_intent(told.payment.intent, obj.name, now, spread)
        if told.source is not None and told.customer and owner.reader and not owner.as_gift and kind != "entitlements":
            # Of several objects the youngest says whose the customer is known to be.
            number = told.created * 1_000_000 + min(rev, 999_999)
            name = f"customer:{told.customer}"
            if self._objects.tell(name, "known", number, owner.reader.encode(), now):
                spread.next.append(name)

    def _tell_belongings(self, obj: StoredObject, rev: int, now: float, spread: Spread) -> None:
        about = about_customer(obj)
        for name in self._objects.belongings(obj.ref.id):
            value = pack_about(about, whole=name.startswith("entitlements:"))
            if self._objects.tell(name, "customer", rev, value, now):
                spread.next.append(name)
            self._checkpoint("spread.told")

    def _tell_subscription(self, told: Told, rev: int, now: float, spread: Spread) -> None:
        """A session's claims count for the subscription that it began; there may have been several sessions."""
        name = f"subscription:{told.subscription}"
        row = told_codec.pack_row([told.created, told_codec.claims_row(told.claims)])
        if self._objects.tell(name, f"session:{told.ref.id}", rev, row, now):
            spread.next.append(name)
            self._checkpoint("spread.told")

    def _tell_intent(self, intent: str, name: str, now: float, spread: Spread) -> None:
        """So that what is told of the payment, earlier or later, finds its session."""
        if self._objects.tell(f"intent:{intent}", "session", 1, name.encode(), now):
            spread.next.append(f"intent:{intent}")
            self._checkpoint("spread.told")

    def _tell_session(self, obj: StoredObject, session: Ref, rev: int, now: float, spread: Spread) -> None:
        """What was told of a payment goes to its session; it rests on payloads where Stripe has not said so itself."""
        news = news_of(obj)
        if news is None:
            return
        told = self._objects.load(session.text).told
        value, new = told_codec.pack_payment(news), adds_to(told.payment if told else None, news)
        if self._objects.tell(session.text, "payment", rev, value, now, from_payload=new):
            spread.next.append(session.text)

    def _put(self, put: _Putting, wanted: dict[str, Source | None]) -> bool:
        """Puts copies, the changes noted before. `False`: a reader was merged or a later state was put meanwhile."""
        sources = {holder: source for holder, source in wanted.items() if source is not None}
        people = self._people_of(put, sources)
        puts = [(people[h], source, is_past(source, self._catalogue, put.now)) for h, source in sources.items()]
        changes = {p.reader: self._change(put, p, source, past) for p, source, past in puts}
        put.tell(changes)
        self._checkpoint("spread.noted")
        for person, source, past in puts:
            outcome = self._readers.put(
                person.reader, source, put.rev, rule="higher", ended=past, now=put.now, cause=put.cause
            )
            self._checkpoint("spread.copied")
            if outcome.verdict == "merged" or (outcome.verdict == "stale" and outcome.number != put.rev):
                self._behind(put, outcome.number)
                return False
            self._forget(person.reader, changes[person.reader], past)
        self._list_customer(put, wanted)
        return self._objects.shown(put.obj.name, put.rev, list(wanted), [], last=False)

    def _people_of(self, put: _Putting, sources: dict[str, Source]) -> dict[str, Person]:
        readers = [holder[2:] for holder in sources]
        missing = [reader for reader in readers if reader not in put.people]
        if missing:
            put.people |= dict(zip(missing, self._people.find_all(missing), strict=True))
        return {holder: put.people[holder[2:]] for holder in sources}

    def _change(self, put: _Putting, person: Person, source: Source, past: bool) -> Change:
        record = None if past else codec.encode(source, put.rev)
        return self._entitled.change(person, codec.field_of(source), record, put.now)

    def _forget(self, reader: str, change: Change, past: bool) -> None:
        """What this machine saw of the reader no longer holds."""
        if self._known is not None and (past or change.takes_away):
            self._known.forget(reader_hash(reader))

    def _behind(self, put: _Putting, stands: int) -> None:
        """A copy has a higher number: by a later state that is there now, or the counter has lost its last numbers."""
        if self._objects.load(put.obj.name).rev < stands:
            self._objects.touch(put.obj.name, put.now, above=stands)

    def _take(self, put: _Putting, gone: Sequence[str]) -> None:
        """Leaves a numbered tombstone with whoever holds a copy no more."""
        for holder in gone:
            letter, reader = holder[0], holder[2:]
            if letter != "c":
                id_ = f"{letter}:{put.obj.ref.id}".encode()
                person = self._people.find_all([reader])[0]
                put.tell({reader: self._entitled.change(person, id_, None, put.now)})
                self._readers.leave_tombstone(reader, id_, put.rev, now=put.now, cause=put.cause)
                if self._known is not None:
                    self._known.forget(reader_hash(reader))
            if letter not in "tf":
                self._customers.put(reader, put.obj.name, put.rev, None)
            self._checkpoint("spread.taken")

    def _list_customer(self, put: _Putting, wanted: dict[str, Source | None]) -> None:
        """The owner's record lists the customer; a seat's and a gift's does not, it is another's."""
        told = put.obj.told
        customer = put.obj.ref.id if put.obj.ref.kind == "customer" else told.customer if told else None
        for holder in wanted:
            if customer and holder[0] not in "tf" and not put.obj.held.get(holder):
                self._customers.put(holder[2:], put.obj.name, put.rev, customer)


@dataclass(slots=True)
class _Putting:
    """What one turn of spreading carries along."""

    obj: StoredObject
    rev: int
    now: float
    cause: str
    note: NoteChanges | None
    people: dict[str, Person]
    noted: int = 0

    def tell(self, changes: dict[str, Change]) -> None:
        """Notes with the event what is about to change."""
        found: dict[str, object] = {reader: [c.before, c.after] for reader, c in changes.items() if c}
        if self.note is None or not found or self.noted >= MOST_NOTED:
            return
        self.noted += len(found)
        self.note(found)
