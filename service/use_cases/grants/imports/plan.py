"""Plan an import: compare each row with what its reader holds, and stage the result in chunks before it takes effect.

A row *extends* an active grant of its plan that ends earlier. It creates a *new* grant where none is active, beside any that
is scheduled, expired or revoked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.grants.imports import ImportManifest, ImportRow, ImportStore
from service.adapters.redis.readers.readers import StoredSource, merged_into, stored_sources
from service.domain.errors import WrongRows
from service.domain.sources import Grant, end_order
from service.use_cases.grants.imports.csv_file import ImportEntry, ImportSheet, RowMistake
from service.use_cases.grants.imports.grant_states import apply_entry_id
from service.use_cases.grants.imports.pacing import UNPACED, Pace, retry_while_unavailable

CHUNK_SIZE = 500
"""Rows that are staged together, and counted together when they are done."""
PLANNED = ("new", "extended", "unchanged")
_BATCH = 100


class PlannedReader(NamedTuple):
    """The hash after merges, the ID of the reader whom this one was merged into, and the sources in the hot record."""

    tag: bytes
    heir: str | None
    sources: list[StoredSource]


class ImportPlanner:
    """Plans and stages imports. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, imports: ImportStore, chunk_size: int) -> None:
        self._link = store.link
        self._keys = store.keys
        self._imports = imports
        self._chunk_size = chunk_size

    def plan(
        self, sheet: ImportSheet, import_id: str, now: float, pace: Pace = UNPACED
    ) -> Iterator[tuple[int, ImportRow]]:
        """Yield the line and the planned row of each entry.

        Where two entries turn out to be of the same reader by a merge, add a mistake to the sheet instead.
        """
        first_lines: dict[tuple[bytes, str], int] = {}
        for start in range(0, len(sheet.entries), _BATCH):
            batch = sheet.entries[start : start + _BATCH]
            for entry, found in zip(batch, self.load_readers([e.tag for e in batch]), strict=True):
                first = first_lines.setdefault((found.tag, entry.plan), entry.line)
                if first != entry.line:
                    message = f"is by a merge the same reader as in line {first}, with the same plan"
                    sheet.mistakes.append(RowMistake(entry.line, "reader", message))
                    continue
                yield entry.line, _plan_entry(entry, found, import_id, now)
                pace.step()

    def load_readers(self, tags: Sequence[bytes]) -> list[PlannedReader]:
        """Return the reader of each hash, after merges."""
        keys = [self._keys.reader(tag) for tag in tags]
        replies = retry_while_unavailable(lambda: self._link.read([(key, (b"HGETALL", key)) for key in keys]))
        return [self._follow_merge(tag, reply) for tag, reply in zip(tags, replies, strict=True)]

    def _follow_merge(self, tag: bytes, reply: Any) -> PlannedReader:
        heir = merged_into(reply) if reply else None
        if heir is None:
            return PlannedReader(tag, None, stored_sources(reply))
        return self.load_readers([reader_hash(heir)])[0]._replace(heir=heir)

    def replan(self, row: ImportRow, import_id: str, now: float) -> ImportRow:
        """Return the row as it is planned now."""
        (found,) = self.load_readers([row.tag.encode()])
        return _replan_row(row, found, import_id, now)

    def stage(
        self, import_id: str, sheet: ImportSheet, actor: Actor, now: float, pace: Pace
    ) -> tuple[ImportManifest, set[tuple[str, int | None]]]:
        """Stage a sheet. Return its manifest, and the reader's hash and the end of each grant. Raises: WrongRows."""
        counts, granted = dict.fromkeys(PLANNED, 0), set[tuple[str, int | None]]()

        def rows() -> Iterator[ImportRow]:
            for _, row in self.plan(sheet, import_id, now, pace):
                counts[row.action] += 1
                if row.action != "unchanged":
                    granted.add((row.tag, row.until))
                yield row

        planned, chunks = rows(), 0
        while chunk := list(islice(planned, self._chunk_size)):
            retry_while_unavailable(partial(self._imports.stage_chunk, import_id, chunks, chunk))
            chunks += 1
        if sheet.mistakes:
            self._imports.discard(import_id)
            raise WrongRows(sheet.mistakes)
        manifest = ImportManifest(
            id=import_id,
            state="staged",
            rows=sheet.rows,
            actor=actor,
            created_at=int(now),
            entry=apply_entry_id(import_id),
            undo=None,
            chunks=chunks,
            cursor=0,
            planned=counts,
            counted={},
            approval=None,
        )
        self._imports.stage_manifest(manifest)
        return manifest, granted

    def restage(self, manifest: ImportManifest, now: float) -> ImportManifest:
        """Plan a staged import again: it may have waited for days, and readers may hold something else now."""
        counts = dict.fromkeys((*PLANNED, "skipped"), 0)
        for number in range(manifest.chunks):
            rows = self._imports.load_chunk(manifest.id, number)
            found = self.load_readers([row.tag.encode() for row in rows])
            for at, reader in enumerate(found):
                if rows[at].action != "skipped":
                    rows[at] = _replan_row(rows[at], reader, manifest.id, now)
                counts[rows[at].action] += 1
            if not self._imports.rewrite_chunk(manifest.id, "", "staged", number, rows):
                break
        return replace(manifest, planned=counts)

    def remove_reader(self, manifest: ImportManifest, tags: Collection[str]) -> tuple[int, bool]:
        """Remove a reader's rows from a staged import. Return their number, and whether it stayed staged meanwhile."""
        if manifest.state != "staged":
            return 0, False
        removed, still_staged = 0, True
        for number in range(manifest.chunks):
            rows = self._imports.load_chunk(manifest.id, number)
            theirs = [row for row in rows if row.tag in tags and row.action != "skipped"]
            for row in theirs:
                row.action, row.reason, row.reader = "skipped", None, None
            removed += len(theirs)
            if theirs and not self._imports.rewrite_chunk(manifest.id, "", "staged", number, rows):
                still_staged = False
        return removed, still_staged


def _plan_entry(entry: ImportEntry, found: PlannedReader, import_id: str, now: float) -> ImportRow:
    """Plan one row for its reader."""
    tag = found.tag
    active = [
        (one.source, one.number)
        for one in found.sources
        if isinstance(one.source, Grant) and one.source.plan == entry.plan and one.source.status_at(now) == "active"
    ]
    row = ImportRow(tag.decode(), "unchanged", None, 0, None, entry.plan, entry.until, entry.reason)
    row.reader = found.heir or entry.reader
    if not active:
        row.action, row.grant = "new", _grant_id(import_id, tag, entry.plan)
        return row
    grant, number = max(active, key=lambda pair: end_order(pair[0].until))
    if end_order(entry.until) > end_order(grant.until):
        row.action, row.grant, row.number, row.old = "extended", grant.id, number, grant.until
    return row


def _replan_row(row: ImportRow, found: PlannedReader, import_id: str, now: float) -> ImportRow:
    entry = ImportEntry(0, row.reader, found.tag, row.plan or "", row.until, row.reason or "")
    return _plan_entry(entry, found, import_id, now)


def _grant_id(import_id: str, tag: bytes, plan: str) -> str:
    """Return the ID of a row's grant: always the same, so that a repeat finds the grant."""
    named = b"%b:%b:%b" % (import_id.encode(), tag, plan.encode())
    return "gr_" + blake2b(named, digest_size=10, person=b"grant").hexdigest()
