"""Which reader owns a Stripe object: the contract's order of precedence. An email address never counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from service.domain.ids import wrong_reader_id
from service.domain.stripe_facts import OwnerClaims

How = Literal["link", "gift", "own", "session", "reference", "customer", "last", "unassigned"]

ORDER: tuple[How, ...] = ("link", "gift", "own", "session", "reference", "customer", "last", "unassigned")
"""How an owner is known, the strongest claim first."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The reader who owns an object (`None`: unassigned), how that is known, and whether it is a gift."""

    reader: str | None
    how: How
    as_gift: bool = False


UNASSIGNED = Owner(None, "unassigned")


def resolve_owner(
    own: OwnerClaims,
    *,
    link: str | None = None,
    sessions: Sequence[OwnerClaims] = (),
    customer: OwnerClaims | None = None,
    last: Owner = UNASSIGNED,
) -> Owner:
    """Return the owner of an object.

    `own` are the object's claims, `link` is an admin's link of the object or else of its customer. `sessions` are the
    claims of the Checkout sessions that started a subscription, the oldest first; `customer` are its customer's claims,
    and `last` is the owner so far.
    """
    recipient = next((claims.gift_recipient for claims in (own, *sessions) if claims.gift_recipient), None)
    gift = recipient is not None
    if link is not None:
        return Owner(link, "link", gift)
    if gift:  # An invalid recipient leaves it unassigned: the payer is not meant.
        return Owner(recipient, "gift", True) if is_reader_id(recipient) else Owner(None, "unassigned", True)
    if own.gift_pending or any(claims.gift_pending for claims in sessions):
        return UNASSIGNED
    if found := _first_reader([own.reader_id]):
        return Owner(found, "own")
    if found := _first_reader(claims.reader_id for claims in sessions):
        return Owner(found, "session")
    if found := _first_reader(claims.client_reference_id for claims in (own, *sessions)):
        is_stronger = last.reader is not None and ORDER.index(last.how) < ORDER.index("reference")
        return last if is_stronger else Owner(found, "reference")
    if customer is not None and (found := _first_reader([customer.reader_id])):
        return Owner(found, "customer")
    return last


def is_reader_id(word: str | None) -> bool:
    """Return whether this is a reader's ID by the contract: what is not leaves an object unassigned, without an error."""
    return word is not None and wrong_reader_id(word) is None


def _first_reader(words: Iterable[str | None]) -> str | None:
    return next((word for word in words if is_reader_id(word)), None)
