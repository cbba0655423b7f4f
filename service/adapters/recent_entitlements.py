"""Cache of recent entitlements, used while the store is unavailable.

It is a small SQLite file in `PAYWALL_DATA`, shared by the processes of this machine and kept over a restart. A check only
records what it saw in memory; a thread writes what is new some moments later, and the file is read only during an outage. A
revocation writes an entry that no older sighting, still unwritten in another process, replaces. The file holds no reader
ID, only the hash that the store's keys contain. A full disk, which is an outage of the embedded store too, leaves it readable.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing, suppress
from math import ceil
from pathlib import Path

from service.adapters.background_thread import BackgroundThread
from service.domain.decision import Held
from service.domain.errors import StoreUnavailable

Sighting = tuple[float, Held | bytes]
"""When, and what the reader held; or the hash of the reader that this one was merged into."""

WRITE_EVERY = 0.4
"""Seconds between writes; the contract allows one."""

TRY_LOCKS_EVERY = 1.0
"""Seconds for which the file is read without locks after it could not be read with them."""

REPORT_EVERY = 60.0
"""Seconds between two reports that the file can't be used, which is tried several times a second."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS known (reader BLOB PRIMARY KEY, seen REAL NOT NULL, held TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS known_seen ON known (seen);
"""
_NOTE = """
INSERT INTO known (reader, seen, held) VALUES (?, ?, ?)
ON CONFLICT (reader) DO UPDATE SET seen = excluded.seen, held = excluded.held WHERE excluded.seen > known.seen
"""
_SETTLE = """
INSERT INTO known (reader, seen, held) VALUES (?, ?, ?)
ON CONFLICT (reader) DO UPDATE SET seen = max(excluded.seen, known.seen), held = excluded.held
"""
"""A revocation also replaces a sighting of the same moment, or of a later one: then the clock went back in between."""

MOST_WRITTEN = 20_000
"""The readers whose last write is remembered, so that it is not repeated within seconds."""
MOST_MERGES = 8
"""How many merges in a row are followed; a reader who was merged more often is unknown."""

_UNWRITABLE = (sqlite3.Error, OSError)
"""Errors of the file or its folder: each process then uses its own memory, and no answer fails."""


class _ThreadConnection(sqlite3.Connection):
    """A connection that is closed when the thread that uses it ends."""

    def __del__(self) -> None:
        self.close()


class RecentEntitlements(BackgroundThread):
    """Readers seen as entitled within `known_for` seconds. One a process; threads share it."""

    def __init__(
        self,
        folder: Path,
        known_for: float,
        *,
        clock: Callable[[], float],
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        super().__init__("known-readers", self._write_new)
        self._clock = clock
        self._path = folder / "known.sqlite3"
        self._known_for = known_for
        self._again_after = min(5.0, known_for / 200)
        self._on_error = on_error
        self._noted: dict[bytes, Sighting] = {}
        self._writing: dict[bytes, Sighting] = {}
        self._replaced = False
        self._try_locks_at = self._report_at = 0.0
        self._written: dict[bytes, Sighting] = {}
        self._lock = threading.Lock()
        self._local = threading.local()
        self._cleaned = 0.0

    def close(self) -> None:
        """Write what is still to be written, and stop."""
        self.stop()
        self._try_to_write()
        base: sqlite3.Connection | None = self._local.__dict__.pop("base", None)
        if base is not None:
            base.close()

    def note(self, reader: bytes, held: Held | bytes, now: float) -> None:
        """Record that a reader (by their hash) held these features at `now`, the moment before the store was read.

        For a merged reader, `held` is the hash of the other one: what that one loses, both lose.
        """
        last = self._written.get(reader)
        if last is None or last[1] != held or now - last[0] >= self._again_after:
            with self._lock:
                self._noted[reader] = (now, held)

    def merge(self, gone: bytes, stays: bytes, held: Callable[[], Held]) -> None:
        """Move what was seen of one reader to another; `held` returns what that one holds now. Idempotent."""
        now = self._clock()
        was_seen = bool(self.features(gone, now))
        self._replace([gone], stays, now)
        if was_seen:
            with suppress(StoreUnavailable):
                self.note(stays, held(), now)

    def refresh(self, readers: Mapping[bytes, Callable[[], Held]]) -> None:
        """Forget readers whose access changed; of those that were seen, record what they hold now: each callable returns it."""
        held = {self._followed(reader)[0]: read for reader, read in readers.items()}
        seen = [reader for reader in held if self.features(reader, self._clock())]
        self.forget_all(held)
        for reader in seen:
            now = self._clock()
            with suppress(StoreUnavailable):  # Then nothing is known until the next check.
                self.note(reader, held[reader](), now)

    def forget_all(self, readers: Collection[bytes]) -> None:
        """Forget at once, in one transaction, what was seen of readers until now: their access ended."""
        self._replace(readers, (), self._clock())

    def _replace(self, readers: Collection[bytes], held: Held | bytes, now: float) -> None:
        """Writes at once what no sighting of up to `now` can undo, wherever it still waits to be written."""
        with self._lock:
            for reader in readers:
                for seen in (self._noted, self._writing, self._written):
                    seen.pop(reader, None)
        try:
            # It stays open: the last connection to close writes a checkpoint, which undoing an import would cause often.
            with self._own() as base:
                base.executemany(_SETTLE, [(reader, now, _packed(held)) for reader in readers])
            self._replaced = True
        except _UNWRITABLE as error:
            self._report(error)

    def features(self, reader: bytes, now: float) -> Held:
        """Return the features that a reader was recently seen to hold and that have not expired; `()` if unknown."""
        return self._lately(reader, now)[1]

    def lasting(self, reader: bytes, now: float) -> Held:
        """Return the same, each with the earlier of its own end and the moment when the sighting is too old."""
        seen, held = self._lately(reader, now)
        forgotten = ceil(seen + self._known_for)
        return tuple((name, forgotten if until is None else min(until, forgotten)) for name, until in held)

    def _lately(self, reader: bytes, now: float) -> tuple[float, Held]:
        _, (seen, held) = self._followed(reader)
        if isinstance(held, bytes) or now - seen >= self._known_for:
            return seen, ()
        return seen, tuple((name, until) for name, until in held if until is None or now < until)

    def _followed(self, reader: bytes) -> tuple[bytes, Sighting]:
        """Return the reader that a reader was merged into, or the reader, and the sighting of that one."""
        sighting = self._sighting(reader)
        for _ in range(MOST_MERGES):
            if not isinstance(sighting[1], bytes):
                break
            reader = sighting[1]
            sighting = self._sighting(reader)
        return reader, sighting

    def _sighting(self, reader: bytes) -> Sighting:
        # In the order in which a sighting moves (noted, being written, in the file), so that none is missed.
        noted = self._noted.get(reader) or self._writing.get(reader) or (0.0, ())
        row = self._row(reader)
        return (row[0], _unpacked(row[1])) if row is not None and row[0] >= noted[0] else noted

    def _row(self, reader: bytes) -> tuple[float, str] | None:
        if time.monotonic() >= self._try_locks_at:
            try:
                return _find(self._own(), reader)
            except _UNWRITABLE:
                self._try_locks_at = time.monotonic() + TRY_LOCKS_EVERY
        try:
            # A full disk has no room for the file `-shm`. Nothing writes then, so the file can be read without locks.
            with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as base:
                return _find(base, reader)
        except _UNWRITABLE as error:
            self._report(error)
            return None

    def _own(self) -> sqlite3.Connection:
        """Return the connection of this thread; threads must not share one."""
        base: sqlite3.Connection | None = getattr(self._local, "base", None)
        if base is None:
            base = self._local.base = self._open()
        return base

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite gives new files beside it (-wal, -shm) the mode of this one. Earlier releases made them with the umask's.
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        for path in self._path.parent.glob(f"{self._path.name}*"):
            with suppress(OSError):  # Another user can own it, or SQLite has just deleted it.
                path.chmod(0o600)
        # Another thread may collect what a thread leaves behind, and closes it.
        base = sqlite3.connect(self._path, timeout=1.0, check_same_thread=False, factory=_ThreadConnection)
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = NORMAL")
        base.executescript(_SCHEMA)
        return base

    def _write_new(self) -> float:
        self._try_to_write()
        return WRITE_EVERY

    def _try_to_write(self) -> None:
        with self._lock:
            self._writing = {**self._writing, **self._noted}
            self._noted = {}
            noted = dict(self._writing)
            replaced, self._replaced = self._replaced, False
        if not noted and not replaced:
            return
        rows = [(reader, seen, _packed(held)) for reader, (seen, held) in noted.items()]
        try:
            with closing(self._open()) as base:
                with base:
                    base.executemany(_NOTE, rows)
                    self._clean(base, max((seen for seen, _ in noted.values()), default=0.0))
                # Closing does this only if no other connection is open. On a full disk all must be in the file itself.
                base.execute("PRAGMA wal_checkpoint")
        except _UNWRITABLE as error:
            self._replaced = self._replaced or replaced
            self._report(error)
            return
        with self._lock:
            if len(self._written) + len(self._writing) > MOST_WRITTEN:
                self._written.clear()
            self._written.update(self._writing)
            self._writing = {}

    def _clean(self, base: sqlite3.Connection, newest: float) -> None:
        """Delete, once a minute, sightings that are too old."""
        if newest - self._cleaned >= 60:
            self._cleaned = newest
            base.execute("DELETE FROM known WHERE seen < ?", (newest - self._known_for - 60,))

    def _report(self, error: Exception) -> None:
        if self._on_error is not None and time.monotonic() >= self._report_at:
            self._report_at = time.monotonic() + REPORT_EVERY
            self._on_error(error)


def _find(base: sqlite3.Connection, reader: bytes) -> tuple[float, str] | None:
    found: tuple[float, str] | None = base.execute(
        "SELECT seen, held FROM known WHERE reader = ?", (reader,)
    ).fetchone()
    return found


def _packed(held: Held | bytes) -> str:
    return json.dumps(held.decode() if isinstance(held, bytes) else held)


def _unpacked(text: str) -> Held | bytes:
    held = json.loads(text)
    return held.encode() if isinstance(held, str) else tuple((name, until) for name, until in held)
