"""Erased readers: a hash of the id stays with the moment, so that nothing older brings them back.

The mark is never lifted as a whole. What Stripe created after it is the reader's again by its own metadata, and an admin's
link is stronger than any mark (`settled_on` in `use_cases/subscriptions/owner_resolution.py`); what is older is kept without
the id (`blind`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.store import Store
from service.domain.stripe_facts import Claims, Told

Hidden = Callable[[str], bool]
"""Whether a reader's id must not be kept."""


class Erased:
    """Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._keys = store.keys

    def mark(self, tags: Collection[bytes], now: float) -> None:
        """From now on nothing older than this moment is theirs."""
        keys = [self._keys.erased(tag) for tag in tags]
        self._link.pipeline([(key, (b"SET", key, int(now))) for key in keys])

    def moments(self, readers: Iterable[str]) -> dict[str, int]:
        """Those of these readers who were erased, and when."""
        asked = list(dict.fromkeys(readers))
        keys = [self._keys.erased(reader_hash(reader)) for reader in asked]
        found = self._link.read([(key, (b"GET", key)) for key in keys]) if keys else []
        return {reader: int(moment) for reader, moment in zip(asked, found, strict=True) if moment}

    def blind(self, told: Told) -> Told:
        """What Stripe tells, without the ids of readers who were erased after the object was made."""
        named = [name for name in _named(told.claims) if name]
        erased = self.moments(named) if named else {}
        hidden = {reader for reader, moment in erased.items() if told.created <= moment}
        return replace(told, claims=without(told.claims, hidden.__contains__)) if hidden else told


def without(claims: Claims, hidden: Hidden) -> Claims:
    """Claims without ids that must not be kept. A gift whose recipient goes is nobody's, not the payer's."""
    recipient_goes = claims.gift_recipient is not None and hidden(claims.gift_recipient)
    return Claims(
        gift_recipient=None if recipient_goes else claims.gift_recipient,
        gift_pending=claims.gift_pending or recipient_goes,
        reader_id=_kept(claims.reader_id, hidden),
        client_reference_id=_kept(claims.client_reference_id, hidden),
    )


def _kept(reader: str | None, hidden: Hidden) -> str | None:
    return None if reader is not None and hidden(reader) else reader


def _named(claims: Claims) -> tuple[str | None, ...]:
    return claims.gift_recipient, claims.reader_id, claims.client_reference_id
