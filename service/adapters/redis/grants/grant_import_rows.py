"""The rows of an import of grants, and the script that writes their grants.

    row      [tag, action, grant, number, old end, plan, end, reason, reader]
    action   "new" | "extended" | "unchanged" | "skipped"
    number   of the grant before the import changes it (0: there is none), so that only its successor is ever written

A reason can name anybody, so both it and the reader's ID go when the row is done. The hash of the ID stays for an undo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec

from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.imports.import_store import ImportTurn
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.adapters.redis.readers.readers import HISTORY_ENTRIES
from service.adapters.redis.records import StoreRecords

PUT = load("write_import_grants")

GrantVerdict = Literal["applied", "conflict", "merged", "erased", "late"]
GRANTS_A_SCRIPT = 20
"""Grants written by one script: more of them delay access checks, fewer cost more flushes to disk."""


class GrantRow(msgspec.Struct, array_like=True):
    """What is to be done, or was done, for one reader."""

    tag: str
    action: Literal["new", "extended", "unchanged", "skipped"]
    grant: str | None
    number: int
    old: int | None
    plan: str | None
    until: int | None
    reason: str | None = None
    reader: str | None = None
    """The ID of the reader with this tag; `None` when it is done, or if a former release staged it."""


@dataclass(frozen=True, slots=True)
class GrantWrite:
    """A grant's record that is to replace its predecessor."""

    tag: bytes
    field: bytes
    number: int
    record: bytes
    place: Literal["reader", "past"]
    reader: str = ""
    """The reader's ID; empty if it is unknown, or in the record already."""


class GrantImportWriter(StoreRecords):
    """Writes the grants of an import. Raises: StoreUnavailable."""

    def __init__(self, store: Store, erased: ErasedReaders) -> None:
        super().__init__(store)
        self._erased = erased

    def write_grants(
        self, puts: Sequence[GrantWrite], turn: ImportTurn, staged_at: int, cause: str, now: float
    ) -> list[GrantVerdict]:
        """Write grants, each independently, and return the verdicts; `cause` names the audit entry.

        Readers who were erased since the import was staged get none. An erasure that begins after that was looked up waits
        for this import (`BulkImports.remove_reader`).
        """
        said: list[bytes | int | str] = [source_codec.SCHEMA, int(now), int(now * 1000) % 1000, cause]
        said += [HISTORY_ENTRIES, turn.until_ms]
        moments = self._erased.load_moments([put.tag for put in puts])
        erased = [moment is not None and moment >= staged_at for moment in moments]
        due = [put for put, is_erased in zip(puts, erased, strict=True) if not is_erased]
        parts = [due[start : start + GRANTS_A_SCRIPT] for start in range(0, len(due), GRANTS_A_SCRIPT)]
        replies = iter([verdict for part in parts for verdict, _ in self._put(part, said)])
        return ["erased" if is_erased else cast(GrantVerdict, next(replies).decode()) for is_erased in erased]

    def _put(self, puts: Sequence[GrantWrite], said: Sequence[bytes | int | str]) -> list[Any]:
        """Write by one script; in a cluster by one script a reader, because they lie in different slots."""
        if self._link.address.kind != "cluster":
            return cast("list[Any]", self._link.run(PUT, *self._asked(puts, said)))
        asked = [self._asked([put], said) for put in puts]
        try:
            replies = self._link.pipeline([(keys[0], (b"EVALSHA", PUT.sha, 3, *keys, *args)) for keys, args in asked])
        except StoreError:
            # A restarted server does not know the script; `run` loads it. Each write can be repeated.
            replies = [self._link.run(PUT, keys, args) for keys, args in asked]
        return [verdict for reply in replies for verdict in reply]

    def _asked(
        self, puts: Sequence[GrantWrite], said: Sequence[bytes | int | str]
    ) -> tuple[list[bytes], list[bytes | int | str]]:
        named: list[bytes] = []
        arguments = list(said)
        keys = self.keys
        for put in puts:
            named += [keys.reader(put.tag), keys.past(put.tag), keys.history(put.tag)]
            arguments += [put.field, put.number, put.record, put.place, put.reader]
        return named, arguments
