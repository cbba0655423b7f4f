"""Read a file of links, `reader,customer` or `reader,subscription`.

The same row again counts as unchanged. A customer or subscription that is named again for another reader is a mistake.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from service.domain import ids
from service.use_cases.imports import csv_file
from service.use_cases.imports.csv_file import CsvFormat, ImportSheet, RowMistake, check_cell
from service.use_cases.imports.pacing import UNPACED, Pace

FORMAT = CsvFormat([("reader", "customer"), ("reader", "subscription")], 500_000, 64 * 1024 * 1024)
_HASH = (1 << 64) - 1


class LinkEntry(msgspec.Struct, array_like=True, frozen=True):
    """One valid row: the reader and the object, such as `customer:cus_1`. `again`: an earlier line says the same."""

    line: int
    reader: str
    name: str
    again: bool


def read(body: bytes, pace: Pace = UNPACED) -> ImportSheet[LinkEntry]:
    """Return the sheet in a file's bytes. Raises: `FileTooLarge`."""
    return csv_file.read(body, FORMAT, LinkEntry, lambda header: _LinkValidator(header[1]).validate, pace)


def template() -> str:
    """Return a file to start from."""
    return "reader,customer\nreader-1,cus_EXAMPLE\n"


class _LinkValidator:
    """Validates rows, and remembers what each line linked.

    Hashes stand for IDs, and one number for a line and its reader: of half a million rows it remembers each.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._read_object = ids.read_customer if kind == "customer" else ids.read_subscription
        self._first: dict[int, int] = {}

    def validate(self, line: int, cells: Sequence[str]) -> LinkEntry | list[RowMistake]:
        """Return the row of a line, or everything that is wrong with it."""
        reader, named = cells
        wrong = check_cell(line, "reader", ids.read_reader, reader)
        wrong += check_cell(line, self._kind, self._read_object, named)
        if wrong:
            return wrong
        linked = line << 64 | hash(reader) & _HASH
        first = self._first.setdefault(hash(named), linked)
        if first & _HASH != linked & _HASH:
            return [RowMistake(line, self._kind, f"is linked to another reader in line {first >> 64}")]
        return LinkEntry(line, reader, f"{self._kind}:{named}", first != linked)
