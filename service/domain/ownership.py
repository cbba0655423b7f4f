"""Whose an object of Stripe's is: the contract's order of precedence, as a ladder. Never by e-mail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from service.domain.ids import wrong_reader_id
from service.domain.stripe_facts import OwnerClaims

How = Literal["link", "gift", "own", "session", "reference", "customer", "last", "nobody"]

ORDER: tuple[How, ...] = ("link", "gift", "own", "session", "reference", "customer", "last", "nobody")
"""The means by which an owner is known, best first."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose it is (`None`: nobody's, parked), by what means that is known, and whether it came as a gift."""

    reader: str | None
    how: How
    as_gift: bool = False


NOBODY = Owner(None, "nobody")


def owner_of(
    own: OwnerClaims,
    *,
    link: str | None = None,
    sessions: Sequence[OwnerClaims] = (),
    customer: OwnerClaims | None = None,
    last: Owner = NOBODY,
) -> Owner:
    """Whose an object is.

    own: the object's own claims. link: an admin's, of the object, else of its customer. sessions: of a subscription the
    claims of the Checkout sessions that began it, the oldest first. customer: its customer's claims. last: whose it was.
    """
    recipient = _first(claims.gift_recipient for claims in (own, *sessions))
    gift = recipient is not None
    if link is not None:
        return Owner(link, "link", gift)
    if gift:  # A recipient who cannot be one is nobody; the payer is not meant.
        return Owner(recipient, "gift", True) if is_reader_id(recipient) else Owner(None, "nobody", True)
    if own.gift_pending or any(claims.gift_pending for claims in sessions):
        return NOBODY
    if found := _first_reader([own.reader_id]):
        return Owner(found, "own")
    if found := _first_reader(claims.reader_id for claims in sessions):
        return Owner(found, "session")
    if found := _first_reader(claims.client_reference_id for claims in (own, *sessions)):
        return last if _better_known(last, than="reference") else Owner(found, "reference")
    if customer is not None and (found := _first_reader([customer.reader_id])):
        return Owner(found, "customer")
    return last


def is_reader_id(word: str | None) -> bool:
    """Return whether this is a reader's ID by the contract: what is not leaves an object unassigned, without an error."""
    return word is not None and wrong_reader_id(word) is None


def _better_known(last: Owner, than: How) -> bool:
    return last.reader is not None and ORDER.index(last.how) < ORDER.index(than)


def _first(words: Iterable[str | None]) -> str | None:
    return next((word for word in words if word), None)


def _first_reader(words: Iterable[str | None]) -> str | None:
    return next((word for word in words if is_reader_id(word)), None)
