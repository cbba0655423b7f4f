"""The file of an import: `reader,plan,until,reason`, read whole, every mistake named with its line and field.

A line's number is that of the file, as an editor shows it: the header is line 1, and a row that goes over several lines has
the number of its first. Empty lines are none. `until` is a time with an offset, or `never`; an empty one is refused.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from service.adapters.redis.client.keys import reader_hash
from service.domain import grant_rules as granting
from service.domain import ids, times
from service.domain.catalogue import Catalogue
from service.domain.errors import FileTooLarge
from service.use_cases.grants.imports.pacing import HASTE, Pace
from service.use_cases.grants.imports.rows import Entry, Mistake, Sheet

COLUMNS = ["reader", "plan", "until", "reason"]
MOST_ROWS = 50_000
MOST_BYTES = 16 * 1024 * 1024
NEVER = "never"

_BOM = b"\xef\xbb\xbf"
# Python's own limit would end the reading at the first long cell, and hide what is wrong after it.
csv.field_size_limit(MOST_BYTES)


def read(body: bytes, catalogue: Catalogue, now: float, pace: Pace = HASTE) -> Sheet:
    """Return the sheet in a file's bytes (UTF-8, with or without a byte order mark). Raises: `FileTooLarge`."""
    if len(body) > MOST_BYTES:
        raise FileTooLarge(f"{MOST_BYTES // 1024**2} MiB")
    sheet = Sheet()
    lines = _rows(body.removeprefix(_BOM), sheet)
    header = next(lines, (1, []))[1]
    if header != COLUMNS:
        if not sheet.mistakes:
            sheet.mistakes.append(Mistake(1, "header", f"must be {','.join(COLUMNS)}"))
        return sheet
    reader = _Reader(catalogue, now)
    for line, cells in lines:
        sheet.rows += 1
        if sheet.rows > MOST_ROWS:
            raise FileTooLarge(f"{MOST_ROWS} rows")
        found = reader.entry(line, cells)
        if isinstance(found, Entry):
            sheet.entries.append(found)
        else:
            sheet.mistakes += found
        pace.step()
    return sheet


def _rows(body: bytes, sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """Lines with their cells; what cannot be read any further is a mistake of the sheet, and its end."""
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8", newline="")
    rows = csv.reader(text, strict=True)
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except UnicodeDecodeError:
            sheet.mistakes.append(Mistake(_line_of(body), "row", "is not UTF-8: save the file in UTF-8"))
            return
        except csv.Error as error:
            sheet.mistakes.append(Mistake(line, "row", f"cannot be read, nor what follows: {error}"))
            return
        if cells:
            yield line, cells


def _line_of(body: bytes) -> int:
    """The line of the first byte that is not UTF-8."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return body.count(b"\n", 0, error.start) + 1
    return 1


class _Reader:
    """Reads rows, and knows which readers and plans have been."""

    def __init__(self, catalogue: Catalogue, now: float) -> None:
        self._catalogue = catalogue
        self._now = now
        self._ends: dict[str, tuple[int | None, str | None]] = {}
        self._plans: dict[str, str | None] = {}
        self._seen: dict[tuple[bytes, str], int] = {}

    def entry(self, line: int, cells: list[str]) -> Entry | list[Mistake]:
        """The row of a line, or all that is wrong with it."""
        if len(cells) != len(COLUMNS):
            wanted = ", ".join(COLUMNS)
            return [Mistake(line, "row", f"has {len(cells)} columns, and must have {len(COLUMNS)}: {wanted}")]
        reader, plan, until, reason = cells
        found: list[Mistake] = []
        try:
            tag = reader_hash(ids.read_reader(reader))
        except ValueError as error:
            tag = b""
            found.append(Mistake(line, "reader", str(error)))
        if wrong := self._wrong_plan(plan):
            found.append(Mistake(line, "plan", wrong))
        end, wrong = self._end(until)
        if wrong:
            found.append(Mistake(line, "until", wrong))
        try:
            ids.read_reason(reason)
        except ValueError as error:
            found.append(Mistake(line, "reason", str(error)))
        if tag and (first := self._seen.setdefault((tag, plan), line)) != line:
            found.append(Mistake(line, "reader", f"duplicate of line {first}"))
        return found or Entry(line, tag, plan, end, reason)

    def _wrong_plan(self, plan: str) -> str | None:
        if plan not in self._plans:
            said = granting.find_mistakes(
                self._catalogue, plan=plan[:128], features=(), start=int(self._now), until=None, now=self._now
            )
            self._plans[plan] = next((message for name, message in said if name == "plan"), None)
        return self._plans[plan]

    def _end(self, text: str) -> tuple[int | None, str | None]:
        """The end that a cell names, and what is wrong with it."""
        known = self._ends.get(text)
        if known is None:
            if len(self._ends) > 10_000:
                self._ends.clear()
            known = self._ends[text] = self._read_end(text)
        return known

    def _read_end(self, text: str) -> tuple[int | None, str | None]:
        if not text:
            return None, "must not be empty: write a time, or never"
        try:
            end = None if text == NEVER else int(times.read_time(text))
        except ValueError as error:
            return None, f"{error}, or never"
        said = granting.find_end_mistakes(self._catalogue, start=int(self._now), until=end, now=self._now)
        return end, said[0][1] if said else None
