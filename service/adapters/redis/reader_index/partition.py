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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

REVISION = 8
"""Bytes of the header that differ after every write."""
NEVER = 0xFFFF_FFFF
"""In a column of moments: none."""
LAST_MOMENT = NEVER - 1
NO_CHANGE = 0xFFFF_FFFF_FFFF_FFFF
"""In the header: no reader of the partition changes by itself."""

_HEADER = struct.Struct(f"<{REVISION}sQ")
HEADER_BYTES = _HEADER.size
_encode = msgspec.msgpack.Encoder().encode


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


class _Columns(msgspec.Struct, array_like=True, frozen=True):
    """The columns of a partition, in the order in which they are stored."""

    states: list[StateKey] = []
    ids: bytes = b""
    numbers: bytes = b""
    ends: bytes = b""
    changes: bytes = b""
    origins: list[GrantOrigin] = []
    grant_ids: bytes = b""
    holders: bytes = b""
    origin_numbers: bytes = b""
    created: bytes = b""
    starts: bytes = b""
    grant_ends: bytes = b""


_decode = msgspec.msgpack.Decoder(_Columns).decode


@dataclass(frozen=True, slots=True)
class IndexPartition:
    """A partition as it is stored, its columns not yet unpacked."""

    revision: bytes
    _columns: _Columns

    @classmethod
    def unpack(cls, stored: bytes | None) -> IndexPartition:
        """Return a stored partition; `None` is an empty one."""
        if not stored:
            return cls(b"", _Columns())
        return cls(stored[:REVISION], _decode(stored[HEADER_BYTES:]))

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
        columns = self._columns
        accepted = [accepts(state) for state in columns.states]
        if not any(accepted):
            return
        ids = columns.ids.split(b"\n")
        first = max(bisect_left(ids, prefix), bisect_right(ids, after) if after else 0)
        last = bisect_left(ids, prefix + b"\xff") if prefix else len(ids)
        numbers, ends = _column("H", columns.numbers), _column("I", columns.ends)
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
        columns = self._columns
        accepted = [accepts(origin) for origin in columns.origins]
        if not any(accepted):
            return
        ids, readers = columns.grant_ids.split(b"\n"), columns.ids.split(b"\n")
        holders, numbers = _column("I", columns.holders), _column("H", columns.origin_numbers)
        created, starts, ends = (_column("I", one) for one in (columns.created, columns.starts, columns.grant_ends))
        for at in range(len(ids) - 1, -1, -1):
            number = numbers[at]
            if not accepted[number] or (before is not None and (created[at], ids[at]) >= before[:2]):
                continue
            holder = readers[holders[at]]
            if (
                reader in (None, holder)
                and holder.startswith(prefix)
                and in_time(columns.origins[number].revoked, starts[at], ends[at])
            ):
                yield GrantPlace(created[at], ids[at], holder, ends[at])

    def due_readers(self, now: float) -> list[str]:
        """Return the readers who have changed by themselves since they were indexed."""
        changes = _column("I", self._columns.changes)
        return [name for name, change in zip(self.reader_ids(), changes, strict=True) if change <= now]

    def reader_ids(self) -> list[str]:
        return self._columns.ids.decode().split("\n") if self._columns.ids else []

    # Writing.

    def rows(self) -> dict[str, IndexedReader]:
        """Return all readers in it."""
        names, columns = self.reader_ids(), self._columns
        grants: list[list[IndexedGrant]] = [[] for _ in names]
        moments = (_column("I", one) for one in (columns.holders, columns.created, columns.starts, columns.grant_ends))
        grant_ids = columns.grant_ids.decode().split("\n") if columns.grant_ids else []
        rows = zip(grant_ids, _column("H", columns.origin_numbers), *moments, strict=True)
        for grant_id, number, holder, created, start, end in rows:
            grants[holder].append(IndexedGrant(grant_id, columns.origins[number], created, start, _read_moment(end)))
        of_readers = (_column("H", columns.numbers), _column("I", columns.ends), _column("I", columns.changes))
        return {
            name: IndexedReader(columns.states[number], _read_moment(end), _read_moment(change), tuple(held))
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
    changes = _moments(rows[name].next_change for name in names)
    held = sorted(
        ((grant, at) for at, name in enumerate(names) for grant in rows[name].grants),
        key=lambda pair: (_moment(pair[0].created_at), pair[0].id),
    )
    grants = [grant for grant, _ in held]
    origin_numbers = array("H", [origins.setdefault(grant.origin, len(origins)) for grant in grants])
    columns = _Columns(
        states=list(states),
        ids="\n".join(names).encode(),
        numbers=numbers.tobytes(),
        ends=_moments(rows[name].until for name in names).tobytes(),
        changes=changes.tobytes(),
        origins=list(origins),
        grant_ids="\n".join(grant.id for grant in grants).encode(),
        holders=array("I", [at for _, at in held]).tobytes(),
        origin_numbers=origin_numbers.tobytes(),
        created=_moments(grant.created_at for grant in grants).tobytes(),
        starts=_moments(grant.start for grant in grants).tobytes(),
        grant_ends=_moments(grant.until for grant in grants).tobytes(),
    )
    first = min(changes)
    return _HEADER.pack(os.urandom(REVISION), NO_CHANGE if first == NEVER else first) + _encode(columns)


def read_first_change(header: bytes) -> int:
    """Return the first change of a stored partition from its first 16 bytes; none for an empty one."""
    return int(_HEADER.unpack(header)[1]) if header else NO_CHANGE


def _moment(second: int | None) -> int:
    return NEVER if second is None else min(max(second, 0), LAST_MOMENT)


def _moments(seconds: Iterable[int | None]) -> array[int]:
    return array("I", map(_moment, seconds))


def _read_moment(stored: int) -> int | None:
    return None if stored == NEVER else stored


def _column(code: Literal["H", "I"], stored: bytes) -> memoryview[int]:
    return memoryview(stored).cast(code)
