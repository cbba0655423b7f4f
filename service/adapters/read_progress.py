"""Pages of a long read from Stripe, kept in a file until the read is complete, so that it resumes where it was cut off.

A line for each page; the first line names what is read and when the reading began. Lines are sealed, because what they hold
can name readers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from service.adapters.crypto import Sealer

VALID_FOR = 3_600
"""Seconds after which the read starts again: what it has read so far is too old."""


class ReadPage(msgspec.Struct, array_like=True):
    """The first and the last ID of a page, after which the list goes on, and the rows that are kept: ID and packed facts."""

    first: str
    last: str
    rows: list[tuple[str, str]]


class _Header(msgspec.Struct, array_like=True):
    what: str
    started: int


_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class ReadProgress:
    """The file of one read at a time."""

    path: Path
    sealer: Callable[[], Sealer]

    def load(self, what: str, now: float) -> list[ReadPage]:
        """Return the pages that an earlier read of the same has kept; none if there is no such read, or it is too old."""
        try:
            sealed = self.path.read_text("ascii").splitlines()
        except (OSError, ValueError):
            return []
        lines: list[bytes] = []
        for line in sealed:
            if (opened := self.sealer().open(line)) is None:
                break  # A process that was killed while it wrote leaves a last line that does not open.
            lines.append(opened)
        if not lines:
            return []
        header = msgspec.json.decode(lines[0], type=_Header)
        if header.what != what or not 0 <= now - header.started < VALID_FOR:
            return []
        return [msgspec.json.decode(line, type=ReadPage) for line in lines[1:]]

    def start(self, what: str, now: float) -> None:
        """Begin a read, and forget an earlier one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.discard()
        self._append(_encode(_Header(what, int(now))))

    def add(self, page: ReadPage) -> None:
        self._append(_encode(page))

    def discard(self) -> None:
        """Delete the file: the read is complete."""
        self.path.unlink(missing_ok=True)

    def _append(self, line: bytes) -> None:
        with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
            file.write(self.sealer().seal(line).encode() + b"\n")
