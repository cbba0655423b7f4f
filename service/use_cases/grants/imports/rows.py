"""What a file of grants says, once it has been read (`csv_file`): the rows that are right, and the mistakes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Mistake(NamedTuple):
    """What is wrong with one field of one line."""

    line: int
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One row that is right. `tag` stands for the reader; nothing further needs the id."""

    line: int
    tag: bytes
    plan: str
    until: int | None
    reason: str


@dataclass
class Sheet:
    """The rows that are right, in order, and all that is wrong. `rows` counts both kinds of row."""

    entries: list[Entry] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    rows: int = 0
