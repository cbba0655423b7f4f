"""The kind of import `takeover`: each row is a grant, a link or a seat, so that a take-over is one import in the audit log.

The kinds `grants` and `links` plan, apply and undo their rows as in an import of their own. Those who pay for a group get one
of its seats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.grants.grant_import_rows import GrantRow
from service.adapters.redis.imports.import_store import ImportManifest
from service.adapters.redis.stripe_objects.link_imports import LinkRow
from service.adapters.redis.stripe_objects.objects import StoredObject
from service.domain.grant_rules import Mistakes
from service.use_cases.grants.imports.grant_file import GrantEntry
from service.use_cases.grants.imports.grant_kind import GrantImports
from service.use_cases.imports.csv_file import ImportSheet
from service.use_cases.imports.kinds import (
    AnyKind,
    ImportChunk,
    ImportKind,
    PlanContext,
    PlannedLine,
    SecondAdminRule,
)
from service.use_cases.subscriptions.event_processor import EventProcessor
from service.use_cases.subscriptions.link_imports import LinkEntry, LinkImports
from service.use_cases.subscriptions.object_refresh import Job
from service.use_cases.subscriptions.projections import seats_paid_for

TAKEOVER_IMPORT = "takeover"
Part = Literal["grant", "link"]


class TakeoverEntry(msgspec.Struct, array_like=True, frozen=True):
    """What one row of an export needs; `index` counts the rows of all files from 0."""

    index: int
    reader: str
    link: tuple[str, str] | None
    grants: list[tuple[str, int | None]]
    seat: tuple[str, int] | None
    reason: str


class SeatRow(msgspec.Struct, array_like=True):
    """A seat of a subscription; `quantity` counts where the subscription is not known here yet."""

    tag: str
    subscription: str
    quantity: int
    reader: str | None = None
    """The reader's ID; `None` when it is done."""
    given: bool = False


class TakeoverRow(msgspec.Struct, array_like=True):
    """One change: the row of its kind, and as `action` the kind's name, or `skipped`."""

    action: str
    grant: GrantRow | None = None
    link: LinkRow | None = None
    seat: SeatRow | None = None


@dataclass(frozen=True)
class TakeoverImports(ImportKind[TakeoverEntry, TakeoverRow]):
    """Imports of take-overs. A row that changes nothing is not planned."""

    grants: GrantImports
    links: LinkImports
    seats: SeatRows

    name = TAKEOVER_IMPORT
    row_type = TakeoverRow
    results = ("grants", "links", "seats")

    def plan(self, sheet: ImportSheet[TakeoverEntry], context: PlanContext) -> Iterator[PlannedLine[TakeoverRow]]:
        """Yield what changes, the grants first, each with the index of its row."""
        grants, links = ImportSheet(GrantEntry), ImportSheet(LinkEntry)
        for entry in _entries(sheet):
            tag = reader_hash(entry.reader)
            for plan, until in entry.grants:
                grants.add(GrantEntry(entry.index, entry.reader, tag, plan, until, entry.reason))
            if entry.link is not None:
                links.add(LinkEntry(entry.index, entry.reader, ":".join(entry.link), again=False))
        for index, grant in self.grants.plan(grants, context):
            if grant.action != "unchanged":
                yield PlannedLine(index, TakeoverRow("grants", grant=grant))
        for index, link in self.links.plan(links, context):
            if link.action != "unchanged":
                yield PlannedLine(index, TakeoverRow("links", link=link))
        for entry in _entries(sheet):
            if entry.seat is not None:
                seat = SeatRow(reader_hash(entry.reader).decode(), *entry.seat, entry.reader)
                yield PlannedLine(entry.index, TakeoverRow("seats", seat=seat))
        sheet.mistakes += [*grants.mistakes, *links.mistakes]

    def replan(self, rows: Sequence[TakeoverRow], context: PlanContext) -> list[TakeoverRow]:
        for part, kind in self._parts():
            theirs = _rows_of(rows, part)
            _put_back(theirs, part, kind.replan([getattr(row, part) for row in theirs], context))
        return list(rows)

    def apply(self, chunk: ImportChunk[TakeoverRow]) -> Mapping[str, int]:
        for part, kind in self._parts():
            self._run(part, kind.apply, chunk)
        self.seats.apply(_seats(chunk.rows), chunk.manifest, chunk.now)
        return Counter(row.action for row in chunk.rows)

    def undo(self, chunk: ImportChunk[TakeoverRow]) -> Mapping[str, int]:
        counted = self.seats.undo(_seats(chunk.rows), chunk.manifest, chunk.now)
        for part, kind in self._parts():
            counted.update(self._run(part, kind.undo, chunk))
        return counted

    def remove_reader(self, rows: Sequence[TakeoverRow], tags: Collection[str]) -> int:
        removed = 0
        for part, kind in self._parts():
            theirs = _rows_of(rows, part)
            parts = [getattr(row, part) for row in theirs]
            removed += kind.remove_reader(parts, tags)
            _put_back(theirs, part, parts)
        for row in rows:
            if row.seat is not None and row.seat.tag in tags and row.action != "skipped":
                row.action, row.seat = "skipped", None
                removed += 1
        return removed

    def second_admin_rule(self, now: float) -> SecondAdminRule:
        return _GrantsOfTakeover(self.grants.second_admin_rule(now))

    def find_mistakes(self, rows: Iterable[TakeoverRow], now: float) -> Mistakes:
        return self.grants.find_mistakes((row.grant for row in rows if row.grant is not None), now)

    def _parts(self) -> Iterator[tuple[Part, AnyKind]]:
        yield "grant", self.grants
        yield "link", self.links

    def _run(
        self, part: Part, work: Callable[[ImportChunk[Any]], Mapping[str, int]], chunk: ImportChunk[TakeoverRow]
    ) -> Mapping[str, int]:
        """Apply or undo the rows of a kind, which stores them with all others of the chunk."""
        theirs = _rows_of(chunk.rows, part)
        if not theirs:
            return {}

        def save() -> None:
            _put_back(theirs, part, inner.rows)
            chunk.save()

        inner = ImportChunk(chunk.manifest, chunk.turn, [getattr(row, part) for row in theirs], chunk.now, save)
        counted = work(inner)
        _put_back(theirs, part, inner.rows)
        return counted


@dataclass
class _GrantsOfTakeover(SecondAdminRule):
    """The rule of the grants alone: links and seats need no second admin."""

    rule: SecondAdminRule

    def add(self, row: TakeoverRow) -> None:
        if row.grant is not None:
            self.rule.add(row.grant)

    def is_needed(self) -> bool:
        return self.rule.is_needed()

    def over_at(self) -> int | None:
        return self.rule.over_at()


def _entries(sheet: ImportSheet[TakeoverEntry]) -> Iterator[TakeoverEntry]:
    for batch in sheet.batches():
        yield from batch


def _rows_of(rows: Sequence[TakeoverRow], part: Part) -> list[TakeoverRow]:
    return [row for row in rows if getattr(row, part) is not None]


def _put_back(rows: Sequence[TakeoverRow], part: Part, parts: Sequence[Any]) -> None:
    """Set the rows of a kind as it has left them; what it skipped or found unchanged is skipped."""
    for row, found in zip(rows, parts, strict=True):
        setattr(row, part, found)
        if found.action in ("skipped", "unchanged"):
            row.action = "skipped"


def _seats(rows: Sequence[TakeoverRow]) -> list[SeatRow]:
    return [row.seat for row in rows if row.seat is not None]


@dataclass(frozen=True)
class SeatRows:
    """Assigns and releases seats; each can be repeated. The audit entry is the import's. Raises: StoreUnavailable."""

    processor: EventProcessor

    def apply(self, rows: Sequence[SeatRow], manifest: ImportManifest, now: float) -> None:
        """Assign the seats that are free, also of a subscription that Stripe has not reported yet."""
        for row in rows:
            if row.reader is not None:
                row.given = self._assign(row, row.reader, manifest)
                self._fan_out(row, manifest.entry, now)
                row.reader = None

    def _assign(self, row: SeatRow, reader: str, manifest: ImportManifest) -> bool:
        """Return whether this import gave the seat, now or before a crash."""
        verdict, processor = "retry", self.processor
        heir, name = processor.owners.find_reader(reader).reader, _name(row)
        while verdict == "retry":
            obj = processor.objects.load(name)
            paid = seats_paid_for(obj.facts, processor.catalogue) if obj.facts else row.quantity
            verdict = processor.seats.assign(name, obj.rev, paid or 0, heir, now=manifest.created_at, audit=b"")
        return verdict == "given" or (verdict == "again" and _is_ours(obj, heir, manifest))

    def undo(self, rows: Sequence[SeatRow], manifest: ImportManifest, now: float) -> Counter[str]:
        """Release the seats that the import gave."""
        counted: Counter[str] = Counter()
        for row in rows:
            obj = self.processor.objects.load(_name(row))
            holder = next((reader for reader in obj.seats if reader_hash(reader) == row.tag.encode()), None)
            # A row that was under way when the import was undone does not say whether it was given.
            if holder is not None and (row.given or row.reader is not None) and _is_ours(obj, holder, manifest):
                self.processor.seats.release(obj.name, holder, now, b"")
                counted["taken_back"] += 1
            elif row.given:
                counted["left_alone"] += 1
            self._fan_out(row, manifest.undo, now)
        return counted

    def _fan_out(self, row: SeatRow, entry: str | None, now: float) -> None:
        job = Job(now, f"audit:{entry}", may_read=lambda: False)
        self.processor.object_refresh.fan_out_object(_name(row), job)


def _name(row: SeatRow) -> str:
    return f"subscription:{row.subscription}"


def _is_ours(obj: StoredObject, reader: str, manifest: ImportManifest) -> bool:
    """Return whether a seat was not given before the import began."""
    return obj.seats.get(reader, 0) >= manifest.created_at * 1000
