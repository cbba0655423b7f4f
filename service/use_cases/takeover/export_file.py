"""Read the file of an export as it really comes: with a byte order mark, semicolons, quoted newlines, columns in any order.

What is cut or damaged is refused whole. Lines are numbered as in an editor: the header is line 1, and a row that spans
lines has the number of its first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from service.domain.errors import WrongRows
from service.use_cases.imports.csv_file import RowMistake, read_rows
from service.use_cases.takeover.formats.export_format import Cells, ExportedMember, ExportFormat, ReadingContext

_CUT = "the file may be cut: export it again"
_CUT_OR_END = f"{_CUT}, or add an end of line"


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A row of an export: which file (from 0) and line it is from, and the member."""

    file: int
    line: int
    member: ExportedMember


@dataclass(frozen=True, slots=True)
class ExportFile:
    """The rows of a file that could be read as CSV, each with its line."""

    places: dict[str, int]
    rows: list[tuple[int, list[str]]]
    ends_line: bool
    """Whether the last line has an end."""


def read_file(body: bytes) -> ExportFile:
    """Return the rows of a file. Raises: WrongRows."""
    mistakes: list[RowMistake] = []
    rows = list(read_rows(body, mistakes))
    if not mistakes and not rows:
        mistakes.append(RowMistake(1, "header", f"is missing; {_CUT}"))
    if mistakes:
        line, field, message = mistakes[0]
        raise WrongRows([RowMistake(line, field, f"{message}; {_CUT}" if "unexpected end" in message else message)])
    (_, header), *rows = rows
    for line, cells in rows:
        if len(cells) != len(header):
            message = f"has {len(cells)} columns, and the header has {len(header)}"
            raise WrongRows([RowMistake(line, "row", f"{message}; {_CUT}" if line == rows[-1][0] else message)])
    places: dict[str, int] = {}
    for place, name in enumerate(header):
        places.setdefault(name.strip(), place)
    return ExportFile(places, rows, body.endswith((b"\n", b"\r")))


def find_columns(file: ExportFile, form: ExportFormat, reader_column: str) -> None:
    """Check that a file has the columns of a format. Raises: WrongRows."""
    wrong = [
        RowMistake(
            1, "header", f"has no column {' or '.join(group)}: this is not {form.title}, or a column was left out"
        )
        for group in form.columns
        if not any(name in file.places for name in group)
    ]
    if not wrong and reader_column not in file.places:
        known = ", ".join(list(file.places)[:40])
        message = f"has no column {reader_column} with the reader's ID: name it with --reader-column. There are {known}"
        wrong.append(RowMistake(1, "header", message))
    if not wrong and file.rows and not file.ends_line:
        wrong += _find_cut_cell(file, form, reader_column)
    if wrong:
        raise WrongRows(wrong)


def _find_cut_cell(file: ExportFile, form: ExportFormat, reader_column: str) -> Iterator[RowMistake]:
    """Yield what is wrong where the last line has no end: a cut in the last column can leave a value that looks whole."""
    line, cells = file.rows[-1]
    ending = {name for name, place in file.places.items() if place == len(cells) - 1}
    if reader_column in ending or cells[-1].startswith(("cus_", "sub_")):
        yield RowMistake(line, "row", f"has no end of line, and ends with an ID; {_CUT_OR_END}")
    # Ghost's files end without a line end, and their last cells can be empty.
    elif not cells[-1] and form.name != "ghost" and any(ending.intersection(group) for group in form.columns):
        yield RowMistake(line, "row", f"has no end of line, and its last cell is empty; {_CUT_OR_END}")


def read_members(file: ExportFile, number: int, form: ExportFormat, context: ReadingContext) -> Iterator[ExportRow]:
    """Yield the rows of a file as members. Raises: WrongRows, for a cell that cannot be whole."""
    for line, cells in file.rows:
        try:
            member = form.read_row(Cells(file.places, cells), context)
        except ValueError as error:
            raise WrongRows([RowMistake(line, "row", f"{error}; {_CUT}")]) from None
        if member.end_rule == "unreadable" and line == file.rows[-1][0] and not file.ends_line:
            raise WrongRows([RowMistake(line, "row", f"has no end of line, and its end is no date; {_CUT_OR_END}")])
        yield ExportRow(number, line, member)
