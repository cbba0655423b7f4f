"""The kind of import `grant-changes`: give many grants another end, or revoke them, all with one reason.

The rows are chosen from the list of grants, and not from a file. An undo gives each grant the end that it would have without
this change, and one that was revoked is active again. What an admin changed since stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.grants.grant_import_rows import GrantRow
from service.adapters.redis.grants.grant_states import GrantState, GrantStates
from service.domain import grant_rules
from service.domain.catalogue import Catalogue
from service.domain.errors import InvalidFields
from service.domain.grant_rules import Mistakes
from service.domain.sources import end_order
from service.domain.times import read_time, write_time
from service.use_cases.grants.imports.grant_kind import GrantRowImports, GrantsNeedingSecondAdmin
from service.use_cases.imports.csv_file import ImportSheet, RowMistake
from service.use_cases.imports.kinds import PlanContext, PlannedLine, SecondAdminRule

GRANT_CHANGES = "grant-changes"


class GrantChangeEntry(msgspec.Struct, array_like=True, frozen=True):
    """One chosen grant and its reader; `line` is its place among the chosen ones, from 1."""

    line: int
    reader: str
    grant: str


@dataclass(frozen=True, slots=True)
class WantedChange:
    """What happens to every chosen grant: it is revoked, or ends at `until` (epoch seconds, `None`: never)."""

    until: int | None
    revoke: bool

    def about(self) -> dict[str, Any]:
        """Return the change as it is kept with the import, and stands in its audit entry."""
        return {"revoke": True} if self.revoke else {"until": write_time(self.until)}


def check_change(catalogue: Catalogue, change: WantedChange, now: float) -> None:
    """Check an end before any grant is looked at. Raises: InvalidFields."""
    if change.revoke:
        return
    if mistakes := grant_rules.find_end_mistakes(catalogue, start=int(now), until=change.until, now=now):
        raise InvalidFields(mistakes)


def sheet_of(chosen: Sequence[tuple[str, str | None]]) -> ImportSheet[GrantChangeEntry]:
    """Return a sheet of these grants, each with its reader; one without a reader is unknown."""
    sheet = ImportSheet(GrantChangeEntry)
    for line, (grant, reader) in enumerate(chosen, 1):
        sheet.rows += 1
        if reader is None:
            sheet.mistakes.append(RowMistake(line, "grants", f"there is no grant {grant[:64]}"))
        else:
            sheet.add(GrantChangeEntry(line, reader, grant))
    return sheet


@dataclass(frozen=True)
class GrantChangeImports(GrantRowImports[GrantChangeEntry]):
    """Changes of many grants. `[grants] confirm_above` decides which extensions need a second admin."""

    states: GrantStates

    name = GRANT_CHANGES
    results = ("changed", "revoked", "unchanged")

    def plan(self, sheet: ImportSheet[GrantChangeEntry], context: PlanContext) -> Iterator[PlannedLine[GrantRow]]:
        for batch in sheet.batches():
            rows = [GrantRow(reader_hash(e.reader).decode(), "unchanged", e.grant, 0, None, None, None) for e in batch]
            for entry, row in zip(batch, self.replan(rows, context), strict=True):
                yield PlannedLine(entry.line, row)
                context.pace.step()

    def replan(self, rows: Sequence[GrantRow], context: PlanContext) -> list[GrantRow]:
        """Set the actions of rows, by what the store holds of their grants now."""
        change = _change_in(context)
        for row, state in zip(rows, self.states.load(rows), strict=True):
            _plan_row(row, state, change)
        return list(rows)

    def second_admin_rule(self, now: float) -> SecondAdminRule:
        return ExtensionsNeedingSecondAdmin(self.catalogue, now)

    def find_mistakes(self, rows: Iterable[GrantRow], now: float) -> Mistakes:
        ends = {row.until for row in rows if row.action == "changed"}
        found = [grant_rules.find_end_mistakes(self.catalogue, start=int(now), until=end, now=now) for end in ends]
        return [mistake for mistakes in found for mistake in mistakes]


class ExtensionsNeedingSecondAdmin(GrantsNeedingSecondAdmin):
    """The same limits for grants that get a later end; an earlier end and a revocation take away, and need nobody."""

    def add(self, row: GrantRow) -> None:
        if row.action == "changed" and end_order(row.until) > end_order(row.old):
            super().add(row)


def _change_in(context: PlanContext) -> WantedChange:
    until = context.about.get("until")
    return WantedChange(None if until is None else int(read_time(until)), bool(context.about.get("revoke")))


def _plan_row(row: GrantRow, state: GrantState, change: WantedChange) -> None:
    grant = state.grant
    row.action, row.until = "unchanged", change.until
    if grant is None or grant.revoked_at is not None or (not change.revoke and grant.until == change.until):
        return
    row.action = "revoked" if change.revoke else "changed"
    row.tag, row.number, row.old, row.plan = state.tag.decode(), state.number, grant.until, grant.plan
