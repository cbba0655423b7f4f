"""Read a file of grants, `reader,plan,until,reason`.

`until` is a date, which means until the end of that day in the site's timezone, a span from now, a time with an offset, or
`never`; it cannot be empty.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from service.adapters.redis.client.keys import reader_hash
from service.domain import grant_rules, ids
from service.domain.catalogue import Catalogue
from service.domain.typed_times import read_typed_time
from service.use_cases.imports import csv_file
from service.use_cases.imports.csv_file import CsvFormat, ImportSheet, RowMistake, check_cell
from service.use_cases.imports.pacing import UNPACED, Pace

FORMAT = CsvFormat([("reader", "plan", "until", "reason")], most_rows=50_000, most_bytes=16 * 1024 * 1024)
NEVER = "never"


class GrantEntry(msgspec.Struct, array_like=True, frozen=True):
    """One valid row. `tag` is the reader's hash; `until` is in epoch seconds, `None` for no end."""

    line: int
    reader: str | None
    tag: bytes
    plan: str
    until: int | None
    reason: str


def read(body: bytes, catalogue: Catalogue, now: float, pace: Pace = UNPACED) -> ImportSheet[GrantEntry]:
    """Return the sheet in a file's bytes. Raises: `FileTooLarge`."""
    return csv_file.read(body, FORMAT, GrantEntry, lambda _: _RowValidator(catalogue, now).validate, pace)


def template(catalogue: Catalogue) -> str:
    """Return a file to start from: the header, and an example row with a plan that can be granted."""
    plan = next(iter(catalogue.grants.plans or catalogue.plans), "plan")
    return f"{','.join(FORMAT.headers[0])}\nreader-1,{plan},30d,example: replace this row\n"


class _RowValidator:
    """Validates rows; remembers the readers with their plans, and what it found out about plans and ends."""

    def __init__(self, catalogue: Catalogue, now: float) -> None:
        self._catalogue = catalogue
        self._now = now
        self._first_lines: dict[tuple[bytes, str], int] = {}
        self._plan_mistake = lru_cache(10_000)(self._find_plan_mistake)
        self._read_end = lru_cache(10_000)(self._parse_end)

    def validate(self, line: int, cells: list[str]) -> GrantEntry | list[RowMistake]:
        """Return the row of a line, or everything that is wrong with it."""
        reader, plan, until, reason = cells
        found = check_cell(line, "reader", ids.read_reader, reader)
        tag = b"" if found else reader_hash(reader)
        if wrong := self._plan_mistake(plan[:128]):
            found.append(RowMistake(line, "plan", wrong))
        end, wrong = self._read_end(until)
        if wrong:
            found.append(RowMistake(line, "until", wrong))
        found += check_cell(line, "reason", ids.read_reason, reason)
        if tag and (first := self._first_lines.setdefault((tag, plan), line)) != line:
            found.append(RowMistake(line, "reader", f"duplicate of line {first}"))
        return found or GrantEntry(line, reader, tag, plan, end, reason)

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
