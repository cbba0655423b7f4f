"""The kind of import `grants`: each row grants a plan to a reader."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from service.adapters.redis.grants.grant_import_rows import GrantRow
from service.adapters.redis.imports.import_store import GRANT_IMPORT
from service.adapters.redis.readers.id_mentions import without_names
from service.domain import grant_rules
from service.domain.catalogue import Catalogue
from service.domain.grant_rules import Mistakes
from service.use_cases.grants.imports.apply import GrantChunks
from service.use_cases.grants.imports.grant_file import GrantEntry
from service.use_cases.grants.imports.plan import GrantPlanner
from service.use_cases.imports.csv_file import ImportSheet
from service.use_cases.imports.kinds import ImportChunk, ImportKind, PlanContext, PlannedLine, SecondAdminRule

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

    planner: GrantPlanner

    name = GRANT_IMPORT
    results = ("new", "extended", "unchanged")

    def plan(self, sheet: ImportSheet[GrantEntry], context: PlanContext) -> Iterator[PlannedLine[GrantRow]]:
        return self.planner.plan(sheet, context)

    def replan(self, rows: Sequence[GrantRow], context: PlanContext) -> list[GrantRow]:
        return self.planner.replan(rows, context)

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
