"""What an import would do, worked out and kept in chunks before anything of it shows; and kept right while it waits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.grants.imports import ImportManifest, ImportRow, ImportStore
from service.domain.errors import WrongRows
from service.use_cases.grants.imports.attribution import entry_of
from service.use_cases.grants.imports.pacing import Pace, patiently
from service.use_cases.grants.imports.plan import Planner, replanned
from service.use_cases.grants.imports.rows import Sheet

CHUNK = 500
"""Rows staged together, and counted together when they are done."""
PLANNED = ("new", "extended", "unchanged")


@dataclass(frozen=True, slots=True)
class Changes:
    """For whom an import would change something, by their tags, and the ends of what it would give."""

    readers: set[str] = field(default_factory=set)
    ends: set[int | None] = field(default_factory=set)


class Staging:
    """Every method raises `StoreUnavailable` where the store is away for longer than patience lasts."""

    def __init__(self, store: ImportStore, planner: Planner, rows_a_chunk: int) -> None:
        self._store = store
        self._planner = planner
        self._rows_a_chunk = rows_a_chunk

    def plan(self, sheet: Sheet, import_id: str, now: float, pace: Pace) -> Iterator[tuple[int, ImportRow]]:
        """The line of each entry and what it would do; mistakes that only show beside what readers hold join the sheet's."""
        return self._planner.plan(sheet.entries, import_id, now, sheet.mistakes, pace)

    def stage(
        self, import_id: str, sheet: Sheet, actor: Actor, now: float, pace: Pace
    ) -> tuple[ImportManifest, Changes]:
        """Stages it all under this id. Gives it, and what it would change. `WrongRows`."""
        counts, changes = dict.fromkeys(PLANNED, 0), Changes()

        def counted() -> Iterator[ImportRow]:
            for _, row in self.plan(sheet, import_id, now, pace):
                counts[row.action] += 1
                if row.action != "unchanged":
                    changes.readers.add(row.tag)
                    changes.ends.add(row.until)
                yield row

        chunks = self._put(import_id, counted())
        if sheet.mistakes:
            self._store.discard(import_id)
            raise WrongRows(sheet.mistakes)
        manifest = ImportManifest(
            id=import_id,
            state="staged",
            rows=sheet.rows,
            actor=actor,
            created_at=int(now),
            entry=entry_of(import_id),
            undo=None,
            chunks=chunks,
            cursor=0,
            planned=counts,
            counted={},
            approval=None,
        )
        self._store.stage_manifest(manifest)
        return manifest, changes

    def _put(self, import_id: str, rows: Iterator[ImportRow]) -> int:
        """Keeps the rows in chunks. Gives how many."""
        chunk, number = list[ImportRow](), 0
        for row in rows:
            chunk.append(row)
            if len(chunk) == self._rows_a_chunk:
                patiently(_keeping(self._store, import_id, number, chunk))
                chunk, number = [], number + 1
        if chunk:
            patiently(_keeping(self._store, import_id, number, chunk))
            number += 1
        return number

    def anew(self, manifest: ImportManifest, now: float) -> ImportManifest:
        """Plans again what has waited for days: readers may hold something else by now."""
        counts = dict.fromkeys((*PLANNED, "skipped"), 0)
        for number in range(manifest.chunks):
            rows = self._store.load_chunk(manifest.id, number)
            looked = self._planner.look([row.tag.encode() for row in rows])
            for at, (tag, kept) in enumerate(looked):
                if rows[at].action != "skipped":
                    rows[at] = replanned(rows[at], tag, kept, manifest.id, now)
                counts[rows[at].action] += 1
            if not self._store.rewrite_chunk(manifest.id, "", "staged", number, rows):
                break
        return replace(manifest, planned=counts)

    def forget(self, manifest: ImportManifest, tags: Collection[str]) -> tuple[int, bool]:
        """Takes a reader out of what is staged. Gives how many rows went, and whether it was staged to the end."""
        if manifest.state != "staged":
            return 0, False
        gone, whole = 0, True
        for number in range(manifest.chunks):
            rows = self._store.load_chunk(manifest.id, number)
            hers = [row for row in rows if row.tag in tags and row.action != "skipped"]
            for row in hers:
                row.action, row.reason = "skipped", None
            gone += len(hers)
            whole = whole and not (hers and not self._store.rewrite_chunk(manifest.id, "", "staged", number, rows))
        return gone, whole


def _keeping(store: ImportStore, import_id: str, number: int, rows: Sequence[ImportRow]) -> Callable[[], None]:
    return lambda: store.stage_chunk(import_id, number, rows)
