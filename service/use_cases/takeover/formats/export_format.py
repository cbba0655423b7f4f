"""What the formats have in common: a row as an `ExportedMember`, cells by column, times, and IDs of Stripe."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal

from service.domain.times import day_begins

EndRule = Literal["complimentary", "gift", "recurring", "unreadable"]
"""Why an export does not hold an end. `[ends]` of `takeover.toml` can set it, except for a cell that is unreadable."""

Carrier = Literal["stripe", "grant", "either"]
"""What carries a member's access over: their subscription at Stripe, a grant, or a grant where Stripe has none running."""


@dataclass(frozen=True, slots=True)
class ExportedMember:
    """One row of an export. `until` is the end of what the member has paid, in epoch seconds; `None` for no end."""

    reader: str
    access: bool
    """Whether the other system gives access now, if the level is not a free one."""
    levels: tuple[str, ...]
    carrier: Carrier
    customer: str | None = None
    subscription: str | None = None
    until: int | None = None
    end_rule: EndRule | None = None
    is_price: bool = False
    """Whether the level is a price of Stripe, which `paywall.toml` can map by itself; `product` is the price's."""
    product: str | None = None
    quantity: int = 1
    """Of a subscription at Stripe: how many seats a group has paid."""
    only_subscription: bool = False
    """Whether the customer belongs to another reader: to the payer of a gift."""


@dataclass(frozen=True, slots=True)
class ReadingContext:
    """What a row is read with: the moment, the site's timezone, the column of the reader's ID and the known levels."""

    now: float
    zone: tzinfo
    reader_column: str
    known_levels: frozenset[str] = frozenset()


class Cells:
    """The cells of a row by column. A column that the file lacks is empty; of two with one name the first counts."""

    def __init__(self, places: Mapping[str, int], cells: Sequence[str]) -> None:
        self._places = places
        self._cells = cells

    def __getitem__(self, column: str) -> str:
        place = self._places.get(column)
        return "" if place is None else clean_cell(self._cells[place])

    def __contains__(self, column: str) -> bool:
        return column in self._places


ReadRow = Callable[[Cells, ReadingContext], ExportedMember]


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format: `columns` must be there, of a group at least one. `read_row` raises ValueError for a cell that is cut."""

    name: str
    title: str
    reader_column: str
    columns: tuple[tuple[str, ...], ...]
    read_row: ReadRow


_FORMULA = re.compile(r'="(.*)"', re.DOTALL)
_ESCAPED = re.compile(r"'(?=[=+\-@\t\r])")


def clean_cell(text: str) -> str:
    """Return the value of a cell, without what protects it from a spreadsheet: `="0123"` is 0123, `'-5` is -5."""
    text = text.strip()
    if text[:1] == "=" and (found := _FORMULA.fullmatch(text)):
        return found[1].replace('""', '"').strip()
    return text[1:].strip() if _ESCAPED.match(text) else text


_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2})?)(?:\.\d+)?(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII)
_NO_MOMENT = re.compile(r"[^0-9]*|0|0000-00-00.*", re.DOTALL)


def read_moment(text: str, zone: tzinfo) -> int | None:
    """Return a moment in epoch seconds, `None` where there is none: empty, 0, 0000-00-00, or a word in any language.

    A time without a zone is in `zone`; a date means the end of that day. Raises: ValueError if it is unreadable.
    """
    if _NO_MOMENT.fullmatch(text):
        return None
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError("is no date like 2027-01-31 and no time like 2027-01-31 23:59:59")
    day, clock, offset = found.groups()
    if clock is None:
        return day_begins(zone, date.fromisoformat(day) + timedelta(days=1))
    moment = datetime.fromisoformat(f"{day}T{clock}{offset or ''}")
    return int((moment if offset else moment.replace(tzinfo=zone)).timestamp())


def read_end(text: str, zone: tzinfo) -> tuple[int | None, EndRule | None]:
    """Return an end, and the rule `unreadable` where the cell is neither a time nor empty."""
    try:
        return read_moment(text, zone), None
    except (ValueError, OverflowError):
        return None, "unreadable"


_CUSTOMER = re.compile(r"cus_[A-Za-z0-9_]+", re.ASCII)
_SUBSCRIPTION = re.compile(r"sub_[A-Za-z0-9_]+", re.ASCII)


def customer_id(text: str) -> str | None:
    """Return the ID of a customer at Stripe; `None` for anything else, such as PayPal's `I-…`."""
    return text if _CUSTOMER.fullmatch(text) else None


def subscription_id(text: str) -> str | None:
    """Return the ID of a subscription at Stripe; `None` for anything else."""
    return text if _SUBSCRIPTION.fullmatch(text) else None
