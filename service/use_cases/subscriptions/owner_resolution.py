"""Whose an object is, by all that is known of it, and under which id that reader goes now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.readers import merged_into
from service.adapters.redis.stripe_objects.objects import StoredObject
from service.domain.ownership import NOBODY, Owner, owner_of
from service.domain.stripe_facts import OwnerClaims
from service.use_cases.subscriptions.projections import CustomerClaims, customer_of, sessions_of

WEAKER_THAN_CUSTOMER = frozenset({"customer", "last", "nobody"})


def by_claims(obj: StoredObject) -> Owner:
    """Whose it is by claims and links alone; the id may be one that was merged into another since."""
    about, facts = customer_of(obj), obj.facts
    link = obj.link or (about.link if about else None)
    if obj.ref.kind == "subscription" or obj.ref.kind == "session":
        own = facts.claims if facts else OwnerClaims()
        claims = about.claims if about else None
        return owner_of(own, link=link, sessions=sessions_of(obj), customer=claims, last=obj.owner)
    return _by_customer(obj, about, link)


def _by_customer(obj: StoredObject, about: CustomerClaims | None, link: str | None) -> Owner:
    """Of a customer, and of its entitlements: by link and claims, else by its other objects, else as it was."""
    facts = obj.facts
    claims = about.claims if about else facts.claims if facts and not facts.deleted else OwnerClaims()
    owner = owner_of(OwnerClaims(), link=link, customer=claims)
    if owner.reader is not None:
        return replace(owner, as_gift=False)
    known = about.known if about else (obj.fields.get(b"known") or b"").decode()
    return Owner(known, "own") if known else obj.owner


def needs_customer(obj: StoredObject) -> bool:
    """Whether what its customer says decides, and Stripe has not told of the customer yet."""
    about = customer_of(obj)
    return about is not None and not about.facts and by_claims(obj).how in WEAKER_THAN_CUSTOMER


@dataclass(frozen=True, slots=True)
class StoredReader:
    """A reader as the store has it: the id it goes by now, its hot record, and when the id asked for was erased.

    That of the id it goes by is not meant: who was merged into an erased reader later was not erased.
    """

    reader: str
    hot: dict[bytes, bytes]
    erased_at: int | None


class OwnerResolver:
    """Reads readers. Raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._keys = store.keys

    def find(self, reader: str) -> StoredReader:
        """A reader, or the one into which it was merged."""
        (person,) = self.find_all([reader])
        return person

    def find_all(self, readers: list[str]) -> list[StoredReader]:
        """Several in one wait; in another one for those that were merged."""
        commands = []
        for reader in readers:
            tag = reader_hash(reader)
            hot, erased = self._keys.reader(tag), self._keys.erased(tag)
            commands += [(hot, (b"HGETALL", hot)), (erased, (b"GET", erased))]
        replies = self._link.read(commands)
        found = [self._person(r, replies[2 * at], replies[2 * at + 1]) for at, r in enumerate(readers)]
        return [
            person if heir is None else replace(self.find(heir), erased_at=person.erased_at) for person, heir in found
        ]

    @staticmethod
    def _person(reader: str, hot: Any, erased: Any) -> tuple[StoredReader, str | None]:
        pairs = dict(zip(hot[::2], hot[1::2], strict=True))
        return StoredReader(reader, pairs, int(erased) if erased else None), merged_into(hot)


def settled_on(owner: Owner, person: StoredReader | None, created: int) -> Owner:
    """The owner under the id that holds now; nobody where that reader was erased after the object was made.

    A link says it anew, and so does what Stripe made after the erasure.
    """
    if owner.reader is None or person is None:
        return NOBODY if owner.reader is None else owner
    if person.erased_at is not None and owner.how != "link" and created <= person.erased_at:
        return NOBODY
    return replace(owner, reader=person.reader)
