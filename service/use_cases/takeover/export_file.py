"""Read the file of an export as it really comes: with a byte order mark, semicolons, quoted newlines, columns in any order.

What is cut or damaged is refused whole. Lines are numbered as in an editor: the header is line 1, and a row that spans
lines has the number of its first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.domain.errors import WrongRows
from service.use_cases.imports.csv_file import RowMistake, read_rows
from service.use_cases.takeover.formats.export_format import Cells, ExportedMember, ExportFormat, ReadingContext

_CUT = "the file may be cut: export it again"


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A row of an export: which file (from 0) and line it is from, and the member."""

    file: int
    line: int
    member: ExportedMember


def read_export(body: bytes, number: int, form: ExportFormat, context: ReadingContext) -> list[ExportRow]:
    """Return the members of the file with this number. Raises: WrongRows.

    Only members are kept: the cells of thousands of columns would take a hundred times their memory.
    """
    mistakes: list[RowMistake] = []
    lines = read_rows(body, mistakes)
    header = last = next(lines, (1, []))[1]
    _refuse(mistakes)
    places = _find_columns(header, form, context.reader_column)
    found: list[ExportRow] = []
    for line, cells in lines:
        if len(cells) != len(header):
            message = f"has {len(cells)} columns, and the header has {len(header)}"
            is_last = next(lines, None) is None
            _refuse([RowMistake(line, "row", f"{message}; {_CUT}" if is_last else message)])
        try:
            found.append(ExportRow(number, line, form.read_row(Cells(places, cells), context)))
        except ValueError as error:
            _refuse([RowMistake(line, "row", f"{error}; {_CUT}")])
        last = cells
    _refuse(
        [one._replace(message=f"{one.message}; {_CUT}") if "unexpected end" in one.message else one for one in mistakes]
    )
    if found and not body.endswith((b"\n", b"\r")):
        _refuse_cut(found[-1], last, places, form, context)
    return found


def _refuse(mistakes: Sequence[RowMistake]) -> None:
    if mistakes:
        raise WrongRows(mistakes)


def _find_columns(header: Sequence[str], form: ExportFormat, reader_column: str) -> dict[str, int]:
    """Return the place of each column. Raises: WrongRows, if one that the format needs is missing."""
    if not header:
        _refuse([RowMistake(1, "header", f"is missing; {_CUT}")])
    places: dict[str, int] = {}
    for place, name in enumerate(header):
        places.setdefault(name.strip(), place)
    _refuse(
        [
            RowMistake(
                1, "header", f"has no column {' or '.join(group)}: this is not {form.title}, or a column was left out"
            )
            for group in form.columns
            if not any(name in places for name in group)
        ]
    )
    if reader_column not in places:
        known = ", ".join(list(places)[:40])
        message = f"has no column {reader_column} with the reader's ID: name it with --reader-column. There are {known}"
        _refuse([RowMistake(1, "header", message)])
    return places


def _refuse_cut(
    row: ExportRow, cells: Sequence[str], places: Mapping[str, int], form: ExportFormat, context: ReadingContext
) -> None:
    """Refuse a last row without an end of line that may be cut within a cell that looks whole. Raises: WrongRows."""
    ending = {name for name, place in places.items() if place == len(cells) - 1}
    wrong = None
    if context.reader_column in ending or cells[-1].startswith(("cus_", "sub_")):
        wrong = "ends with an ID"
    elif row.member.end_rule == "unreadable":
        wrong = "its end is no date"
    # Ghost's files end without a line end, and their last cells can be empty.
    elif not cells[-1] and form.name != "ghost" and any(ending.intersection(group) for group in form.columns):
        wrong = "its last cell is empty"
    if wrong:
        _refuse([RowMistake(row.line, "row", f"has no end of line, and {wrong}; {_CUT}, or add an end of line")])
