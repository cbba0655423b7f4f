"""Write all that the store holds to one sealed file, and restore it.

    paywall-backup 1 <id>          the first line: the kind of file, its format, a random ID
    <sealed>                       lines of [number, id, kind, payload], compressed and sealed; `about` first, `end` last
    sha256 <hex>                   the last line: the digest of everything before it

Each line holds the file's ID and its own number, and the last sealed line holds their count. So a check detects lines that
were left out, added, moved or taken from another file, as well as changed ones. A restore checks the whole file first.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from service.adapters.crypto import Sealer
from service.adapters.redis.audit.audit import Actor, AuditWriter, audit_entry
from service.adapters.redis.audit.chain import AuditLog, Head
from service.adapters.redis.client.address import Address, parse_address
from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.keys import Keys
from service.adapters.redis.client.link import Link
from service.adapters.redis.client.store import Store
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.adapters.redis.embedded.folder_lock import FolderLock
from service.adapters.redis.service_state.coordination import LEADS_FOR, LeaderElection
from service.adapters.redis.service_state.secrets import Secrets
from service.adapters.redis.service_state.snapshot import Snapshot, SnapshotPart
from service.domain.errors import StoreUnavailable
from service.domain.times import utc
from service.settings.settings import Settings

PURPOSE = "backup"
"""The purpose for which the sealer of a backup is derived."""
FORMAT = 1
_MAGIC = b"paywall-backup"
_FRAME = 256 * 1024
"""About so many bytes of content a line: memory is bounded by a few of them."""
_LONGEST_LINE = 64 * 1024 * 1024
_STORE_TIMEOUT = 5.0
"""Seconds for one answer of the store, more than a request waits."""
_CONNECT_WITHIN = 30.0
"""Seconds for a store, or for the folder of an embedded one, to become available."""
_POLL = 0.1

Progress = Callable[[int], None]
"""Receives how many keys are done."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list).decode


class BadBackup(Exception):
    """The file is no backup, is damaged, or was sealed with other secrets. `str()` says which; nothing was written."""


class StoreInUse(Exception):
    """A `paywall serve` or a worker runs on the store."""


class StoreNotEmpty(Exception):
    """The store holds `keys` keys of the prefix."""

    def __init__(self, keys: int) -> None:
        super().__init__(f"{keys} keys")
        self.keys = keys


class RestoreIncomplete(Exception):
    """The store lacks `missing` keys that were written to it: it evicts keys, or another process deletes them."""

    def __init__(self, missing: int) -> None:
        super().__init__(f"{missing} keys")
        self.missing = missing


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """What a backup holds: when it was made (`2026-11-28T09:30:00Z`), of which prefix, how many keys, its SHA-256.

    A backup of an earlier release does not record what it left out: then both are empty.
    """

    made_at: str
    prefix: str
    keys: int
    short_lived: int
    """How many keys were left out because they expire within two minutes or belong to one store only."""
    other_titles: Mapping[str, int]
    """How many keys of other titles in the same store were left out, by their prefix."""
    checksum: str


def write_backup(file: Path, store: Store, sealer: Sealer, now: float) -> BackupSummary:
    """Write a backup with mode 600. The file appears as a whole, or not at all.

    Raises: `OSError` where the file cannot be written, `StoreUnavailable`.
    """
    made_at, prefix = utc(int(now)), store.keys.prefix.decode()
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            lines = _LineSealer(out, sealer)
            lines.append("about", {"made_at": made_at, "prefix": prefix})
            snapshot = Snapshot(store)
            counted = snapshot.count_keys()
            for frame in _frames(snapshot.read_parts()):
                lines.append("parts", frame)
            left_out = {"short_lived": counted.short_lived, "other_titles": counted.of_titles}
            checksum = lines.finish(left_out)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return BackupSummary(made_at, prefix, lines.keys, counted.short_lived, counted.of_titles, checksum)


def check_backup(file: Path, sealer: Sealer) -> BackupSummary:
    """Read all of a backup and return its summary. Raises: `BadBackup`, `OSError`."""
    found: dict[str, Any] = {"short_lived": 0, "other_titles": {}}
    keys = 0
    for kind, payload in _lines(file, sealer):
        if kind == "parts":
            keys += sum(SnapshotPart(*row).first for row in payload)
        else:
            found |= payload
    if found["keys"] != keys:
        raise BadBackup(f"{file}: it holds {keys} keys, but says that it holds {found['keys']}.")
    counts = (keys, found["short_lived"], found["other_titles"])
    return BackupSummary(found["made_at"], found["prefix"], *counts, found["checksum"])


def restore_backup(file: Path, store: Store, sealer: Sealer, *, replace: bool, progress: Progress) -> Head | None:
    """Write a checked backup into a store that is empty, or is emptied first (`replace`).

    Return the end of the audit log that was replaced; `None` if there was none, or none that could be read.

    Raises: `StoreNotEmpty`, `BadBackup`, `RestoreIncomplete`, `OSError`, `StoreUnavailable`.
    """
    snapshot, replaced = Snapshot(store), _audit_end(store)
    if not replace and (keys := snapshot.count_keys().kept):
        raise StoreNotEmpty(keys)
    snapshot.delete_all()
    done = 0
    for parts in _read_parts(file, sealer):
        snapshot.write_parts(parts)
        done += sum(part.first for part in parts)
        progress(done)
    if missing := sum(snapshot.count_missing(parts) for parts in _read_parts(file, sealer)):
        raise RestoreIncomplete(missing)
    return replaced


def _audit_end(store: Store) -> Head | None:
    with suppress(StoreError):  # Something else lies in its place; the restore puts that right.
        head = AuditLog(store).state().head
        return head if head.seq else None
    return None


def record_restore(
    store: Store, secrets: Sequence[str], restored: BackupSummary, replaced: Head | None, actor: Actor, now: float
) -> None:
    """Record the restore in the restored audit log: the backup's time and checksum, and the end of the log that it replaced.

    Entries that the backup found in outboxes come first. Raises: `StoreUnavailable`.
    """
    audit = AuditWriter(store, partial(Secrets(store, secrets).signer, "audit"), AuditLog(store))
    audit.flush_all()
    entry = audit_entry(
        actor,
        "restore",
        now=now,
        reader=None,
        target=restored.checksum,
        before={"head": str(replaced)} if replaced else None,
        after={"made_at": restored.made_at, "keys": restored.keys},
    )
    audit.append([entry])


def _read_parts(file: Path, sealer: Sealer) -> Iterator[list[SnapshotPart]]:
    for kind, payload in _lines(file, sealer):
        if kind == "parts":
            yield [SnapshotPart(*row) for row in payload]


@contextmanager
def exclusive_store(settings: Settings) -> Iterator[Store]:
    """Open the store while no `serve` runs on it: on this machine the folder's lock shows that, elsewhere the lease.

    Raises: `StoreInUse`, `StoreUnavailable`, `EmbeddedStoreError`.
    """
    keys = Keys(settings.prefix)
    if settings.redis_url is None:
        embedded = EmbeddedStore(settings.data, kind="command", memory=settings.store_memory)
        address = parse_address(embedded.start())
        try:
            with patient_store(address, keys) as store:
                yield store
        finally:
            embedded.stop()
        return
    owner = FolderLock(settings.data.absolute(), "command")
    owner.acquire(_CONNECT_WITHIN)
    try:
        with patient_store(parse_address(settings.redis_url), keys) as store:
            _await_no_worker(store)
            yield store
    finally:
        owner.release()


@contextmanager
def patient_store(address: Address, keys: Keys) -> Iterator[Store]:
    """Open a store with longer time-outs than a request has. Raises: `StoreUnavailable`."""
    link = Link(address, timeout=_STORE_TIMEOUT)
    try:
        if not link.wait(_CONNECT_WITHIN):
            link.topology()
            raise StoreUnavailable("timeout")
        yield Store(link, keys)
    finally:
        link.close()


def _await_no_worker(store: Store) -> None:
    """Wait for the lease of a worker that was killed, which lasts some seconds. Raises: `StoreInUse`."""
    leader, started = LeaderElection(store, LEADS_FOR), time.monotonic()
    while leader.seconds_since_renewal() is not None:
        if time.monotonic() - started > LEADS_FOR + 1:
            raise StoreInUse
        threading.Event().wait(_POLL)


def _frames(parts: Iterator[SnapshotPart]) -> Iterator[list[Any]]:
    frame: list[Any] = []
    size = 0
    for part in parts:
        frame.append([part.key, part.kind, part.expires, part.first, part.values])
        size += len(part.key) + sum(map(len, part.values))
        if size >= _FRAME:
            yield frame
            frame, size = [], 0
    if frame:
        yield frame


class _LineSealer:
    """Seals and writes lines, and computes their digest."""

    def __init__(self, out: BinaryIO, sealer: Sealer) -> None:
        self._out = out
        self._sealer = sealer
        self._sum = sha256()
        self._id = secrets.token_hex(16)
        self._number = 0
        self.keys = 0
        self._line(b"%b %d %b" % (_MAGIC, FORMAT, self._id.encode()))

    def append(self, kind: str, payload: Any) -> None:
        if kind == "parts":
            self.keys += sum(part[3] for part in payload)
        text = zlib.compress(_pack([self._number, self._id, kind, payload]), 3)
        self._line(self._sealer.seal(text).encode())
        self._number += 1

    def finish(self, left_out: Mapping[str, Any]) -> str:
        self.append("end", {"lines": self._number, "keys": self.keys, **left_out})
        checksum = self._sum.hexdigest()
        self._out.write(b"sha256 " + checksum.encode() + b"\n")
        return checksum

    def _line(self, text: bytes) -> None:
        self._sum.update(text + b"\n")
        self._out.write(text + b"\n")


def _lines(file: Path, sealer: Sealer) -> Iterator[tuple[str, Any]]:
    """Yield kind and payload of each line in order; the last is `end`, with the checksum. Raises: `BadBackup`."""
    total, number, ended = sha256(), 0, None
    with file.open("rb") as source:
        file_id = _read_first_line(source, total)
        while (line := source.readline(_LONGEST_LINE)) and not line.startswith(b"sha256 "):
            if ended is not None:
                raise BadBackup(f"{file}: data follows its end; it was changed.")
            kind, payload = _open_line(line, sealer, number, file_id, file)
            total.update(line)
            number += 1
            if kind == "end":
                ended = payload
            else:
                yield kind, payload
        if ended is None or ended["lines"] != number - 1 or not line:
            raise BadBackup(f"{file}: its end is missing; it is truncated.")
        if line != b"sha256 %b\n" % total.hexdigest().encode() or source.read(1):
            raise BadBackup(f"{file}: its checksum does not match its content; it is damaged.")
    yield "end", {**ended, "checksum": total.hexdigest()}


def _read_first_line(source: BinaryIO, total: Any) -> str:
    line = source.readline(200)
    words = line.split()
    if len(words) != 3 or words[0] != _MAGIC:
        raise BadBackup(f"{source.name}: this is not a paywall backup.")
    if words[1] != b"%d" % FORMAT:
        raise BadBackup(
            f"{source.name}: its format is {words[1].decode('ascii', 'replace')}; this service reads {FORMAT}."
        )
    total.update(line)
    return words[2].decode("ascii", "replace")


def _open_line(line: bytes, sealer: Sealer, number: int, file_id: str, file: Path) -> tuple[str, Any]:
    """Return kind and payload of a line, if it has this number and is of this file."""
    text = sealer.open(line.rstrip(b"\n").decode("ascii", "replace")) if line.endswith(b"\n") else None
    if text is None:
        why = "it is damaged, or was sealed with other PAYWALL_SECRETS" if number == 0 else "it is damaged"
        raise BadBackup(f"{file}: line {number + 2} cannot be opened: {why}.")
    found, found_id, kind, payload = _unpack(zlib.decompress(text))
    if (found, found_id) != (number, file_id):
        raise BadBackup(f"{file}: line {number + 2} does not belong there: lines were moved, left out or added.")
    return kind, payload
