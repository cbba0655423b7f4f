"""How the grants that an import touches stand now, and who touched them last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.link import Command
from service.adapters.redis.client.store import Store
from service.adapters.redis.grants.imports import ImportRow
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import ALIAS
from service.domain.sources import Grant

_RECENT = b"-60"
"""How far back the history is looked at for the changes of one grant."""


class Change(NamedTuple):
    """A change of a grant: what brought it, and the grant's record since; `None` where it went to another reader."""

    cause: str
    record: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A grant now. `grant` is `None` where there is none; `changes` are those that are still known, oldest first."""

    tag: bytes
    grant: Grant | None
    number: int
    changes: tuple[Change, ...]
    merged: bool
    """Its reader was merged into another, whose `tag` this is."""


class Standings:
    """Raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._keys = store.keys

    def of(self, rows: Sequence[ImportRow]) -> list[Standing]:
        """The grant of each row."""
        return self._read([(row.tag.encode(), _field(row)) for row in rows])

    def briefly(self, rows: Sequence[ImportRow]) -> list[Standing]:
        """The same without its changes, for grants that can still open something; a third of the work."""
        asked = [(self._keys.reader(row.tag.encode()), _field(row)) for row in rows]
        replies = self._link.read([(hot, (b"HMGET", hot, ALIAS, field)) for hot, field in asked]) if asked else []
        return [
            self._standing(row.tag.encode(), field, (None, here), None, ())
            if not alias
            else Standing(b"", None, 0, (), True)
            for row, (_, field), (alias, here) in zip(rows, asked, replies, strict=True)
        ]

    def was_put(self, row: ImportRow, entry: str) -> bool:
        """Whether this row was put before, by the import whose audit entry this is; also if it was changed since."""
        if row.action not in ("new", "extended"):
            return False
        key, field, cause = self._keys.history(row.tag.encode()), _field(row), f"audit:{entry}"
        (changes,) = self._link.read([(key, (b"LRANGE", key, b"0", b"-1"))])
        return any(change.cause == cause for change in _changes(changes, field))

    def _read(self, wanted: Sequence[tuple[bytes, bytes]]) -> list[Standing]:
        commands: list[Command] = []
        for tag, field in wanted:
            hot, past, history = self._keys.reader(tag), self._keys.past(tag), self._keys.history(tag)
            commands += [
                (hot, (b"HMGET", hot, ALIAS, field)),
                (past, (b"HGET", past, field)),
                (history, (b"LRANGE", history, _RECENT, b"-1")),
            ]
        replies = self._link.read(commands) if commands else []
        return [self._standing(tag, field, *replies[3 * at : 3 * at + 3]) for at, (tag, field) in enumerate(wanted)]

    def _standing(self, tag: bytes, field: bytes, hot: Any, past: Any, history: Any) -> Standing:
        alias, here = hot
        if alias:
            return replace(self._read([(reader_hash(alias.decode()), field)])[0], merged=True)
        record = here or past
        source = source_codec.decode(field, record) if record else None
        return Standing(
            tag,
            source if isinstance(source, Grant) else None,
            source_codec.number_of(record) if record else 0,
            tuple(_changes(history, field)),
            False,
        )


def _field(row: ImportRow) -> bytes:
    return f"g:{row.grant}".encode()


_decode = msgspec.json.Decoder(list).decode


def _changes(history: Sequence[bytes], field: bytes) -> Iterator[Change]:
    """Those of one field among the entries of a history (`store.readers`)."""
    for entry in history:
        _, _, name, record, cause, *_ = _decode(entry)
        if name == field.decode():
            yield Change(cause, record)
