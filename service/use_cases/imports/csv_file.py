"""Read the CSV file of an import, and report each mistake with line and field.

Lines are numbered as in an editor: the header is line 1, and a row that spans lines has the number of its first. Empty lines
are skipped. Cells are separated by `,` or by `;`, as spreadsheets of many countries write it.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import msgspec

from service.domain.errors import FileTooLarge
from service.use_cases.imports.pacing import UNPACED, Pace

MOST_MISTAKES = 100_000
"""Mistakes after which a file is read no further."""
LONGEST_LINE = 1024 * 1024
"""Characters of a line that is split into cells."""
_BATCH = 500

# Python's own limit would stop at the first long cell and hide the mistakes after it.
csv.field_size_limit(64 * 1024 * 1024)

Entry = TypeVar("Entry")


class RowMistake(NamedTuple):
    """What is wrong with one field of one line."""

    line: int
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """The headers that a file can have, and how large it can be."""

    headers: Sequence[Sequence[str]]
    most_rows: int
    most_bytes: int


class ImportSheet(Generic[Entry]):
    """The valid rows of a file, in order, and all mistakes; `rows` counts valid and wrong rows.

    Rows are kept packed: as objects half a million of them would take several times the memory.
    """

    def __init__(self, entry_type: type[Entry]) -> None:
        self.mistakes: list[RowMistake] = []
        self.rows = 0
        self._decoder = msgspec.msgpack.Decoder(list[entry_type])  # type: ignore[valid-type]  # given by the kind
        self._packed: list[bytes] = []
        self._last: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Add a valid row."""
        self._last.append(entry)
        if len(self._last) == _BATCH:
            self._packed.append(_pack(self._last))
            self._last = []

    def batches(self) -> Iterator[list[Entry]]:
        """Yield the valid rows, some hundred at a time."""
        yield from map(self._decoder.decode, self._packed)
        if self._last:
            yield self._last

    def digest(self) -> str:
        """Return a SHA-256 of the valid rows, in hexadecimal digits."""
        found = hashlib.sha256()
        for batch in (*self._packed, _pack(self._last)):
            found.update(batch)
        return found.hexdigest()


_pack = msgspec.msgpack.Encoder().encode

Validate = Callable[[int, list[str]], Entry | list[RowMistake]]
"""Returns the entry of a line with these cells, or everything that is wrong with it."""


def read(
    body: bytes,
    form: CsvFormat,
    entry_type: type[Entry],
    validator: Callable[[Sequence[str]], Validate[Entry]],
    pace: Pace = UNPACED,
) -> ImportSheet[Entry]:
    """Return the sheet in a file's bytes (UTF-8, with or without a byte order mark). Raises: `FileTooLarge`.

    `validator` gets the header and returns what validates each row below it; every row has as many cells as the header.
    """
    if len(body) > form.most_bytes:
        raise FileTooLarge(f"{form.most_bytes // 1024**2} MiB")
    sheet = ImportSheet(entry_type)
    lines = read_rows(body, sheet.mistakes)
    header = next(lines, (1, []))[1]
    if header not in map(list, form.headers):
        if not sheet.mistakes:
            wrong = f"must be {' or '.join(map(','.join, form.headers))}: {_find_wrong_column(header, form.headers)}"
            sheet.mistakes.append(RowMistake(1, "header", wrong))
        return sheet
    validate = validator(header)
    for line, cells in lines:
        sheet.rows += 1
        if sheet.rows > form.most_rows:
            raise FileTooLarge(f"{form.most_rows} rows")
        found = validate(line, cells) if len(cells) == len(header) else [_wrong_number(line, cells, header)]
        if not isinstance(found, list):
            sheet.add(found)
        else:
            sheet.mistakes += found
            if len(sheet.mistakes) >= MOST_MISTAKES:
                sheet.mistakes.append(RowMistake(line + 1, "row", "is not read: fix the mistakes above first"))
                break
        pace.step()
    return sheet


def _wrong_number(line: int, cells: list[str], header: Sequence[str]) -> RowMistake:
    wanted = ", ".join(header)
    return RowMistake(line, "row", f"has {len(cells)} columns, and must have {len(header)}: {wanted}")


def check_cell(line: int, column: str, read_cell: Callable[[str], object], text: str) -> list[RowMistake]:
    """Return what is wrong with a cell, which is what `read_cell` raises as a ValueError."""
    try:
        read_cell(text)
    except ValueError as error:
        return [RowMistake(line, column, str(error))]
    return []


def read_rows(body: bytes, mistakes: list[RowMistake]) -> Iterator[tuple[int, list[str]]]:
    """Yield each line's number and cells. Where the rest cannot be read, add a mistake and stop."""
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")
    rows = csv.reader(short_lines(text), strict=True, delimiter=find_delimiter(body))
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except UnicodeDecodeError:
            mistakes.append(RowMistake(_find_undecodable_line(body), "row", "is not UTF-8: save the file in UTF-8"))
            return
        except csv.Error as error:
            mistakes.append(RowMistake(line, "row", f"cannot be read, nor what follows: {error}"))
            return
        if cells:
            yield line, cells


def short_lines(text: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text. Raises: `csv.Error` for a very long one, whose cells could take 20 times its size."""
    for line in text:
        if len(line) > LONGEST_LINE:
            raise csv.Error(f"a line has more than {LONGEST_LINE} characters")
        yield line


def find_delimiter(body: bytes) -> str:
    """Return what separates the cells of a file, by its first line."""
    header = body.partition(b"\n")[0]
    return ";" if header.count(b";") > header.count(b",") else ","


def _find_wrong_column(header: list[str], headers: Sequence[Sequence[str]]) -> str:
    """Return which column of a wrong header is the first that is not the expected one."""
    for number in range(max(map(len, headers))):
        expected = " or ".join(dict.fromkeys(names[number] for names in headers if number < len(names)))
        if number >= len(header):
            return f"column {number + 1} ({expected}) is missing"
        if header[number] not in expected.split(" or "):
            return f"column {number + 1} must be {expected}, and is “{header[number][:40]}”"
    longest = max(map(len, headers))
    return f"column {longest + 1} (“{header[longest][:40]}”) is one too many"


def _find_undecodable_line(body: bytes) -> int:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return body.count(b"\n", 0, error.start) + 1
    return 1
