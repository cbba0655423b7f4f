"""Run committed imports and undos: a chunk at a time, by the process that holds the lease, until nothing is left."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, Literal

from service.adapters.background_thread import BackgroundThread
from service.adapters.redis.imports.import_store import ImportManifest, ImportStore, ImportTurn
from service.domain.errors import StoreUnavailable
from service.use_cases.imports.kinds import AnyKind, ImportChunk, LeaseLost

LEASE = 2.0
"""Seconds without a renewal after which another process continues; a chunk takes some ten milliseconds."""
POLL_EVERY = 1.0
"""Seconds between two searches for imports that another process has left unfinished."""

Progress = Callable[[int, int], None]
"""Receives how many chunks are done, and of how many."""


class ImportRunner(BackgroundThread):
    """Runs imports for one process: in its own thread (`start`), and for a caller that waits (`run`)."""

    def __init__(
        self,
        store: ImportStore,
        kinds: Mapping[str, AnyKind],
        clock: Callable[[], float],
        *,
        lease: float,
        report: Callable[[str, Exception], None],
    ) -> None:
        super().__init__("imports", self._run_open)
        self._store = store
        self._kinds = kinds
        self._clock = clock
        self._lease = lease
        self._report = report
        self._running = threading.Lock()

    @cached_property
    def _holder(self) -> str:
        return secrets.token_hex(8)  # Drawn at the first use, so after any fork.

    def run(self, import_id: str, progress: Progress | None = None) -> Literal["idle", "busy"]:
        """Run an import until nothing is left (`idle`), or another process runs it (`busy`). Raises: StoreUnavailable."""
        with self._running:
            while not self.is_stopping:
                try:
                    return self._run_chunks(import_id, progress)
                except LeaseLost:
                    continue
        return "busy"

    def _run_chunks(self, import_id: str, progress: Progress | None) -> Literal["idle", "busy"]:
        turn, manifest = self._store.acquire_turn(import_id, self._holder, self._lease), None
        while turn.state in ("applying", "undoing"):
            if self.is_stopping:  # Another process can continue at once.
                self._store.release_turn(import_id, turn)
                return "busy"
            if manifest is None or manifest.state != turn.state:
                manifest = self._store.find(import_id)
                if manifest is None:
                    break
            rows, counted = self._process(manifest, turn)
            done = (turn.state, turn.chunk)
            kept = rows if turn.state == "applying" else None
            turn = self._store.acquire_turn(import_id, self._holder, self._lease, done, kept, counted)
            if progress is not None:
                progress(done[1] + 1, manifest.chunks)
        if turn.state == "busy":
            return "busy"
        if not self._is_open(import_id):
            self._store.mark_finished(import_id)
            if self._is_open(import_id):  # Its undo was committed in between.
                self._store.reopen(import_id)
        return "idle"

    def _process(self, manifest: ImportManifest, turn: ImportTurn) -> tuple[list[Any], Mapping[str, int]]:
        """Apply or undo the chunk of a turn. Return its rows, and how often each action was taken. Raises: LeaseLost."""
        kind, now = self._kinds[manifest.kind], self._clock()
        rows = self._store.unpack_rows(turn.sealed, kind.row_type)

        def save() -> None:
            if not self._store.rewrite_chunk(manifest.id, turn.holder, manifest.state, turn.chunk, chunk.rows):
                raise LeaseLost

        chunk = ImportChunk(manifest, turn, rows, now, save)
        counted = kind.apply(chunk) if turn.state == "applying" else kind.undo(chunk)
        return chunk.rows, counted

    def _is_open(self, import_id: str) -> bool:
        manifest = self._store.find(import_id)
        return manifest is not None and manifest.state not in ("done", "undone")

    def _run_open(self) -> float:
        """Run all committed imports, and return when to look for more."""
        with suppress(StoreUnavailable):
            for import_id in self._store.list_open():
                try:
                    self.run(import_id)
                except StoreUnavailable:
                    raise
                except Exception as error:  # An import that cannot be read must not stop the others.
                    self._report("import_failed", error)
        return POLL_EVERY
