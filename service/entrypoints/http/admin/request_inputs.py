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
from service.entrypoints.http.admin.page_context import PageContext
from service.entrypoints.responses.fields import ReasonIn, ReasonMaybeIn, check, read_field
from service.entrypoints.responses.lists import ListKind
from service.entrypoints.responses.paging import Page

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


def requested_page(
    context: PageContext, kind: ListKind, limit: int = PAGE_SIZE, field: Callable[[str], str | None] = query_field
) -> Page:
    """Return the part of a list that the address, or a form, asks for; ignore other fields. Raises: `InvalidFields`."""
    given = {name: field(name) for name in (*kind.filters, "after")}
    if typed := given.get("ends_before"):
        given["ends_before"] = write_time(read_time(context, "ends_before", typed))
    return kind.read_page(given, limit)


def filters_in_address() -> dict[str, str]:
    """Return the address's parameters without the place in the list, for links to its other pages."""
    return {name: value for name, value in request.args.items() if name != "after" and value}


def read_expiry(context: PageContext) -> str | None:
    """Return the expiry that a form chose, as the API writes times; `None` for never. Raises: `InvalidFields`."""
    chosen = request.form.get("ends", "")
    if chosen == "never":
        return None
    if chosen == "date":
        typed = request.form.get("until", "").strip()
        if not typed:
            raise InvalidFields([("until", "choose the date on which it expires")])
        if ":" in typed:
            return write_time(read_time(context, "until", typed, request.form.get("zone")))
        try:
            return write_time(read_typed_time(typed, context.now, context.catalogue.zone, is_end=True))
        except ValueError as error:
            raise InvalidFields([("until", str(error))]) from None
    if chosen not in dict(EXPIRIES):
        raise InvalidFields([("until", "choose when it expires")])
    return write_time(context.now + int(chosen) * DAY)


def read_time(context: PageContext, field: str, typed: str | None, zone: str | None = None) -> float | None:
    """Return a typed moment in epoch seconds; `None` if it is empty.

    A date is its start at the site, and a span counts from now. A time without an offset is in the browser's `zone`, or in
    the site's if the browser names none.

    Raises:
        InvalidFields: names `field` if this is no moment.
    """
    text, site_zone = (typed or "").strip(), context.catalogue.zone
    if not text:
        return None
    with suppress(ValueError):
        return read_typed_time(text, context.now, site_zone, is_end=False)
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
