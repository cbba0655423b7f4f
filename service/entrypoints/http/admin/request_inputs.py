"""Reads what a page's forms and addresses hold: fields, reader IDs, dates and times, and places in a list."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from flask import request

from service.domain import ids
from service.domain.catalogue import DAY
from service.domain.errors import InvalidFields
from service.domain.times import write_time
from service.domain.typed_times import read_typed_time
from service.entrypoints.responses.fields import ReasonIn, ReasonMaybeIn, check, read_field
from service.entrypoints.responses.lists import ListKind
from service.entrypoints.responses.paging import Page, read_page

EXPIRIES = (
    ("7", "in 7 days"),
    ("30", "in 30 days"),
    ("90", "in 90 days"),
    ("365", "in 1 year"),
    ("date", "on a date…"),
    ("never", "never"),
)
"""The choices of a form for when something expires: days from now, a date, or never."""

PAGE_SIZE = 25
"""Entries of a list on one page."""


def form_field(name: str) -> str | None:
    """Return a form field without surrounding blanks; `None` if it is empty."""
    return request.form.get(name, "").strip() or None


def query_field(name: str) -> str | None:
    """Return a field of the address without surrounding blanks; `None` if it is empty."""
    return request.args.get(name, "").strip() or None


def submitted_fields() -> dict[str, Any]:
    """Return the fields of the form that was sent, to fill it in again; without its tokens."""
    return {name: value for name, value in request.form.items() if name not in ("token", "once")}


def optional_reason() -> str | None:
    """Return the reason in a form that asks for one. Raises: `InvalidFields`."""
    reason: str | None = check(ReasonMaybeIn, {"reason": form_field("reason")}).get("reason")
    return reason


def required_reason() -> str:
    """Return the reason in a form. Raises: `InvalidFields`."""
    reason: str = check(ReasonIn, {"reason": request.form.get("reason", "")})["reason"]
    return reason


def require_confirmation(consequence: str) -> None:
    """Refuse a form whose box is not ticked. Raises: `InvalidFields`."""
    if form_field("sure") is None:
        raise InvalidFields([("sure", f"tick the box to confirm; {consequence}")])


def checked_id(value: str | None, field: str, read: Callable[[object], str] = ids.read_id) -> str:
    """Return an ID as it was typed or linked. Raises: `InvalidFields` that names `field`."""
    return read_field(field, read, (value or "").strip())


def reader_id(value: str | None, field: str = "reader") -> str:
    """Return a reader's ID as it was typed or linked. Raises: `InvalidFields` that names `field`."""
    return checked_id(value, field, ids.read_reader)


def requested_page(kind: ListKind, limit: int = PAGE_SIZE) -> Page:
    """Return the part of a list that the address asks for; ignore other parameters. Raises: `InvalidFields`."""
    return read_page(
        kind.name, {name: query_field(name) for name in (*kind.filters, "after")}, kind.filters, usual=limit
    )


def filters_in_address() -> dict[str, str]:
    """Return the address's parameters without the place in the list, for links to its other pages."""
    return {name: value for name, value in request.args.items() if name != "after" and value}


def read_expiry(now: float, site_zone: tzinfo) -> str | None:
    """Return the expiry that a form chose, as the API writes times; `None` for never. Raises: `InvalidFields`."""
    chosen = request.form.get("ends", "")
    if chosen == "never":
        return None
    if chosen == "date":
        typed = request.form.get("until", "").strip()
        if not typed:
            raise InvalidFields([("until", "choose the date on which it expires")])
        if ":" in typed:
            return write_time(read_time(typed, request.form.get("zone"), site_zone, "until", now))
        try:
            return write_time(read_typed_time(typed, now, site_zone, is_end=True))
        except ValueError as error:
            raise InvalidFields([("until", str(error))]) from None
    if chosen not in dict(EXPIRIES):
        raise InvalidFields([("until", "choose when it expires")])
    return write_time(now + int(chosen) * DAY)


def read_time(typed: str | None, zone: str | None, site_zone: tzinfo, field: str, now: float) -> float | None:
    """Return a typed moment in epoch seconds; `None` if it is empty.

    A date is its start at the site, and a span counts from now. A time without an offset is in the browser's `zone`, or in
    the site's if the browser names none.

    Raises:
        InvalidFields: names `field` if this is no moment.
    """
    text = (typed or "").strip()
    if not text:
        return None
    with suppress(ValueError):
        return read_typed_time(text, now, site_zone, is_end=False)
    try:
        found = datetime.fromisoformat(text)
        aware = found if found.tzinfo is not None else found.replace(tzinfo=_find_zone(zone, site_zone))
        return aware.astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        message = "must be a date, a span (30d), or a date and a time, like 2026-11-20 09:00"
        raise InvalidFields([(field, message)]) from None


def _find_zone(name: str | None, site_zone: tzinfo) -> tzinfo:
    try:
        return ZoneInfo(name) if name else site_zone
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return site_zone
