"""Resolve the owner of an object: by claims and links, and under the ID that the reader has after merges and erasures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.adapters.redis.readers.readers import field_pairs, merged_into
from service.adapters.redis.records import StoreRecords
from service.adapters.redis.stripe_objects.objects import StoredObject
from service.domain.ownership import UNASSIGNED, Owner, resolve_owner
from service.domain.stripe_facts import OwnerClaims
from service.use_cases.subscriptions.projections import CustomerClaims, customer_claims_of, session_claims_of

WEAKER_THAN_CUSTOMER = frozenset({"customer", "last", "unassigned"})


def owner_by_claims(obj: StoredObject) -> Owner:
    """Return the owner by claims and links alone; the reader may have been merged into another one since."""
    customer, facts = customer_claims_of(obj), obj.facts
    link = obj.link or (customer.link if customer else None)
    if obj.ref.kind in ("subscription", "session"):
        own = facts.claims if facts else OwnerClaims()
        claims = customer.claims if customer else None
        return resolve_owner(own, link=link, sessions=session_claims_of(obj), customer=claims, last=obj.owner)
    return _owner_by_customer(obj, customer, link)


def _owner_by_customer(obj: StoredObject, customer: CustomerClaims | None, link: str | None) -> Owner:
    """Return the owner of a customer or of its entitlements: by link and claims, else by its other objects."""
    facts = obj.facts
    claims = customer.claims if customer else facts.claims if facts and not facts.deleted else OwnerClaims()
    owner = resolve_owner(OwnerClaims(), link=link, customer=claims)
    if owner.reader is not None:
        return replace(owner, as_gift=False)
    known = customer.known_owner if customer else (obj.fields.get(b"known") or b"").decode()
    return Owner(known, "own") if known else obj.owner


def needs_customer(obj: StoredObject) -> bool:
    """Return whether the customer's claims decide, but Stripe has not reported the customer yet."""
    customer = customer_claims_of(obj)
    return customer is not None and not customer.is_read and owner_by_claims(obj).how in WEAKER_THAN_CUSTOMER


@dataclass(frozen=True, slots=True)
class StoredReader:
    """A reader as stored: the ID after merges, the hot record, and when the ID that was asked for was erased.

    A reader who was merged into an erased one later was not erased.
    """

    reader: str
    hot: dict[bytes, bytes]
    erased_at: int | None


class OwnerResolver(StoreRecords):
    """Finds owners in the store. Raises: StoreUnavailable."""

    def __init__(self, store: Store, erased: ErasedReaders) -> None:
        super().__init__(store)
        self._erased = erased

    def resolve_owner_of(self, obj: StoredObject) -> tuple[Owner, StoredReader | None]:
        """Return the owner of an object under the current ID, and that reader as stored.

        An object that was created before its reader was erased is unassigned, unless an admin has linked it since.
        """
        owner = owner_by_claims(obj)
        if owner.reader is None:
            return UNASSIGNED, None
        reader = self.find_reader(owner.reader)
        created = obj.facts.created if obj.facts else 0
        if reader.erased_at is not None and owner.how != "link" and created <= reader.erased_at:
            return UNASSIGNED, reader
        return replace(owner, reader=reader.reader), reader

    def find_reader(self, reader: str) -> StoredReader:
        """Return a reader, or the one into whom they were merged."""
        return self.find_readers([reader])[0]

    def find_readers(self, readers: list[str]) -> list[StoredReader]:
        """Return several readers in one round trip, and one more for each that was merged."""
        tags = [reader_hash(reader) for reader in readers]
        hot = [self.keys.reader(tag) for tag in tags]
        replies = self._link.read([*((key, (b"HGETALL", key)) for key in hot), *self._erased.read_commands(tags)])
        moments = self._erased.moments_in(tags, replies[len(tags) :])
        return [self._follow(*found) for found in zip(readers, replies[: len(tags)], moments, strict=True)]

    def _follow(self, reader: str, hot: Any, erased_at: int | None) -> StoredReader:
        heir = merged_into(hot)
        if heir is not None:
            return replace(self.find_reader(heir), erased_at=erased_at)
        return StoredReader(reader, dict(field_pairs(hot)), erased_at)
