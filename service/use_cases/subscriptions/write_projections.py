"""ProjectionWriter copies with readers, and leaving tombstones with those that hold one no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from service.adapters.recent_entitlements import Held, RecentEntitlements
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.stripe_objects.objects import Objects, StoredObject
from service.domain.catalogue import Catalogue
from service.domain.sources import Source
from service.use_cases.subscriptions.entitlement_changes import MOST_NOTED, Change, Entitled
from service.use_cases.subscriptions.owner_resolution import OwnerResolver, StoredReader
from service.use_cases.subscriptions.projections import is_past

NoteChanges = Callable[[dict[str, list[object]]], None]

NO_CUSTOMER = frozenset("tf")
"""Letters of copies whose holder is not the customer: a seat's and a gift's."""


@dataclass(slots=True)
class FanOutAttempt:
    """What one turn of spreading carries along: the object as it was seen, the rev that its copies get, why it is done."""

    obj: StoredObject
    rev: int
    now: float
    cause: str
    note: NoteChanges | None
    people: dict[str, StoredReader]
    noted: int = 0

    def tell(self, changes: Mapping[str, Change]) -> None:
        """Notes with the event what is about to change."""
        found: dict[str, list[object]] = {reader: [c.before, c.after] for reader, c in changes.items() if c}
        if self.note is not None and found and self.noted < MOST_NOTED:
            self.noted += len(found)
            self.note(found)


class ProjectionWriter:
    """Raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(
        self,
        objects: Objects,
        readers: Readers,
        people: OwnerResolver,
        catalogue: Catalogue,
        known: RecentEntitlements | None,
    ) -> None:
        self._objects = objects
        self._readers = readers
        self._people = people
        self._catalogue = catalogue
        self._known = known
        self._entitled = Entitled(catalogue)

    def put(self, turn: FanOutAttempt, wanted: Mapping[str, Source | None]) -> bool:
        """Puts copies, the changes noted before. `False`: a reader was merged or a later state was put meanwhile."""
        sources = {holder: source for holder, source in wanted.items() if source is not None}
        people = self._people_of(turn, sources)
        puts = [(people[h], source, is_past(source, self._catalogue, turn.now)) for h, source in sources.items()]
        changes = {person.reader: self._change(turn, person, source, past) for person, source, past in puts}
        turn.tell(changes)
        for person, source, past in puts:
            outcome = self._readers.write_source(
                person.reader, source, turn.rev, rule="higher", ended=past, now=turn.now, cause=turn.cause
            )
            if outcome.verdict == "merged" or (outcome.verdict == "stale" and outcome.number != turn.rev):
                self._look_behind(turn, outcome.number)
                return False
            if past or changes[person.reader].takes_away:
                self._look_again(person.reader, turn.now)
        self._list_customer(turn, wanted)
        return self._objects.record_copies(turn.obj.name, turn.rev, list(wanted), [], last=False)

    def take(self, turn: FanOutAttempt, gone: Sequence[str]) -> None:
        """Leaves a numbered tombstone with whoever holds a copy no more."""
        readers = list(dict.fromkeys(holder[2:] for holder in gone if holder[0] != "c"))
        people = dict(zip(readers, self._people.find_all(readers), strict=True))
        for letter, reader in [(holder[0], holder[2:]) for holder in gone]:
            if letter != "c":
                field = f"{letter}:{turn.obj.ref.id}".encode()
                turn.tell({reader: self._entitled.change(people[reader], field, None, turn.now)})
                self._readers.write_tombstone(reader, field, turn.rev, now=turn.now, cause=turn.cause)
                self._look_again(reader, turn.now)
            if letter not in NO_CUSTOMER:
                self._readers.write_customer(reader, turn.obj.name, turn.rev, None)

    def _people_of(self, turn: FanOutAttempt, sources: Mapping[str, Source]) -> dict[str, StoredReader]:
        missing = [reader for holder in sources if (reader := holder[2:]) not in turn.people]
        turn.people |= dict(zip(missing, self._people.find_all(missing), strict=True))
        return {holder: turn.people[holder[2:]] for holder in sources}

    def _change(self, turn: FanOutAttempt, person: StoredReader, source: Source, past: bool) -> Change:
        record = None if past else source_codec.encode(source, turn.rev)
        return self._entitled.change(person, source_codec.field_of(source), record, turn.now)

    def merged(self, gone: str, stays: str, now: float) -> None:
        """What this machine saw of the one is the other's."""
        if self._known is not None:
            self._known.merge(reader_hash(gone), reader_hash(stays), lambda: self._held(stays, now))

    def _look_again(self, reader: str, now: float) -> None:
        """What this machine saw of the reader no longer holds."""
        if self._known is not None:
            self._known.refresh(reader_hash(reader), lambda: self._held(reader, now))

    def _held(self, reader: str, now: float) -> Held:
        (person,) = self._people.find_all([reader])
        return tuple((name, found.until) for name, found in self._entitled.by(person.hot, now).by_feature.items())

    def _look_behind(self, turn: FanOutAttempt, stands: int) -> None:
        """A copy has a higher number: by a later state that is there now, or the counter has lost its last numbers."""
        if self._objects.load(turn.obj.name).rev < stands:
            self._objects.request_fan_out(turn.obj.name, turn.now, above=stands)

    def _list_customer(self, turn: FanOutAttempt, wanted: Mapping[str, Source | None]) -> None:
        """The owner's record lists the customer; a seat's and a gift's does not, it is another's."""
        facts = turn.obj.facts
        customer = turn.obj.ref.id if turn.obj.ref.kind == "customer" else facts.customer if facts else None
        for holder in wanted:
            if customer and holder[0] not in NO_CUSTOMER and not turn.obj.held.get(holder):
                self._readers.write_customer(holder[2:], turn.obj.name, turn.rev, customer)
