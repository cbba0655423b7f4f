"""Spreading: every reader gets the copy of an object that is theirs, and nobody keeps one that is not.

The object's `rev` goes with every copy, and a lower one never overwrites a higher. Who is about to hold a copy is noted
with the object before it is put, so a crash leaves no copy that nobody knows of. The object counts as shown only if it is
still what was shown; else it is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.adapters.redis.stripe_objects.objects import Objects, StoredObject
from service.adapters.redis.stripe_objects.seats import Seats
from service.domain.catalogue import Catalogue
from service.domain.ownership import Owner
from service.domain.sources import Source
from service.domain.stripe_facts import StripeFacts
from service.use_cases.subscriptions.owner_resolution import (
    OwnerResolver,
    StoredReader,
    by_claims,
    needs_customer,
    settled_on,
)
from service.use_cases.subscriptions.projections import copies_of, seats_paid_for
from service.use_cases.subscriptions.related_objects import FollowUps, RelatedObjects
from service.use_cases.subscriptions.write_projections import FanOutAttempt, NoteChanges, ProjectionWriter

TURNS = 20
"""How often an object that keeps changing is taken up again; then it is left to the worker."""
CHUNK = 50
"""Copies between two looks at the time: a group can have thousands."""


class FanOut:
    """Raises `StoreUnavailable` where the store cannot be reached; what is not finished is marked in the store."""

    def __init__(
        self,
        objects: Objects,
        seats: Seats,
        people: OwnerResolver,
        telling: RelatedObjects,
        putting: ProjectionWriter,
        catalogue: Catalogue,
    ) -> None:
        self._objects = objects
        self._seats = seats
        self._people = people
        self._telling = telling
        self._putting = putting
        self._catalogue = catalogue

    def spread(
        self, name: str, now: float, cause: str, heard: FollowUps, in_time: Callable[[], bool], note: NoteChanges | None
    ) -> bool:
        """Gives everybody what is theirs of this object. Gives whether all is done: there may be no time left.

        `cause` goes to readers' histories, `note` gets the changes, `heard` what has to follow.
        """
        for _ in range(TURNS):
            obj = self._objects.load(name)
            if obj.is_fanned_out:
                return True
            if obj.number(b"behind"):  # Its copies are newer than it is; only Stripe can tell.
                return False
            facts = obj.facts
            if self._changed_first(obj, facts, now, heard):
                continue
            owner, person = self._owner(obj, facts)
            wanted = copies_of(obj, owner)
            behind, rev = self._settle(obj, owner, wanted)
            if not rev:
                continue
            self._telling.pass_on(obj, owner, rev, now, heard)
            turn = FanOutAttempt(obj, rev, now, cause, note, {person.reader: person} if person else {})
            done = self._show(turn, wanted, behind, in_time)
            if done is not None:
                return done
        return False

    def _changed_first(self, obj: StoredObject, facts: StripeFacts | None, now: float, heard: FollowUps) -> bool:
        """What has to be so before it is worked out whose it is. Gives whether the object has changed by that."""
        if facts is None:
            return False
        if self._telling.join(obj, facts, now):
            return True
        if facts.source is not None and facts.customer and needs_customer(obj):
            heard.unread.append(f"customer:{facts.customer}")
        paid = seats_paid_for(facts, self._catalogue) or 0
        return len(obj.seats) > paid and self._seats.trim(obj.name, obj.rev, paid, now) > 0

    def _owner(self, obj: StoredObject, facts: StripeFacts | None) -> tuple[Owner, StoredReader | None]:
        owner = by_claims(obj)
        person = self._people.find(owner.reader) if owner.reader else None
        return settled_on(owner, person, facts.created if facts else 0), person

    def _settle(self, obj: StoredObject, owner: Owner, wanted: dict[str, Source | None]) -> tuple[list[str], int]:
        """Notes the owner and whoever is about to hold a copy. Gives who has to get one, and the rev (0: again)."""
        rev = self._objects.save_owner(obj, owner, [holder for holder in wanted if holder not in obj.held])
        lowest = max(obj.number(b"facts") if rev == obj.rev else rev, 1)
        # A number beyond the rev is of a counter that has lost its last numbers since: putting it finds out.
        return [holder for holder in wanted if not lowest <= obj.held.get(holder, 0) <= rev], rev

    def _show(
        self, turn: FanOutAttempt, wanted: dict[str, Source | None], behind: Sequence[str], in_time: Callable[[], bool]
    ) -> bool | None:
        """Puts and takes copies. `None`: the object has changed meanwhile, so all of it again."""
        for start in range(0, len(behind), CHUNK):
            if start and not in_time():
                return False
            chunk = behind[start : start + CHUNK]
            if not self._putting.put(turn, {holder: wanted[holder] for holder in chunk}):
                return None
            if self._seats_moved(turn, chunk):
                return None
        gone = [holder for holder in turn.obj.held if holder not in wanted]
        for start in range(0, len(gone), CHUNK):
            if start and not in_time():
                return False
            self._putting.take(turn, gone[start : start + CHUNK])
        return True if self._objects.record_copies(turn.obj.name, turn.rev, [], gone, last=True) else None

    def _seats_moved(self, turn: FanOutAttempt, holders: Sequence[str]) -> bool:
        """A seat given while its reader was merged into another is the other's: the merge may not have known of it."""
        found = [(holder[2:], turn.people[holder[2:]].reader) for holder in holders if holder[2:] in turn.people]
        merged = [(gone, stays) for gone, stays in found if gone != stays and gone in turn.obj.seats]
        for gone, stays in merged:
            self._seats.move_to_heir(turn.obj.name, gone, stays, turn.now)
        return bool(merged)
