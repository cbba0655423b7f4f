"""Keys of Stripe's objects and events. `{s:0}` … `{s:63}`: all about one object lies in one slot, chosen by its name.

So one script sees an event, the inbox, the object and its marks at once, and no slot of a cluster holds all of Stripe.
An event lies in the slot of the object that it is about.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

PLACES = 64


@lru_cache(maxsize=65_536)
def place_of(name: str) -> int:
    """The place (0 … 63) of an object by its name, such as `subscription:sub_1`."""
    return blake2b(name.encode(), digest_size=2, person=b"place").digest()[0] % PLACES


class StripeKeys:
    """Key names under one prefix. Every `name` is a `Ref.text`; every `place` one of the 64."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix

    @staticmethod
    def tag(place: int) -> bytes:
        """The hash tag of a place; also the name of its audit outbox (`Keys.outbox`)."""
        return b"s:%d" % place

    def _at(self, place: int, rest: str) -> bytes:
        return b"%b:{s:%d}%b" % (self.prefix, place, rest.encode())

    def shared(self, what: str) -> bytes:
        """String: a moment of which there is one."""
        return b"%b:%b" % (self.prefix, what.encode())

    def object(self, name: str) -> bytes:
        """Hash: what is known of an object (`objects.Kept`)."""
        return self._at(place_of(name), f"o:{name}")

    def waiting(self, name: str) -> bytes:
        """Sorted set: events about this object that are not done, by their mark."""
        return self._at(place_of(name), f"w:{name}")

    def held(self, name: str) -> bytes:
        """Sorted set: who holds a copy (`letter:reader`), by the number of the copy that was put last."""
        return self._at(place_of(name), f"h:{name}")

    def seats(self, name: str) -> bytes:
        """Sorted set: the readers with a seat of this subscription, by when it was given (milliseconds)."""
        return self._at(place_of(name), f"t:{name}")

    def removed(self, name: str) -> bytes:
        """Sorted set: the readers that lost their seats because fewer were paid for, by when they had got them."""
        return self._at(place_of(name), f"r:{name}")

    def belongings(self, customer: str) -> bytes:
        """Set: names of the objects of this customer, its own slot's."""
        return self._at(place_of(f"customer:{customer}"), f"c:{customer}")

    def event(self, place: int, event: str) -> bytes:
        """Hash: an event, what has become of it, and what it said."""
        return self._at(place, f"e:{event}")

    def ledger(self, place: int) -> bytes:
        """Sorted set: ids of the events kept at this place, by when they were received (milliseconds)."""
        return self._at(place, "ledger")

    def inbox(self, place: int) -> bytes:
        """Sorted set: ids of the events that are not done, by when anybody may take them up."""
        return self._at(place, "inbox")

    def dead(self, place: int) -> bytes:
        """Sorted set: ids of the events that were given up, by when."""
        return self._at(place, "dead")

    def unread(self, place: int) -> bytes:
        """Sorted set: names of objects that have to be read from Stripe, by when to try."""
        return self._at(place, "unread")

    def unspread(self, place: int) -> bytes:
        """Sorted set: names of objects whose copies are behind, by since when."""
        return self._at(place, "unspread")

    def due(self, place: int) -> bytes:
        """Sorted set: names of all objects kept at this place, by when they are to be looked at again."""
        return self._at(place, "due")
