"""Lists in pages, newest first: `?limit=` and `?after=`, and what an answer says of the next page.

`after` is opaque: the list's name and the place in it, in base64url. One that was made up, changed or is of another list
is refused.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import request

from service.domain import ids
from service.entrypoints.http.errors import invalid

MOST = 100
USUAL = 50

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page:
    """How many are wanted, behind which place (`None`: from the newest), and the list's own filters."""

    limit: int
    after: str | None
    filters: dict[str, str]


def asked(name: str, filters: Collection[str] = ()) -> Page:
    """The page that this request asks for, of the list `name`. `Problem` 422 with every parameter at fault."""
    wrong = [
        (field, "is not a parameter of this route")
        for field in request.args
        if field not in ("limit", "after") and field not in filters
    ]
    wrong += [
        (field, "is given more than once")
        for field, given in request.args.lists()
        if len(given) > 1 and field not in dict(wrong)
    ]
    limit, after = USUAL, None
    found: dict[str, str] = {}
    for field, value in request.args.items():
        try:
            if field == "limit":
                limit = read_limit(value)
            elif field == "after":
                after = place_in(value, name)
            elif field in filters:
                found[field] = ids.read_id(value)
        except ValueError as error:
            wrong.append((field, str(error)))
    if wrong:
        raise invalid(wrong)
    return Page(limit, after, found)


def read_limit(text: str) -> int:
    """A `limit`. `ValueError` with a sentence."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MOST):
        raise ValueError(f"must be a whole number from 1 to {MOST}")
    return int(text)


def cursor(name: str, place: str) -> str:
    """The `next` that leads behind this place of the list `name`."""
    return urlsafe_b64encode(f"{name}:{place}".encode()).rstrip(b"=").decode()


def place_in(text: str, name: str) -> str:
    """The place that a cursor of this list names. `ValueError` with a sentence."""
    try:
        plain = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode()
    except ValueError:
        plain = ""
    kind, _, place = plain.partition(":")
    if kind != name or not place or cursor(name, place) != text:
        raise ValueError("is not a `next` of this list")
    return place


def cut(name: str, found: Sequence[tuple[str, Item]], page: Page) -> tuple[list[Item], str | None]:
    """A page of a short list that is there as a whole, each item with its place; places sort descending.

    So a page goes on where it should, also when the item that `after` names is gone meanwhile.
    """
    left = [(place, item) for place, item in found if page.after is None or place < page.after]
    chosen = left[: page.limit]
    following = cursor(name, chosen[-1][0]) if len(left) > len(chosen) else None
    return [item for _, item in chosen], following


def listed(items: Sequence[Any], following: str | None) -> dict[str, Any]:
    """A page as the contract has it."""
    return {"items": list(items), "next": following}
