"""Validate the bodies of the control routes by the classes that hold them."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from stripe_lookalike.errors import Json, invalid

S = TypeVar("S", bound=msgspec.Struct)


def read_as(kind: type[S], body: Json) -> S:
    """Return `body` as a `kind`. Raises: `ApiError` 400 for an unknown name or a wrong value."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None


def changed(before: S, changes: Json) -> S:
    """Return a copy with these changes. Raises: `ApiError` 400, as `read_as` does."""
    return read_as(type(before), {**msgspec.structs.asdict(before), **changes})
