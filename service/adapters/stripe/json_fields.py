"""Reading Stripe's JSON, in which any field may be missing, null, of another type, an id or the object itself.

Nothing here raises: what cannot be read is unknown (`None`, or empty).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from service.domain.times import LAST_SECOND

Json = Mapping[str, Any]

LARGEST = 1 << 53
"""Beyond it a number is no longer exact in JSON; no time, amount or quantity comes near."""


def text(value: Any) -> str | None:
    """A text that is not empty and can be written down: half surrogates cannot."""
    if not isinstance(value, str) or not value:
        return None
    return value if value.isascii() or _is_unicode(value) else None


def ident(value: Any) -> str | None:
    """An id, whether the field holds it or the expanded object."""
    return text(value.get("id")) if isinstance(value, Mapping) else text(value)


def whole(value: Any) -> int | None:
    """A whole number: of a time, an amount, a quantity."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    return int(value) if -LARGEST < value < LARGEST else None


def moment(value: Any) -> int | None:
    """A time, in epoch seconds. Beyond the calendar's end it is that end; what lies before 1970 is none of Stripe's."""
    found = whole(value)
    return None if found is None or found < 0 else min(found, LAST_SECOND)


def fields(value: Any) -> Json:
    """An object's fields; empty where there is no object."""
    return value if isinstance(value, Mapping) else {}


def rows(value: Any) -> list[Json]:
    """The objects in a list, embedded (`{"object": "list", "data": […]}`) or plain."""
    found = fields(value).get("data", value)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list | tuple) else []


def cut_off(value: Any) -> bool:
    """Whether an embedded list goes on beyond what it holds."""
    return fields(value).get("has_more") is True


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
