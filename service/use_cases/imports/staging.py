"""Plan an import, and stage the result in chunks before it takes effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.imports.import_store import ImportManifest, ImportStore
from service.domain.errors import WrongRows
from service.use_cases.imports.csv_file import ImportSheet
from service.use_cases.imports.kinds import AnyKind, PlanContext, SecondAdminRule, apply_entry_id
from service.use_cases.imports.pacing import retry_while_unavailable

CHUNK_SIZE = 500
"""Rows that are staged together, and counted together when they are done."""


class ImportStaging:
    """Stages imports, and changes what is staged. Raises: StoreUnavailable from every method."""

    def __init__(self, store: ImportStore, chunk_size: int) -> None:
        self._store = store
        self._chunk_size = chunk_size

    def stage(
        self, kind: AnyKind, sheet: ImportSheet[Any], actor: Actor, context: PlanContext, rule: SecondAdminRule
    ) -> ImportManifest:
        """Stage a sheet, and let the rule consider each row. Raises: WrongRows."""
        import_id, counts = context.import_id, Counter(dict.fromkeys(kind.results, 0))

        def rows() -> Iterator[Any]:
            for _, row in kind.plan(sheet, context):
                counts[row.action] += 1
                rule.add(row)
                if row.action not in kind.only_counted:
                    yield row

        planned, chunks = rows(), 0
        while chunk := list(islice(planned, self._chunk_size)):
            retry_while_unavailable(partial(self._store.stage_chunk, import_id, chunks, chunk))
            chunks += 1
        if sheet.mistakes:
            self._store.discard(import_id)
            raise WrongRows(sheet.mistakes)
        manifest = ImportManifest(
            id=import_id,
            kind=kind.name,
            state="staged",
            rows=sheet.rows,
            actor=actor,
            created_at=int(context.now),
            entry=apply_entry_id(import_id),
            undo=None,
            chunks=chunks,
            cursor=0,
            planned=dict(counts),
            counted={name: counts[name] for name in kind.only_counted},
            approval=None,
            about=context.about,
        )
        self._store.stage_manifest(manifest)
        return manifest

    def load_rows(self, manifest: ImportManifest, kind: AnyKind) -> Iterator[Any]:
        """Yield the staged rows."""
        for number in range(manifest.chunks):
            yield from self._store.load_chunk(manifest.id, number, kind.row_type)

    def restage(self, manifest: ImportManifest, kind: AnyKind, now: float) -> ImportManifest:
        """Plan a staged import again: it may have waited for days, and the store may hold something else now."""
        context = PlanContext(manifest.id, now, about=manifest.about)
        counts = Counter(dict.fromkeys((*kind.results, "skipped"), 0))
        for number in range(manifest.chunks):
            rows = self._store.load_chunk(manifest.id, number, kind.row_type)
            due = [row for row in rows if row.action != "skipped"]
            planned = iter(kind.replan(due, context))
            rows = [row if row.action == "skipped" else next(planned) for row in rows]
            counts.update(row.action for row in rows)
            if not self._store.rewrite_chunk(manifest.id, "", "staged", number, rows):
                break
        return replace(manifest, planned=dict(counts))

    def remove_reader(
        self, manifest: ImportManifest, kind: AnyKind, tags: Collection[str], names: Sequence[str]
    ) -> tuple[int, bool]:
        """Remove a reader's rows from a staged import, and the names from the reasons of others.

        Return the number of removed rows, and whether it stayed staged meanwhile.
        """
        if manifest.state != "staged":
            return 0, False
        removed, still_staged = 0, True
        for number in range(manifest.chunks):
            rows = self._store.load_chunk(manifest.id, number, kind.row_type)
            theirs = kind.remove_reader(rows, tags)
            removed += theirs
            redacted = kind.redact_reasons(rows, names)
            if (theirs or redacted) and not self._store.rewrite_chunk(manifest.id, "", "staged", number, rows):
                still_staged = False
        return removed, still_staged
