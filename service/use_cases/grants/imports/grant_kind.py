"""The kind of import `grants`: each row grants a plan to a reader.

A row *extends* an active grant of its plan that ends earlier. It creates a *new* grant where none is active, beside any that
is scheduled, expired or revoked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeVar

from service.adapters.redis.grants.grant_import_rows import GrantRow
from service.adapters.redis.imports.import_store import GRANT_IMPORT
from service.adapters.redis.imports.imported_readers import ImportedReader, ImportedReaders
from service.adapters.redis.readers.id_mentions import without_names
from service.domain import grant_rules
from service.domain.catalogue import Catalogue
from service.domain.grant_rules import Mistakes
from service.domain.sources import Grant, end_order
from service.use_cases.grants.imports.grant_chunks import GrantChunks
from service.use_cases.grants.imports.grant_file import GrantEntry
from service.use_cases.imports.csv_file import ImportSheet, RowMistake
from service.use_cases.imports.kinds import ImportChunk, ImportKind, PlanContext, PlannedLine, SecondAdminRule
from service.use_cases.imports.pacing import retry_while_unavailable

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class GrantRowImports(ImportKind[Entry, GrantRow]):
    """What imports whose rows write grants share, wherever the rows come from."""

    catalogue: Catalogue
    chunks: GrantChunks

    row_type = GrantRow

    def apply(self, chunk: ImportChunk[GrantRow]) -> Mapping[str, int]:
        return self.chunks.apply(chunk, self.replan)

    def undo(self, chunk: ImportChunk[GrantRow]) -> Mapping[str, int]:
        return self.chunks.undo(chunk)

    def remove_reader(self, rows: Sequence[GrantRow], tags: Collection[str]) -> int:
        """Skip the rows of a reader, by their hashes, and remove the ID and the reason. Return the number of these rows."""
        theirs = [row for row in rows if row.tag in tags and row.action != "skipped"]
        for row in theirs:
            row.action, row.reason, row.reader = "skipped", None, None
        return len(theirs)


@dataclass(frozen=True)
class GrantImports(GrantRowImports[GrantEntry]):
    """Imports of grants. `[grants] confirm_above` decides which of them need a second admin."""

    readers: ImportedReaders

    name = GRANT_IMPORT
    results = ("new", "extended", "unchanged")

    def plan(self, sheet: ImportSheet[GrantEntry], context: PlanContext) -> Iterator[PlannedLine[GrantRow]]:
        """Yield the line and the planned row of each entry.

        Where two entries turn out to be of the same reader by a merge, add a mistake to the sheet instead.
        """
        first_lines: dict[tuple[bytes, str], int] = {}
        for batch in sheet.batches():
            for entry, found in zip(batch, self._load([e.tag for e in batch]), strict=True):
                first = first_lines.setdefault((found.tag, entry.plan), entry.line)
                if first != entry.line:
                    message = f"is by a merge the same reader as in line {first}, with the same plan"
                    sheet.mistakes.append(RowMistake(entry.line, "reader", message))
                    continue
                yield PlannedLine(entry.line, _plan_entry(entry, found, context))
                context.pace.step()

    def replan(self, rows: Sequence[GrantRow], context: PlanContext) -> list[GrantRow]:
        found = self._load([row.tag.encode() for row in rows])
        entries = [
            GrantEntry(0, row.reader, one.tag, row.plan or "", row.until, row.reason or "")
            for row, one in zip(rows, found, strict=True)
        ]
        return [_plan_entry(entry, one, context) for entry, one in zip(entries, found, strict=True)]

    def _load(self, tags: Sequence[bytes]) -> list[ImportedReader]:
        return retry_while_unavailable(lambda: self.readers.load(tags))

    def redact_reasons(self, rows: Sequence[GrantRow], names: Sequence[str]) -> int:
        redacted = 0
        for row in rows:
            if row.reason is not None and (cleaned := without_names(row.reason, names)) != row.reason:
                row.reason = cleaned
                redacted += 1
        return redacted

    def second_admin_rule(self, now: float) -> SecondAdminRule:
        return GrantsNeedingSecondAdmin(self.catalogue, now)

    def find_mistakes(self, rows: Iterable[GrantRow], now: float) -> Mistakes:
        granted = {(row.plan, row.until) for row in rows if row.until is None or row.until > now}
        found = [
            grant_rules.find_mistakes(self.catalogue, plan=plan, features=(), start=int(now), until=until, now=now)
            for plan, until in granted
        ]
        return list(dict.fromkeys(mistake for mistakes in found for mistake in mistakes))


def _plan_entry(entry: GrantEntry, found: ImportedReader, context: PlanContext) -> GrantRow:
    tag = found.tag
    active = [
        (one.source, one.number)
        for one in found.sources
        if isinstance(one.source, Grant)
        and one.source.plan == entry.plan
        and one.source.status_at(context.now) == "active"
    ]
    reader = found.heir or entry.reader
    row = GrantRow(tag.decode(), "unchanged", None, 0, None, entry.plan, entry.until, entry.reason, reader)
    if not active:
        row.action, row.grant = "new", _grant_id(context.import_id, tag, entry.plan)
        return row
    grant, number = max(active, key=lambda pair: end_order(pair[0].until))
    if end_order(entry.until) > end_order(grant.until):
        row.action, row.grant, row.number, row.old = "extended", grant.id, number, grant.until
    return row


def _grant_id(import_id: str, tag: bytes, plan: str) -> str:
    """Return the ID of a row's grant: always the same, so that a repeat finds the grant."""
    named = b"%b:%b:%b" % (import_id.encode(), tag, plan.encode())
    return "gr_" + blake2b(named, digest_size=10, person=b"grant").hexdigest()


@dataclass
class GrantsNeedingSecondAdmin(SecondAdminRule):
    """Whether the readers for whom something changes are too many, or one of the ends is too far."""

    catalogue: Catalogue
    now: float
    _readers: set[str] = field(default_factory=set, init=False)
    _changed: set[int | None] = field(default_factory=set, init=False)
    _ends: set[int | None] = field(default_factory=set, init=False)

    def add(self, row: GrantRow) -> None:
        self._ends.add(row.until)
        if row.action != "unchanged":
            self._readers.add(row.tag)
            self._changed.add(row.until)

    def is_needed(self) -> bool:
        start, readers = int(self.now), len(self._readers)
        return any(
            grant_rules.needs_second_admin(self.catalogue, start=start, until=end, now=self.now, readers=readers)
            for end in self._changed
        )

    def over_at(self) -> int | None:
        return None if None in self._ends else max((end for end in self._ends if end is not None), default=None)
