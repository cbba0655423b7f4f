"""The ledger of Stripe's events: what arrived, its result, and what it changed. Newest first, over all partitions."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from service.adapters.redis.client.keys import PARTITIONS
from service.adapters.redis.client.link import Command
from service.adapters.redis.records import StoreRecords, decode_list
from service.adapters.redis.stripe_objects.inbox import KEPT_FOR, MOST_EVENTS, State
from service.adapters.redis.stripe_objects.objects import ms

AT_A_TIME = 5_000
"""The most events deleted by one call."""

LedgerPosition = tuple[int, str]
"""The position of an event in the order: when it was received (milliseconds), and its ID."""


class BadCursor(ValueError):
    """The cursor was not made by this service."""


@dataclass(frozen=True, slots=True)
class EntitlementChange:
    """A reader's entitlements before and after an event: `[feature, until, source]` each."""

    reader: str
    before: list[list[Any]]
    after: list[list[Any]]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """An event in the ledger. `created` is in epoch seconds, `received_at` includes milliseconds."""

    id: str
    type: str
    object: str | None
    created: int
    received_at: float
    state: State
    why: str | None
    attempts: int
    duplicates: int
    changes: tuple[EntitlementChange, ...]
    name: str
    """The object in whose slot it lies."""


class Ledger(StoreRecords):
    """Reads the ledger. Raises: StoreUnavailable from every method."""

    def find(self, event: str) -> LedgerEntry | None:
        keys = [self.keys.stripe_event(partition, event) for partition in range(PARTITIONS)]
        found = self._read_each(b"HGETALL", keys)
        return next((_entry(event, row) for row in found if row), None)

    def load_page(
        self, limit: int, after: str | None = None, *, dead: bool = False
    ) -> tuple[list[LedgerEntry], str | None]:
        """Return entries, newest first, and the cursor of the next page (`None`: this is the last page).

        With `dead`, only events that were given up, in the order of that moment. Raises: BadCursor.
        """
        last = read_cursor(after) if after is not None else None
        key_at = self.keys.dead_events if dead else self.keys.ledger
        positions = sorted(self._positions(key_at, last, limit + 1), reverse=True)
        keys = [(name, self.keys.stripe_event(partition, name)) for (_, name), partition in positions[:limit]]
        rows = self._read_each(b"HGETALL", [key for _, key in keys])
        entries = [_entry(name, row) for (name, _), row in zip(keys, rows, strict=True) if row]
        return entries, write_cursor(positions[limit - 1][0]) if len(positions) > limit else None

    def _positions(
        self, key_at: Callable[[int], bytes], last: LedgerPosition | None, most: int
    ) -> list[tuple[LedgerPosition, int]]:
        """Return the newest positions before `last` of every partition: of the same millisecond by ID, then older ones."""
        keys = [key_at(partition) for partition in range(PARTITIONS)]
        below = b"(%d" % last[0] if last else b"+inf"
        part = (b"-inf", b"BYSCORE", b"REV", b"LIMIT", b"0", b"%d" % most, b"WITHSCORES")
        commands: list[Command] = [(key, (b"ZRANGE", key, below, *part)) for key in keys]
        if last:
            same = b"%d" % last[0]
            commands += [(key, (b"ZRANGE", key, same, same, b"BYSCORE", b"WITHSCORES")) for key in keys]
        found: list[tuple[LedgerPosition, int]] = []
        for at, row in enumerate(self._link.read(commands)):
            pairs = zip(row[::2], row[1::2], strict=True)
            positions = [(int(float(score)), name.decode()) for name, score in pairs]
            found += [(position, at % PARTITIONS) for position in positions if last is None or position < last]
        return found

    def newest_at(self) -> float | None:
        """Return when the last event was received (epoch seconds), or `None`."""
        positions = self._positions(self.keys.ledger, None, 1)
        return max(positions)[0][0] / 1000 if positions else None

    def trim(self, now: float, most: int = MOST_EVENTS) -> int:
        """Delete events older than 35 days, and the oldest beyond `most`. Returns how many, at most a few thousand."""
        keys = [self.keys.ledger(partition) for partition in range(PARTITIONS)]
        beyond = max(sum(self._read_each(b"ZCARD", keys)) - most, 0)
        part = (b"0", b"%d" % (AT_A_TIME - 1), b"WITHSCORES")
        oldest: list[tuple[int, bytes, int]] = []
        for partition, row in enumerate(self._read_each(b"ZRANGE", keys, *part)):
            oldest += [(int(float(score)), name, partition) for name, score in zip(row[::2], row[1::2], strict=True)]
        oldest.sort()
        limit = ms(now - KEPT_FOR)
        gone = [position for at, position in enumerate(oldest[:AT_A_TIME]) if at < beyond or position[0] < limit]
        commands: list[tuple[bytes, tuple[bytes | str | int, ...]]] = []
        for _, name, partition in gone:
            commands.append((keys[partition], (b"ZREM", keys[partition], name)))
            event = self.keys.stripe_event(partition, name.decode())
            commands.append((event, (b"DEL", event)))
        self._link.pipeline(commands)
        return len(gone)


def write_cursor(position: LedgerPosition) -> str:
    return urlsafe_b64encode(f"{position[0]} {position[1]}".encode()).rstrip(b"=").decode()


def read_cursor(text: str) -> LedgerPosition:
    try:
        at, _, name = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode().partition(" ")
        position = int(at), name
    except ValueError:
        raise BadCursor from None
    if write_cursor(position) != text or not name:
        raise BadCursor
    return position


def _entry(name: str, row: Sequence[bytes]) -> LedgerEntry:
    fields = {key.decode(): value.decode() for key, value in zip(row[::2], row[1::2], strict=True)}
    changes = [(key[2:], decode_list(value)) for key, value in fields.items() if key.startswith("c:")]
    return LedgerEntry(
        id=name,
        type=fields["type"],
        object=fields["object"] or None,
        created=int(fields["created"]),
        received_at=int(fields["received"]) / 1000,
        state=cast(State, fields["state"]),
        why=fields["why"] or None,
        attempts=int(fields["attempts"]),
        duplicates=int(fields["duplicates"]),
        changes=tuple(
            EntitlementChange(reader, before, after) for reader, (before, after) in sorted(changes) if before != after
        ),
        name=fields["name"],
    )
