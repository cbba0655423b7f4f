"""Read and validate the CSV file of an import, `reader,plan,until,reason`, and report each mistake with line and field.

Lines are numbered as in an editor: the header is line 1, and a row that spans lines has the number of its first. Empty lines
are skipped. Cells are separated by `,` or by `;`, as spreadsheets of many countries write it. `until` is a date, which means
until the end of that day in the site's timezone, a span from now, a time with an offset, or `never`; it cannot be empty.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from service.adapters.redis.client.keys import reader_hash
from service.domain import grant_rules, ids
from service.domain.catalogue import Catalogue
from service.domain.errors import FileTooLarge
from service.domain.typed_times import read_typed_time
from service.use_cases.grants.imports.pacing import UNPACED, Pace

COLUMNS = ["reader", "plan", "until", "reason"]
MOST_ROWS = 50_000
MOST_BYTES = 16 * 1024 * 1024
NEVER = "never"

# Python's own limit would stop at the first long cell and hide the mistakes after it.
csv.field_size_limit(MOST_BYTES)


class RowMistake(NamedTuple):
    """What is wrong with one field of one line."""

    line: int
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class ImportEntry:
    """One valid row. `tag` is the reader's hash; `until` is in epoch seconds, `None` for no end."""

    line: int
    reader: str | None
    tag: bytes
    plan: str
    until: int | None
    reason: str


@dataclass
class ImportSheet:
    """The valid rows of a file, in order, and all mistakes; `rows` counts valid and wrong rows."""

    entries: list[ImportEntry] = field(default_factory=list)
    mistakes: list[RowMistake] = field(default_factory=list)
    rows: int = 0


def read(body: bytes, catalogue: Catalogue, now: float, pace: Pace = UNPACED) -> ImportSheet:
    """Return the sheet in a file's bytes (UTF-8, with or without a byte order mark). Raises: `FileTooLarge`."""
    if len(body) > MOST_BYTES:
        raise FileTooLarge(f"{MOST_BYTES // 1024**2} MiB")
    sheet = ImportSheet()
    lines = _rows(body.removeprefix(b"\xef\xbb\xbf"), sheet)
    header = next(lines, (1, []))[1]
    if header != COLUMNS:
        if not sheet.mistakes:
            wrong = f"must be {','.join(COLUMNS)}: {_find_wrong_column(header)}"
            sheet.mistakes.append(RowMistake(1, "header", wrong))
        return sheet
    validator = _RowValidator(catalogue, now)
    for line, cells in lines:
        sheet.rows += 1
        if sheet.rows > MOST_ROWS:
            raise FileTooLarge(f"{MOST_ROWS} rows")
        found = validator.validate(line, cells)
        if isinstance(found, ImportEntry):
            sheet.entries.append(found)
        else:
            sheet.mistakes += found
        pace.step()
    return sheet


def _rows(body: bytes, sheet: ImportSheet) -> Iterator[tuple[int, list[str]]]:
    """Yield each line's number and cells. Where the rest cannot be read, add a mistake to the sheet and stop."""
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8", newline="")
    rows = csv.reader(text, strict=True, delimiter=find_delimiter(body))
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except UnicodeDecodeError:
            sheet.mistakes.append(
                RowMistake(_find_undecodable_line(body), "row", "is not UTF-8: save the file in UTF-8")
            )
            return
        except csv.Error as error:
            sheet.mistakes.append(RowMistake(line, "row", f"cannot be read, nor what follows: {error}"))
            return
        if cells:
            yield line, cells


def find_delimiter(body: bytes) -> str:
    """Return what separates the cells of a file, by its first line."""
    header = body.partition(b"\n")[0]
    return ";" if header.count(b";") > header.count(b",") else ","


def _find_wrong_column(header: list[str]) -> str:
    """Return which column of a wrong header is the first that is not the expected one."""
    for number, name in enumerate(COLUMNS, 1):
        if number > len(header):
            return f"column {number} ({name}) is missing"
        if header[number - 1] != name:
            return f"column {number} must be {name}, and is “{header[number - 1][:40]}”"
    return f"column {len(COLUMNS) + 1} (“{header[len(COLUMNS)][:40]}”) is one too many"


def template(catalogue: Catalogue) -> str:
    """Return a file to start from: the header, and an example row with a plan that can be granted."""
    plan = next(iter(catalogue.grants.plans or catalogue.plans), "plan")
    return f"{','.join(COLUMNS)}\nreader-1,{plan},30d,example: replace this row\n"


def _find_undecodable_line(body: bytes) -> int:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return body.count(b"\n", 0, error.start) + 1
    return 1


class _RowValidator:
    """Validates rows; remembers the readers with their plans, and what it found out about plans and ends."""

    def __init__(self, catalogue: Catalogue, now: float) -> None:
        self._catalogue = catalogue
        self._now = now
        self._first_lines: dict[tuple[bytes, str], int] = {}
        self._plan_mistake = lru_cache(10_000)(self._find_plan_mistake)
        self._read_end = lru_cache(10_000)(self._parse_end)

    def validate(self, line: int, cells: list[str]) -> ImportEntry | list[RowMistake]:
        """Return the row of a line, or everything that is wrong with it."""
        if len(cells) != len(COLUMNS):
            wanted = ", ".join(COLUMNS)
            return [RowMistake(line, "row", f"has {len(cells)} columns, and must have {len(COLUMNS)}: {wanted}")]
        reader, plan, until, reason = cells
        found: list[RowMistake] = []
        tag = b""
        try:
            tag = reader_hash(ids.read_reader(reader))
        except ValueError as error:
            found.append(RowMistake(line, "reader", str(error)))
        if wrong := self._plan_mistake(plan[:128]):
            found.append(RowMistake(line, "plan", wrong))
        end, wrong = self._read_end(until)
        if wrong:
            found.append(RowMistake(line, "until", wrong))
        try:
            ids.read_reason(reason)
        except ValueError as error:
            found.append(RowMistake(line, "reason", str(error)))
        if tag and (first := self._first_lines.setdefault((tag, plan), line)) != line:
            found.append(RowMistake(line, "reader", f"duplicate of line {first}"))
        return found or ImportEntry(line, reader, tag, plan, end, reason)

    def _find_plan_mistake(self, plan: str) -> str | None:
        mistakes = grant_rules.find_plan_mistakes(self._catalogue, plan, ())
        return mistakes[0][1] if mistakes else None

    def _parse_end(self, text: str) -> tuple[int | None, str | None]:
        """Return the end that a cell names, and what is wrong with it."""
        if not text:
            return None, "must not be empty: write a date, a span, a time, or never"
        try:
            end = None if text == NEVER else int(read_typed_time(text, self._now, self._catalogue.zone, is_end=True))
        except ValueError as error:
            return None, f"{error}, or never"
        mistakes = grant_rules.find_end_mistakes(self._catalogue, start=int(self._now), until=end, now=self._now)
        return end, mistakes[0][1] if mistakes else None
