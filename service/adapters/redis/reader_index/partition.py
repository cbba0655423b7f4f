"""The stored form of a partition of the index: a header, and the columns of its readers and grants in MessagePack.

    header     8 random bytes, new with every write · the first moment at which a reader in it changes by itself (uint64)
    readers    states [[access, plans, sources, standing], …] · IDs, sorted, by lines · numbers of their states (uint16) ·
               ends · next changes (uint32)
    grants     origins [[plan, actor, import, revoked], …] · IDs, the oldest first, by lines · numbers of their readers ·
               numbers of their origins (uint16) · created · starts · ends (uint32)

A query reads all partitions, so it needs columns that Python filters without an object for each row. A moment after the year
2106 is stored as that year's last possible second; a list shows what the reader's own record holds.
"""

from __future__ import annotations

import os
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec

REVISION = 8
"""Bytes of the header that differ after every write."""
NEVER = 0xFFFF_FFFF
"""In a column of moments: none."""
LAST_MOMENT = NEVER - 1
NO_CHANGE = 0xFFFF_FFFF_FFFF_FFFF
"""In the header: no reader of the partition changes by itself."""

_HEADER = struct.Struct(f"<{REVISION}sQ")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class StateKey(NamedTuple):
    """What readers are filtered by, besides the ID and the end."""

    access: bool
    plans: tuple[str, ...]
    sources: tuple[str, ...]
    standing: str


class GrantOrigin(NamedTuple):
    """What grants are filtered by, besides reader and times."""

    plan: str | None
    actor: str
    import_id: str | None
    revoked: bool


class IndexedGrant(NamedTuple):
    """A grant in the index; times in epoch seconds."""

    id: str
    origin: GrantOrigin
    created_at: int
    start: int
    until: int | None


class IndexedReader(NamedTuple):
    """A reader in the index; times in epoch seconds, `None`: no end, or no change ahead."""

    state: StateKey
    until: int | None
    next_change: int | None
    grants: tuple[IndexedGrant, ...]


class GrantPlace(NamedTuple):
    """Where a grant stands in the list: the newest has the highest place. `end` is as stored."""

    created_at: int
    id: bytes
    reader: bytes = b""
    end: int = NEVER


_EMPTY: list[Any] = [[], b"", b"", b"", b"", [], b"", b"", b"", b"", b"", b""]


@dataclass(frozen=True, slots=True)
class IndexPartition:
    """A partition as it is stored, its columns not yet unpacked."""

    revision: bytes
    _states: list[list[Any]]
    _ids: bytes
    _numbers: bytes
    _ends: bytes
    _changes: bytes
    _origins: list[list[Any]]
    _grant_ids: bytes
    _holders: bytes
    _origin_numbers: bytes
    _created: bytes
    _starts: bytes
    _grant_ends: bytes

    @classmethod
    def unpack(cls, stored: bytes | None) -> IndexPartition:
        """Return a stored partition; `None` is an empty one."""
        if not stored:
            return cls(b"", *_EMPTY)
        return cls(stored[:REVISION], *_decode(stored[_HEADER.size :]))

    # Queries.

    def find_readers(
        self,
        accepts: Callable[[StateKey], bool],
        *,
        prefix: bytes = b"",
        after: bytes = b"",
        ends_before: float | None = None,
    ) -> Iterator[tuple[int, bytes]]:
        """Yield stored end and ID of the readers that match, sorted by ID."""
        accepted = [accepts(_state(state)) for state in self._states]
        if not any(accepted):
            return
        ids = self._ids.split(b"\n")
        first = max(bisect_left(ids, prefix), bisect_right(ids, after) if after else 0)
        last = bisect_left(ids, prefix + b"\xff") if prefix else len(ids)
        numbers, ends = _column("H", self._numbers), _column("I", self._ends)
        limit = NEVER + 1 if ends_before is None else min(ends_before, NEVER)
        for at in range(first, last):
            if accepted[numbers[at]] and ends[at] < limit:
                yield ends[at], ids[at]

    def find_grants(
        self,
        accepts: Callable[[GrantOrigin], bool],
        in_time: Callable[[bool, int, int], bool],
        *,
        before: GrantPlace | None = None,
        reader: bytes | None = None,
        prefix: bytes = b"",
    ) -> Iterator[GrantPlace]:
        """Yield the grants that match, the newest first. `in_time` takes whether it is revoked, its start and its end.

        `prefix` is that of the reader's ID.
        """
        origins = [GrantOrigin(*origin) for origin in self._origins]
        accepted = [accepts(origin) for origin in origins]
        if not any(accepted):
            return
        ids, readers = self._grant_ids.split(b"\n"), self._ids.split(b"\n")
        holders, numbers = _column("I", self._holders), _column("H", self._origin_numbers)
        created, starts, ends = (_column("I", column) for column in (self._created, self._starts, self._grant_ends))
        for at in range(len(ids) - 1, -1, -1):
            number = numbers[at]
            if not accepted[number] or (before is not None and (created[at], ids[at]) >= before[:2]):
                continue
            holder = readers[holders[at]]
            if (
                reader in (None, holder)
                and holder.startswith(prefix)
                and in_time(origins[number].revoked, starts[at], ends[at])
            ):
                yield GrantPlace(created[at], ids[at], holder, ends[at])

    def due_readers(self, now: float) -> list[str]:
        """Return the readers who have changed by themselves since they were indexed."""
        changes = _column("I", self._changes)
        return [name for name, change in zip(self.reader_ids(), changes, strict=True) if change <= now]

    def reader_ids(self) -> list[str]:
        return self._ids.decode().split("\n") if self._ids else []

    # Writing.

    def rows(self) -> dict[str, IndexedReader]:
        """Return all readers in it."""
        names, origins = self.reader_ids(), [GrantOrigin(*origin) for origin in self._origins]
        grants: list[list[IndexedGrant]] = [[] for _ in names]
        columns = (self._holders, self._created, self._starts, self._grant_ends)
        unpacked = [_column("H", self._origin_numbers), *(_column("I", column) for column in columns)]
        grant_ids = self._grant_ids.decode().split("\n") if self._grant_ids else []
        for grant_id, number, holder, created, start, end in zip(grant_ids, *unpacked, strict=True):
            grants[holder].append(IndexedGrant(grant_id, origins[number], created, start, _read_moment(end)))
        states = [_state(state) for state in self._states]
        of_readers = (_column("H", self._numbers), _column("I", self._ends), _column("I", self._changes))
        return {
            name: IndexedReader(states[number], _read_moment(end), _read_moment(change), tuple(held))
            for name, number, end, change, held in zip(names, *of_readers, grants, strict=True)
        }


def pack_partition(rows: Mapping[str, IndexedReader]) -> bytes:
    """Return the stored form of these readers; nothing for none."""
    if not rows:
        return b""
    names = sorted(rows)
    states: dict[StateKey, int] = {}
    origins: dict[GrantOrigin, int] = {}
    numbers = array("H", [states.setdefault(rows[name].state, len(states)) for name in names])
    changes = array("I", [_moment(rows[name].next_change) for name in names])
    grants = sorted(
        ((grant, at) for at, name in enumerate(names) for grant in rows[name].grants),
        key=lambda pair: (_moment(pair[0].created_at), pair[0].id),
    )
    columns: list[Any] = [
        list(states),
        "\n".join(names).encode(),
        numbers.tobytes(),
        array("I", [_moment(rows[name].until) for name in names]).tobytes(),
        changes.tobytes(),
        None,  # The origins, which the next column fills.
        "\n".join(grant.id for grant, _ in grants).encode(),
        array("I", [at for _, at in grants]).tobytes(),
        array("H", [origins.setdefault(grant.origin, len(origins)) for grant, _ in grants]).tobytes(),
        array("I", [_moment(grant.created_at) for grant, _ in grants]).tobytes(),
        array("I", [_moment(grant.start) for grant, _ in grants]).tobytes(),
        array("I", [_moment(grant.until) for grant, _ in grants]).tobytes(),
    ]
    columns[5] = list(origins)
    first = min(changes)
    return _HEADER.pack(os.urandom(REVISION), NO_CHANGE if first == NEVER else first) + _encode(columns)


def read_first_change(header: bytes) -> int:
    """Return the first change of a stored partition from its first 16 bytes; none for an empty one."""
    return int(_HEADER.unpack(header)[1]) if header else NO_CHANGE


HEADER_BYTES = _HEADER.size


def _moment(second: int | None) -> int:
    return NEVER if second is None else min(max(second, 0), LAST_MOMENT)


def _read_moment(stored: int) -> int | None:
    return None if stored == NEVER else stored


def _state(stored: list[Any]) -> StateKey:
    access, plans, sources, standing = stored
    return StateKey(access, tuple(plans), tuple(sources), standing)


def _column(code: Literal["H", "I"], stored: bytes) -> memoryview[int]:
    return memoryview(stored).cast(code)
