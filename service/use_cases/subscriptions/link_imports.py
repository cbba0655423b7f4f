"""The kind of import `links`: each row links a customer or a subscription of Stripe's to a reader.

A file has the columns `reader,customer` or `reader,subscription`. The same row again counts as unchanged. A customer or
subscription that is named again for another reader is a mistake.

IDs are not looked up at Stripe. What is stored of an object, such as an unassigned payment, goes to the reader at once. An
undo gives each object the link that it would have without the import. What was linked or unlinked by hand since stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from service.adapters.batches import batched
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.adapters.redis.stripe_objects.link_imports import LINK_IMPORT, LinkImportWriter, LinkRow, LinkState
from service.domain import ids
from service.use_cases.imports import csv_file
from service.use_cases.imports.csv_file import CsvFormat, ImportSheet, RowMistake, check_cell
from service.use_cases.imports.kinds import ImportChunk, ImportKind, LeaseLost, PlanContext, PlannedLine
from service.use_cases.imports.pacing import UNPACED, Pace, retry_while_unavailable
from service.use_cases.subscriptions.bulk_fan_out import BulkFanOut

FORMAT = CsvFormat([("reader", "customer"), ("reader", "subscription")], 500_000, 64 * 1024 * 1024)
LINKING = ("new", "changed")
"""Actions that link an object."""
_BATCH = 250
"""Rows processed at a time."""
_HASH = (1 << 64) - 1


class LinkEntry(msgspec.Struct, array_like=True, frozen=True):
    """One valid row: the reader and the object, such as `customer:cus_1`. `again`: an earlier line says the same."""

    line: int
    reader: str
    name: str
    again: bool


def read(body: bytes, pace: Pace = UNPACED) -> ImportSheet[LinkEntry]:
    """Return the sheet in a file's bytes. Raises: `FileTooLarge`."""
    return csv_file.read(body, FORMAT, LinkEntry, lambda header: _LinkValidator(header[1]).validate, pace)


def template() -> str:
    """Return a file to start from."""
    return "reader,customer\nreader-1,cus_EXAMPLE\n"


@dataclass(frozen=True)
class LinkImports(ImportKind[LinkEntry, LinkRow]):
    """Imports of links."""

    writer: LinkImportWriter
    erased: ErasedReaders
    fan_out: BulkFanOut
    pace: Pace

    name = LINK_IMPORT
    row_type = LinkRow
    results = ("new", "changed", "unchanged")

    def plan(self, sheet: ImportSheet[LinkEntry], context: PlanContext) -> Iterator[PlannedLine[LinkRow]]:
        for batch in sheet.batches():
            rows = [LinkRow("unchanged", entry.name, entry.reader) for entry in batch]
            due = [row for row, entry in zip(rows, batch, strict=True) if not entry.again]
            retry_while_unavailable(partial(self._plan_rows, due))
            for entry, row in zip(batch, rows, strict=True):
                yield PlannedLine(entry.line, row)
                context.pace.step()

    def replan(self, rows: Sequence[LinkRow], context: PlanContext) -> list[LinkRow]:
        self._plan_rows(rows)
        return list(rows)

    def _plan_rows(self, rows: Sequence[LinkRow]) -> None:
        """Set the actions of rows, and their readers after merges."""
        for row, state in zip(rows, self._load_states(rows), strict=True):
            row.reader = state.heir
            row.action = "new" if state.link is None else "unchanged" if state.link == state.heir else "changed"

    def _load_states(self, rows: Sequence[LinkRow]) -> list[LinkState]:
        return self.writer.load_states([(row.name, row.reader or "") for row in rows])

    def apply(self, chunk: ImportChunk[LinkRow]) -> Mapping[str, int]:
        rows = chunk.rows
        for batch in batched(rows, _BATCH):
            self._link(chunk, [row for row in batch if row.action in LINKING])
            self.pace.step()
        for row in rows:
            row.reader = None
        return Counter(row.action for row in rows)

    def _link(self, chunk: ImportChunk[LinkRow], rows: Sequence[LinkRow]) -> None:
        """Link objects, and fan them out. Readers who were erased since the import was staged get none."""
        manifest, now = chunk.manifest, chunk.now
        heirs = [state.heir for state in self._load_states(rows)]
        moments = self.erased.load_moments([reader_hash(heir) for heir in heirs])
        due: list[tuple[LinkRow, str]] = []
        for row, heir, moment in zip(rows, heirs, moments, strict=True):
            if moment is not None and moment >= manifest.created_at:
                row.action = "skipped"
            else:
                due.append((row, heir))
        pairs = [(row.name, heir) for row, heir in due]
        for (row, _), verdict in zip(due, self.writer.link_objects(pairs, chunk.turn, manifest.id, now), strict=True):
            if verdict == "late":
                raise LeaseLost
            row.action = verdict
        linked = [row.name for row in rows if row.action in LINKING]
        self.fan_out.fan_out_all(linked, now, f"audit:{manifest.entry}", self.pace.step)

    def undo(self, chunk: ImportChunk[LinkRow]) -> Mapping[str, int]:
        linked = [row for row in chunk.rows if row.action in LINKING]
        counted = Counter(taken_back=0, left_alone=0)
        for batch in batched(linked, _BATCH):
            counted.update(self._undo_rows(chunk, batch))
            self.pace.step()
        return counted

    def _undo_rows(self, chunk: ImportChunk[LinkRow], rows: Sequence[LinkRow]) -> list[str]:
        manifest = chunk.manifest
        verdicts = self.writer.undo_links([row.name for row in rows], chunk.turn, manifest.id, chunk.now)
        if "late" in verdicts:
            raise LeaseLost
        results = list(zip(rows, verdicts, strict=True))
        freed = [row.name for row, verdict in results if verdict == "taken_back"]
        self.fan_out.fan_out_all(freed, chunk.now, f"audit:{manifest.undo}", self.pace.step)
        # A row that still names its reader was not done: where its object has no trace of the import, it never was linked.
        return [verdict for row, verdict in results if verdict == "taken_back" or row.reader is None]

    def remove_reader(self, rows: Sequence[LinkRow], tags: Collection[str]) -> int:
        named = [row for row in rows if row.reader is not None and row.action != "skipped"]
        theirs = [row for row in named if reader_hash(row.reader or "").decode() in tags]
        for row in theirs:
            row.action, row.reader = "skipped", None
        return len(theirs)


class _LinkValidator:
    """Validates rows, and remembers what each line linked.

    Hashes stand for IDs, and one number for a line and its reader: of half a million rows it remembers each.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._read_object = ids.read_customer if kind == "customer" else ids.read_subscription
        self._first: dict[int, int] = {}

    def validate(self, line: int, cells: Sequence[str]) -> LinkEntry | list[RowMistake]:
        """Return the row of a line, or everything that is wrong with it."""
        reader, named = cells
        wrong = check_cell(line, "reader", ids.read_reader, reader)
        wrong += check_cell(line, self._kind, self._read_object, named)
        if wrong:
            return wrong
        linked = line << 64 | hash(reader) & _HASH
        first = self._first.setdefault(hash(named), linked)
        if first & _HASH != linked & _HASH:
            return [RowMistake(line, self._kind, f"is linked to another reader in line {first >> 64}")]
        return LinkEntry(line, reader, f"{self._kind}:{named}", first != linked)
