"""Read the current state of the grants that an import touches, and which changes led to it.

A reader's history names the audit entry behind each change, and the entries of imports are named after the import. So an
undo distinguishes what another import did from what an admin did, and what remains without the imports that were undone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.link import Command
from service.adapters.redis.grants.grant_import_rows import GrantRow
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import ALIAS, ReaderChange, unpack_change
from service.adapters.redis.records import StoreRecords
from service.domain.sources import Grant

_RECENT = b"-60"
"""The part of a reader's history that is searched for the changes of a grant: its last 60 entries."""
_BY_IMPORT = re.compile(r"audit:(im_[^.]+)\.(given|undone)")


@dataclass(frozen=True, slots=True)
class GrantState:
    """A grant now, `None` if it does not exist, and the changes that are still kept, oldest first."""

    tag: bytes
    grant: Grant | None
    number: int
    changes: tuple[ReaderChange, ...] = ()
    merged: bool = False
    """Whether the reader was merged into another, whose hash `tag` is."""

    def effective_changes(self, was_undone: Callable[[str], bool]) -> list[ReaderChange]:
        """Return the changes that still count, oldest first: no undo, and no change of an import that was undone."""
        found = [(change, _BY_IMPORT.fullmatch(change.cause)) for change in self.changes]
        return [change for change, by in found if by is None or (by[2] == "given" and not was_undone(by[1]))]


class GrantStates(StoreRecords):
    """Reads the states of grants. Raises: StoreUnavailable from every method."""

    def load(self, rows: Sequence[GrantRow]) -> list[GrantState]:
        return self._load([(row.tag.encode(), _field(row)) for row in rows])

    def load_hot(self, rows: Sequence[GrantRow]) -> list[GrantState]:
        """Return the states without changes, and only of grants in their readers' hot records: a third of the work."""
        asked = [(self.keys.reader(row.tag.encode()), _field(row)) for row in rows]
        replies = self._link.read([(hot, (b"HMGET", hot, ALIAS, field)) for hot, field in asked])
        return [
            GrantState(b"", None, 0, merged=True) if alias else _state(row.tag.encode(), field, record, ())
            for row, (_, field), (alias, record) in zip(rows, asked, replies, strict=True)
        ]

    def was_written(self, row: GrantRow, entry: str) -> bool:
        """Return whether the import with this audit entry has written the row, even if it was changed since."""
        history = self._read_one(b"LRANGE", self.keys.history(row.tag.encode()), b"0", b"-1")
        return any(change.cause == f"audit:{entry}" for change in _changes_of(_field(row), history))

    def _load(self, wanted: Sequence[tuple[bytes, bytes]]) -> list[GrantState]:
        commands: list[Command] = []
        for tag, field in wanted:
            hot, past, history = self.keys.reader(tag), self.keys.past(tag), self.keys.history(tag)
            commands += [
                (hot, (b"HMGET", hot, ALIAS, field)),
                (past, (b"HGET", past, field)),
                (history, (b"LRANGE", history, _RECENT, b"-1")),
            ]
        replies = iter(self._link.read(commands))
        found = zip(wanted, replies, replies, replies, strict=True)
        return [
            replace(self._load([(reader_hash(alias.decode()), field)])[0], merged=True)
            if alias
            else _state(tag, field, record or past, history)
            for (tag, field), (alias, record), past, history in found
        ]


def _state(tag: bytes, field: bytes, record: Any, history: Sequence[bytes]) -> GrantState:
    changes = _changes_of(field, history)
    if not record:
        return GrantState(tag, None, 0, changes)
    source = source_codec.decode(field, record)
    return GrantState(tag, source if isinstance(source, Grant) else None, source_codec.number_of(record), changes)


def _field(row: GrantRow) -> bytes:
    return f"g:{row.grant}".encode()


def _changes_of(field: bytes, history: Sequence[bytes]) -> tuple[ReaderChange, ...]:
    """Return the changes of one field among the entries of a history."""
    return tuple(change for change in map(unpack_change, history) if change.field == field)
