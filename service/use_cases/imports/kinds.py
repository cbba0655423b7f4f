"""What the machinery of imports needs to know of each kind of import: how its rows are planned, applied and undone.

A kind reads a file into an `ImportSheet` and plans rows from it. A row is a `msgspec.Struct` with an `action`; the machinery
stores it, counts its action, and gives it back to be applied or undone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from service.adapters.redis.imports.import_store import ImportManifest, ImportTurn
from service.domain.grant_rules import Mistakes
from service.use_cases.imports.csv_file import ImportSheet
from service.use_cases.imports.pacing import UNPACED, Pace


class ImportRow(Protocol):
    """What every row has: the action that was planned for it or taken, one of its kind's `results` or `skipped`."""

    action: Any


Row = TypeVar("Row", bound=ImportRow)
Entry = TypeVar("Entry")


class LeaseLost(Exception):
    """Another process has the lease now, and does the rest."""


class PlannedLine(NamedTuple, Generic[Row]):
    """A row, and the line of the file that it is from; 0 where the file has no line for it."""

    line: int
    row: Row


@dataclass(frozen=True, slots=True)
class PlanContext:
    """What a plan is made for. The ID is empty in a dry run; `about` is what the request said besides the rows."""

    import_id: str
    now: float
    pace: Pace = UNPACED
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class ImportChunk(Generic[Row]):
    """Rows to apply or undo together, in the turn of a process. An `apply` changes them to what an undo needs."""

    manifest: ImportManifest
    turn: ImportTurn
    rows: list[Row]
    now: float
    save: Callable[[], None]
    """Store the rows as they are now, before they take effect. Raises: LeaseLost."""


class SecondAdminRule:
    """Considers all rows of a plan: whether the import needs a second admin, which by default none does."""

    def add(self, row: Any) -> None:
        """Consider a planned row."""

    def is_needed(self) -> bool:
        """Return whether the rows so far need a second admin."""
        return False

    def over_at(self) -> int | None:
        """Return when the last of the rows has ended, so that nothing is left to approve; `None`: never."""
        return None


class ImportKind(ABC, Generic[Entry, Row]):
    """A kind of import. Raises: StoreUnavailable from every method; LeaseLost from `apply` and `undo`."""

    name: str
    """The name of the kind, as stored with each import."""
    row_type: type[Row]
    results: tuple[str, ...]
    """The actions that a plan counts, in the order in which they are shown."""
    only_counted: frozenset[str] = frozenset()
    """Actions of rows that need no work and no undo, so that they are not staged."""
    can_undo = True

    @abstractmethod
    def plan(self, sheet: ImportSheet[Entry], context: PlanContext) -> Iterator[PlannedLine[Row]]:
        """Yield the planned row of each entry. Add to the sheet the mistakes that only the store reveals."""

    @abstractmethod
    def replan(self, rows: Sequence[Row], context: PlanContext) -> list[Row]:
        """Return rows as they are planned now: they may have waited for days."""

    @abstractmethod
    def apply(self, chunk: ImportChunk[Row]) -> Mapping[str, int]:
        """Apply a chunk. Return how often each action was taken. A repeat changes nothing twice."""

    @abstractmethod
    def undo(self, chunk: ImportChunk[Row]) -> Mapping[str, int]:
        """Undo a chunk. Return how many rows were `taken_back`, and how many `left_alone` because they changed since."""

    @abstractmethod
    def remove_reader(self, rows: Sequence[Row], tags: Collection[str]) -> int:
        """Skip the rows that name a reader, by their hashes, and remove the ID. Return the number of these rows."""

    def redact_reasons(self, rows: Sequence[Row], names: Sequence[str]) -> int:
        """Remove the names of an erased reader from the reasons of other rows. Return the number of these rows."""
        return 0

    def second_admin_rule(self, now: float) -> SecondAdminRule:
        """Return the rule that decides whether a second admin must approve an import."""
        return SecondAdminRule()

    def find_mistakes(self, rows: Iterable[Row], now: float) -> Mistakes:
        """Return what prevents rows that waited for a second admin; the configuration may have changed since."""
        return []


AnyKind = ImportKind[Any, Any]


def apply_entry_id(import_id: str) -> str:
    """Return the ID of the audit entry that records that an import was applied."""
    return f"{import_id}.given"


def undo_entry_id(import_id: str) -> str:
    """Return the ID of the audit entry that records that an import was undone."""
    return f"{import_id}.undone"
