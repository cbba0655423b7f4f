"""The rows of an import of grants, and what writes their grants.

    row      [tag, action, grant, number, old end, plan, end, reason, reader]
    action   "new" | "extended" | "unchanged" | "skipped"; of a change of many grants "changed" | "revoked"
    number   of the grant before the import changes it (0: there is none), so that only its successor is ever written

A reason can name anybody, so both it and the reader's ID go when the row is done. The hash of the ID stays for an undo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from service.adapters.redis.imports.import_store import ImportSourceWriter, ImportTurn, SourceVerdict, SourceWrite
from service.adapters.redis.readers.erased_readers import ErasedReaders

GrantVerdict = SourceVerdict | Literal["erased"]


class GrantRow(msgspec.Struct, array_like=True):
    """What is to be done, or was done, for one reader."""

    tag: str
    action: Literal["new", "extended", "changed", "revoked", "unchanged", "skipped"]
    grant: str | None
    number: int
    old: int | None
    plan: str | None
    until: int | None
    reason: str | None = None
    reader: str | None = None
    """The ID of the reader with this tag; `None` when it is done, or if a former release staged it."""


class GrantImportWriter:
    """Writes the grants of an import. Raises: StoreUnavailable."""

    def __init__(self, writer: ImportSourceWriter, erased: ErasedReaders) -> None:
        self._writer = writer
        self._erased = erased

    def write_grants(
        self, writes: Sequence[SourceWrite], turn: ImportTurn, staged_at: int, cause: str, now: float
    ) -> list[GrantVerdict]:
        """Write grants, each independently, and return the verdicts; `cause` names the audit entry.

        Readers who were erased since the import was staged get none. An erasure that begins after that was looked up waits
        for this import (`BulkImports.remove_reader`).
        """
        moments = self._erased.load_moments([write.tag for write in writes])
        erased = [moment is not None and moment >= staged_at for moment in moments]
        due = [write for write, is_erased in zip(writes, erased, strict=True) if not is_erased]
        verdicts = iter(self._writer.write_sources(due, "next", turn, cause, now))
        return ["erased" if is_erased else next(verdicts) for is_erased in erased]
