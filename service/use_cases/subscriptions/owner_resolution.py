"""Resolve the owner of an object: by claims and links, and under the ID that the reader has after merges and erasures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from service.use_cases.subscriptions.projections import claims_for_objects, customer_claims_of, session_claims_of

WEAKER_THAN_CUSTOMER = frozenset({"customer", "last", "unassigned"})


def owner_by_claims(obj: StoredObject, *, with_links: bool) -> Owner:
    """Return the owner by claims alone, or with admins' links; the reader may have been merged into another one since.

    The owner so far is always the one without links: an object that is unlinked belongs to nobody because of the link.
    """
    customer, facts = customer_claims_of(obj), obj.facts
    link = (obj.link or (customer.link if customer else None)) if with_links else None
    last = obj.unlinked_owner
    if obj.ref.kind in ("subscription", "session"):
        own = facts.claims if facts else OwnerClaims()
        claims = customer.claims if customer else None
        return resolve_owner(own, link=link, sessions=session_claims_of(obj), customer=claims, last=last)
    claims = customer.claims if customer else facts.claims if facts else OwnerClaims()
    owner = resolve_owner(OwnerClaims(), link=link, customer=claims)
    if owner.reader is not None:
        return replace(owner, as_gift=False)
    known = customer or claims_for_objects(obj)
    reader = (known.linked_owner if with_links else None) or known.known_owner
    if reader:
        return Owner(reader, "own")
    return last if last.how != "own" else UNASSIGNED  # What its other objects reported is `known`, or was a link.


def customer_to_read(obj: StoredObject) -> str | None:
    """Return the name of the customer whose claims decide, if Stripe has not reported them yet."""
    facts, customer = obj.facts, customer_claims_of(obj)
    if facts is None or facts.source is None or not facts.customer or customer is None or customer.is_read:
        return None
    is_weaker = owner_by_claims(obj, with_links=False).how in WEAKER_THAN_CUSTOMER
    return f"customer:{facts.customer}" if is_weaker else None


@dataclass(frozen=True, slots=True)
class StoredReader:
    """A reader as stored: the ID after merges, the hot record, and when the ID that was asked for was erased.

    A reader who was merged into an erased one later was not erased.
    """

    reader: str
    hot: dict[bytes, bytes]
    erased_at: int | None


@dataclass(frozen=True, slots=True)
class ResolvedOwner:
    """The owner of an object, who it would be without links, and the owner as stored."""

    owner: Owner
    unlinked: Owner
    reader: StoredReader | None


class OwnerResolver(StoreRecords):
    """Finds owners in the store. Raises: StoreUnavailable."""

    def __init__(self, store: Store, erased: ErasedReaders) -> None:
        super().__init__(store)
        self._erased = erased

    def resolve_owners(self, objects: Sequence[StoredObject]) -> list[ResolvedOwner]:
        """Return the owner of each object under the current ID, and who it would be without links, in one round trip."""
        owners = [[owner_by_claims(obj, with_links=links) for links in (True, False)] for obj in objects]
        named = list(dict.fromkeys(owner.reader for pair in owners for owner in pair if owner.reader is not None))
        readers = dict(zip(named, self.find_readers(named), strict=True))
        found = []
        for obj, (owner, unlinked) in zip(objects, owners, strict=True):
            current, reader = self._under_current_id(obj, owner, readers)
            without = current if unlinked == owner else self._under_current_id(obj, unlinked, readers)[0]
            found.append(ResolvedOwner(current, without, reader))
        return found

    def _under_current_id(
        self, obj: StoredObject, owner: Owner, readers: Mapping[str, StoredReader]
    ) -> tuple[Owner, StoredReader | None]:
        """Return the owner under the current ID, and that reader as stored.

        An object that was created before its reader was erased is unassigned, unless an admin has linked it since.
        """
        if owner.reader is None:
            return UNASSIGNED, None
        reader = readers[owner.reader]
        created = obj.facts.created if obj.facts else 0
        if reader.erased_at is not None and owner.how != "link" and created <= reader.erased_at:
            return UNASSIGNED, reader
        return (owner if owner.reader == reader.reader else replace(owner, reader=reader.reader)), reader

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
