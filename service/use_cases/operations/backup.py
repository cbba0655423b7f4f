"""A backup: one file with all that the store holds, sealed with `PAYWALL_SECRETS`; and bringing it back.

    paywall-backup 1 <id>          the first line: what it is, its format, a random id
    <sealed>                       lines of [number, id, kind, payload], compressed and sealed; `about` first, `end` last
    sha256 <hex>                   the last line: of everything before it

Each line carries the file's id and its own number, and the last one says how many there are, so that lines left out, put in,
moved or taken from another file are noticed as well as changed ones. Nothing is written before all of it was read and found
sound.
"""

from __future__ import annotations

import os
import secrets
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from service.adapters.crypto import Sealer
from service.adapters.redis.service_state.snapshot import Part, Snapshot
from service.domain.times import utc

FORMAT = 1
_MAGIC = b"paywall-backup"
_FRAME = 256 * 1024
"""About so many bytes of content a line: memory is bounded by a few of them."""
_LONGEST_LINE = 64 * 1024 * 1024

Progress = Callable[[int], None]
"""Told how many keys are done."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list).decode


class BadBackup(Exception):
    """The file is no backup, is damaged, or was sealed with other secrets. `str()` says which; nothing was written."""


@dataclass(frozen=True, slots=True)
class About:
    """What a backup says of itself: when it was made, of which prefix, how many keys it holds."""

    made_at: str
    prefix: str
    keys: int
    checksum: str


def write(file: Path, snapshot: Snapshot, sealer: Sealer, prefix: str, now: float, progress: Progress) -> About:
    """Writes a backup, mode 600. The file appears as a whole, or not at all. `OSError`, `StoreUnavailable`."""
    made_at = utc(int(now))
    partly = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(partly, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            lines = _Lines(out, sealer)
            lines.put("about", {"made_at": made_at, "prefix": prefix})
            for frame in _frames(snapshot.read()):
                lines.put("parts", frame)
                progress(lines.keys)
            checksum = lines.end()
            out.flush()
            os.fsync(out.fileno())
        partly.replace(file)
    finally:
        partly.unlink(missing_ok=True)
    return About(made_at, prefix, lines.keys, checksum)


def _frames(parts: Iterator[Part]) -> Iterator[list[Any]]:
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


class _Lines:
    """Writes lines, and keeps their sum."""

    def __init__(self, out: BinaryIO, sealer: Sealer) -> None:
        self._out = out
        self._sealer = sealer
        self._sum = sha256()
        self._id = secrets.token_hex(16)
        self._number = 0
        self.keys = 0
        self._line(b"%b %d %b" % (_MAGIC, FORMAT, self._id.encode()))

    def put(self, kind: str, payload: Any) -> None:
        if kind == "parts":
            self.keys += sum(part[3] for part in payload)
        text = zlib.compress(_pack([self._number, self._id, kind, payload]), 3)
        self._line(self._sealer.seal(text).encode())
        self._number += 1

    def end(self) -> str:
        self.put("end", {"lines": self._number, "keys": self.keys})
        checksum = self._sum.hexdigest()
        self._out.write(b"sha256 " + checksum.encode() + b"\n")
        return checksum

    def _line(self, text: bytes) -> None:
        self._sum.update(text + b"\n")
        self._out.write(text + b"\n")


def check(file: Path, sealer: Sealer) -> About:
    """Reads all of a backup and finds it sound. `BadBackup`, `OSError`."""
    about: dict[str, Any] = {}
    for kind, payload in _lines(file, sealer):
        if kind in ("about", "end"):
            about |= payload
    return About(about["made_at"], about["prefix"], about["keys"], about["checksum"])


def parts(file: Path, sealer: Sealer) -> Iterator[list[Part]]:
    """What a backup holds, a few hundred kilobytes at a time. `BadBackup`, `OSError`."""
    for kind, payload in _lines(file, sealer):
        if kind == "parts":
            yield [Part(*row) for row in payload]


def _lines(file: Path, sealer: Sealer) -> Iterator[tuple[str, Any]]:
    """The lines' contents in order; the last is `end`, with the checksum in it."""
    total, number, ended = sha256(), 0, None
    with file.open("rb") as source:
        file_id = _opening(source, total)
        while (line := source.readline(_LONGEST_LINE)) and not line.startswith(b"sha256 "):
            if ended is not None:
                raise BadBackup(f"{file}: something follows its end; it was changed.")
            kind, payload = _opened(line, sealer, number, file_id, file)
            total.update(line)
            number += 1
            if kind == "end":
                ended = payload
            else:
                yield kind, payload
        if ended is None or ended["lines"] != number - 1 or not line:
            raise BadBackup(f"{file}: its end is missing; it was cut off, or never finished.")
        if line != b"sha256 %b\n" % total.hexdigest().encode() or source.read(1):
            raise BadBackup(f"{file}: its checksum is not that of what it holds; it is damaged.")
    yield "end", {**ended, "checksum": total.hexdigest()}


def _opening(source: BinaryIO, total: Any) -> str:
    line = source.readline(200)
    words = line.split()
    if len(words) != 3 or words[0] != _MAGIC:
        raise BadBackup(f"{source.name}: this is no backup of a paywall.")
    if words[1] != b"%d" % FORMAT:
        raise BadBackup(
            f"{source.name}: its format is {words[1].decode('ascii', 'replace')}; this service reads {FORMAT}."
        )
    total.update(line)
    return words[2].decode("ascii", "replace")


def _opened(line: bytes, sealer: Sealer, number: int, file_id: str, file: Path) -> tuple[str, Any]:
    """What a line holds, if it is the one that belongs here."""
    text = sealer.open(line.rstrip(b"\n").decode("ascii", "replace")) if line.endswith(b"\n") else None
    if text is None:
        why = "it is damaged, or was sealed with other PAYWALL_SECRETS" if number == 0 else "it is damaged"
        raise BadBackup(f"{file}: line {number + 2} cannot be opened: {why}.")
    found, whose, kind, payload = _unpack(zlib.decompress(text))
    if (found, whose) != (number, file_id):
        raise BadBackup(f"{file}: line {number + 2} does not belong there: it was moved, left out or put in.")
    return kind, payload
