"""Write sources of many readers for an import: several in one script, each only while the import has its lease."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from service.adapters.redis.client.scripts import ScriptCall, load
from service.adapters.redis.imports.import_store import ImportTurn
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import HISTORY_ENTRIES, Rule
from service.adapters.redis.records import StoreRecords

WRITE_SOURCES = load("write_import_sources")

SourceVerdict = Literal["applied", "conflict", "stale", "merged", "late"]
SOURCES_A_SCRIPT = 20
"""Sources written by one script: more of them delay access checks, fewer cost more flushes to disk."""


@dataclass(frozen=True, slots=True)
class SourceWrite:
    """A source's record that is to replace its predecessor, in the record of the reader with this hash."""

    tag: bytes
    field: bytes
    number: int
    record: bytes
    place: Literal["reader", "past"]
    reader: str = ""
    """The reader's ID; empty if it is unknown, or in the record already."""


class ImportSourceWriter(StoreRecords):
    """Writes the sources of an import. Raises: StoreUnavailable."""

    def write_sources(
        self, writes: Sequence[SourceWrite], rule: Rule, turn: ImportTurn, cause: str, now: float
    ) -> list[SourceVerdict]:
        """Write sources, each independently, and return the verdicts; `cause` names the audit entry."""
        common: list[bytes | int | str] = [source_codec.SCHEMA, int(now), int(now * 1000) % 1000, cause]
        common += [HISTORY_ENTRIES, turn.until_ms, rule]
        parts = [writes[start : start + SOURCES_A_SCRIPT] for start in range(0, len(writes), SOURCES_A_SCRIPT)]
        return [cast(SourceVerdict, verdict.decode()) for part in parts for verdict, _ in self._write(part, common)]

    def _write(self, writes: Sequence[SourceWrite], common: Sequence[bytes | int | str]) -> list[Any]:
        """Write by one script; in a cluster by one script a reader, because they lie in different slots."""
        if self._link.address.kind != "cluster":
            return cast("list[Any]", self._link.run(*self._writing(writes, common)))
        replies = self._link.run_all([self._writing([write], common) for write in writes])
        return [verdict for reply in replies for verdict in reply]

    def _writing(self, writes: Sequence[SourceWrite], common: Sequence[bytes | int | str]) -> ScriptCall:
        named: list[bytes] = []
        arguments = list(common)
        keys = self.keys
        for write in writes:
            named += [keys.reader(write.tag), keys.past(write.tag), keys.history(write.tag)]
            arguments += [write.field, write.number, write.record, write.place, write.reader]
        return ScriptCall(WRITE_SOURCES, tuple(named), tuple(arguments))
