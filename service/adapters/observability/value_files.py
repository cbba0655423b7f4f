"""The values of the metrics of this process, in files that `SharedExposition` reads.

prometheus_client writes such files itself, but in a fork it makes every value again. That copies most of the memory in which
its parent has them. Here all values are made once, in memory, and a process that counts copies them to its files.
"""

from __future__ import annotations

import os
import struct
import threading
from contextlib import suppress
from io import FileIO
from mmap import mmap
from pathlib import Path
from typing import Any

from prometheus_client.mmap_dict import MmapedDict, mmap_key

_ROOM = 1 << 16
"""Bytes by which a file grows, as zeros that take no room on the disk before they are written."""


class _ValueFile:
    """Values of one kind of metric, laid out as `MmapedDict` does: how many bytes are used, then keys and values.

    A key has its length before it, and spaces after it; a value has the time of a gauge after it, which is always 0 here.
    """

    def __init__(self) -> None:
        self._file: FileIO | None = None
        self._data: bytearray | mmap = bytearray(_ROOM)
        self._used = 8
        self._places: dict[str, int] = {}

    def place(self, key: str) -> int:
        """Return where the value of a key is; a new one is 0."""
        if key not in self._places:
            text = key.encode()
            entry = struct.pack("i", len(text)) + text + b" " * (8 - (len(text) + 4) % 8) + bytes(16)
            end = self._used + len(entry)
            while end > len(self._data):
                self._grow()
            self._data[self._used : end] = entry
            self._data[:4] = struct.pack("i", end)
            self._used, self._places[key] = end, end - 16
        return self._places[key]

    def read(self, place: int) -> float:
        """Return the value at a place."""
        return float(struct.unpack_from("d", self._data, place)[0])

    def write(self, place: int, value: float) -> None:
        """Replace the value at a place, at once for whoever reads the file."""
        self._data[place : place + 8] = struct.pack("d", value)

    def move_to(self, path: Path) -> None:
        """Keep the values in a file from now on. It adds to the counts of an ended process whose file this was."""
        with suppress(FileNotFoundError):
            for key, value, *_ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]  # the library leaves it untyped
                self.write(self.place(key), value)
        unfinished = path.with_suffix(".new")
        unfinished.write_bytes(self._data)
        self._file = unfinished.open("r+b", buffering=0)
        self._data = mmap(self._file.fileno(), 0)
        unfinished.replace(path)

    def _grow(self) -> None:
        if self._file is None:
            self._data += bytes(_ROOM)  # type: ignore[operator]  # without a file it is no `mmap`
        else:
            self._file.truncate(len(self._data) + _ROOM)
            self._data = mmap(self._file.fileno(), 0)


_files: dict[str, _ValueFile] = {}
_lock = threading.Lock()


class FileValue:
    """What prometheus_client's metrics take as `values.ValueClass`."""

    __slots__ = ("_file", "_place")

    def __init__(self, kind: str, *described: Any, multiprocess_mode: str = "", **_: object) -> None:
        with _lock:
            self._file = _files.setdefault(f"{kind}_{multiprocess_mode}" if multiprocess_mode else kind, _ValueFile())
            self._place = self._file.place(mmap_key(*described))

    def inc(self, amount: float) -> None:
        """Add to the value."""
        with _lock:
            self._file.write(self._place, self._file.read(self._place) + amount)

    def set(self, value: float) -> None:
        """Replace the value."""
        with _lock:
            self._file.write(self._place, value)


def keep_values_in(folder: Path) -> None:
    """Keep all values in files of this process from now on. Call it once a process, after any fork."""
    # The system removes a user's files in /dev/shm when they log out, also those of a service that still runs.
    folder.mkdir(mode=0o700, exist_ok=True)
    with _lock:
        for kind, file in _files.items():
            file.move_to(folder / f"{kind}_{os.getpid()}.db")
