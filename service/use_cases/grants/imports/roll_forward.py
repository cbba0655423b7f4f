"""Rolling an import forward, or back: a chunk at a time, by whoever has the lease, until nothing is left to be done."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Literal

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.grants.grant_ends import GrantEndIndex
from service.adapters.redis.grants.imports import ImportManifest, ImportRow, ImportStore, ImportTurn
from service.domain.errors import StoreUnavailable
from service.use_cases.grants.imports.apply import Applying, Late
from service.use_cases.grants.imports.grant_states import Standings
from service.use_cases.grants.imports.pacing import Pace, short_turns
from service.use_cases.grants.imports.plan import Planner
from service.use_cases.grants.imports.undo import Undoing

LEASE = 2.0
"""Seconds without a sign of life after which another goes on; a chunk takes some ten milliseconds."""
LOOK_EVERY = 1.0
"""Seconds between two looks for what another has left."""

Progress = Callable[[int, int], None]
"""StripeFacts how many chunks of how many are done."""


class Roller:
    """Does the work of one process. Raises `StoreUnavailable`; what is not finished then is another's to finish."""

    def __init__(
        self,
        store: ImportStore,
        planner: Planner,
        standings: Standings,
        ends: GrantEndIndex,
        known: RecentEntitlements | None,
        clock: Callable[[], float],
        *,
        pace: Pace,
        lease: float,
    ) -> None:
        self._store = store
        self._clock = clock
        self._lease = lease
        self._applying = Applying(store, planner, standings, ends, pace)
        self._undoing = Undoing(store, standings, ends, known, pace)
        self._ending = threading.Event()
        self._alone = threading.Lock()
        self._holder = secrets.token_hex(8)

    def end(self) -> None:
        """Stops between two chunks; another goes on at once."""
        self._ending.set()

    def roll(self, import_id: str, progress: Progress | None = None) -> Literal["idle", "busy"]:
        """Works on an import until nothing is left (`idle`), or another is at it (`busy`)."""
        with self._alone, short_turns():
            while not self._ending.is_set():
                try:
                    return self._roll(import_id, self._holder, progress)
                except Late:
                    continue
        return "busy"

    def _roll(self, import_id: str, holder: str, progress: Progress | None) -> Literal["idle", "busy"]:
        turn, manifest = self._store.acquire_turn(import_id, holder, self._lease), None
        while turn.state in ("applying", "undoing"):
            if self._ending.is_set():
                self._store.release_turn(import_id, holder)
                return "busy"
            if manifest is None or manifest.state != turn.state:
                manifest = self._store.find(import_id)
                if manifest is None:
                    break
            kept, counted = self._do(manifest, turn, holder)
            done = (turn.state, turn.chunk)
            turn = self._store.acquire_turn(import_id, holder, self._lease, done, kept, counted)
            if progress is not None:
                progress(done[1] + 1, manifest.chunks)
        if turn.state == "busy":
            return "busy"
        self._close(import_id)
        return "idle"

    def _do(
        self, manifest: ImportManifest, turn: ImportTurn, holder: str
    ) -> tuple[list[ImportRow] | None, dict[str, int]]:
        rows = self._store.unpack_rows(turn.sealed)
        if turn.state == "applying":
            return self._applying.chunk(manifest, turn, holder, rows, self._clock())
        return None, self._undoing.chunk(manifest, turn, rows, self._clock())

    def _close(self, import_id: str) -> None:
        """Takes it off the list; it goes back on it if its undoing was committed meanwhile."""
        if self._is_open(import_id):
            return
        self._store.mark_finished(import_id)
        if self._is_open(import_id):
            self._store.reopen(import_id)

    def _is_open(self, import_id: str) -> bool:
        manifest = self._store.find(import_id)
        return manifest is not None and manifest.state not in ("done", "undone")


class Background:
    """A thread that rolls what this process has committed, at once, and what another has left, soon."""

    def __init__(self, roller: Roller, store: ImportStore, report: Callable[[str, Exception], None]) -> None:
        self._roller = roller
        self._store = store
        self._report = report
        self._wake = threading.Event()
        self._ending = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts it; once a process, after the fork."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="imports", daemon=True)
            self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread is not None

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def close(self) -> None:
        """Stops between two chunks."""
        self._ending = True
        self._roller.end()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(5)
            self._thread = None

    def _run(self) -> None:
        while not self._ending:
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()
            try:
                for import_id in self._store.list_open():
                    self._one(import_id)
            except StoreUnavailable:
                continue

    def _one(self, import_id: str) -> None:
        try:
            self._roller.roll(import_id)
        except StoreUnavailable:
            raise
        except Exception as error:  # One import that cannot be read must not hold up the others, nor end the thread.
            self._report("import_failed", error)
