"""What has to be done about Stripe's objects, read over all 64 places in one wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from service.adapters.redis.client.store import Store
from service.adapters.redis.stripe_objects.objects import ms
from service.adapters.redis.stripe_objects.stripe_keys import PLACES, StripeKeys, place_of

A_TIME = 200
"""The most names taken from one place at a time."""


class Marks:
    """Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self.keys = StripeKeys(store.keys.prefix)

    def unread(self, now: float) -> list[str]:
        """Objects that have to be read from Stripe and whose next try is due; `now` may be infinite."""
        return self._names(self.keys.unread, now)

    def is_unread(self, name: str) -> bool:
        """Whether this object has still to be read."""
        key = self.keys.unread(place_of(name))
        (score,) = self._link.read([(key, (b"ZSCORE", key, name.encode()))])
        return score is not None

    def unspread(self, now: float) -> list[str]:
        """Objects whose copies are behind since before `now`."""
        return self._names(self.keys.unspread, now)

    def due(self, now: float) -> list[str]:
        """Objects that change by themselves about now."""
        return self._names(self.keys.due, now)

    def put_off(self, name: str, until: float) -> None:
        """The next try to read this object; it only moves what is still to be read."""
        key = self.keys.unread(place_of(name))
        self._link.call(key, b"ZADD", key, b"XX", ms(until), name)

    def put_off_due(self, name: str, until: float) -> None:
        """When this object is to be looked at again."""
        key = self.keys.due(place_of(name))
        self._link.call(key, b"ZADD", key, b"XX", "inf" if until == float("inf") else ms(until), name)

    def remember(self, what: str, moment: int) -> None:
        """Keeps when something of which there is one was done last (epoch seconds)."""
        key = self.keys.shared(what)
        self._link.call(key, b"SET", key, moment)

    def recall(self, what: str) -> int | None:
        """When that was, if ever."""
        key = self.keys.shared(what)
        (text,) = self._link.read([(key, (b"GET", key))])
        return int(text) if text else None

    def counts(self) -> dict[str, int]:
        """How many objects are unread, unspread and kept, and how many events wait or were given up."""
        kinds = {"unread": self.keys.unread, "unspread": self.keys.unspread, "kept": self.keys.due}
        kinds |= {"pending": self.keys.inbox, "dead": self.keys.dead}
        keys = [(name, key(place)) for name, key in kinds.items() for place in range(PLACES)]
        replies = self._link.read([(key, (b"ZCARD", key)) for _, key in keys])
        found = dict.fromkeys(kinds, 0)
        for (name, _), reply in zip(keys, replies, strict=True):
            found[name] += reply
        return found

    def all_objects(self) -> Iterator[list[str]]:
        """The names of all objects kept, a page at a time; one may come twice."""
        for place in range(PLACES):
            key, cursor = self.keys.due(place), b"0"
            while True:
                (reply,) = self._link.read([(key, (b"ZSCAN", key, cursor, b"COUNT", b"500"))])
                cursor, row = reply
                yield [name.decode() for name in row[::2]]
                if cursor == b"0":
                    break

    def _names(self, key_at: Callable[[int], bytes], upto: float) -> list[str]:
        limit = b"+inf" if upto == float("inf") else b"%d" % ms(upto)
        keys = [key_at(place) for place in range(PLACES)]
        part = (b"-inf", limit, b"LIMIT", b"0", b"%d" % A_TIME)
        rows = self._link.read([(key, (b"ZRANGEBYSCORE", key, *part)) for key in keys])
        return [name.decode() for row in rows for name in row]
