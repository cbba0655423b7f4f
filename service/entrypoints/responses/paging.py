"""Lists in pages, newest first: `limit`, `after` and filters, and the `next` of an answer.

`after` is opaque: the list's name and the place in it, in base64url. One that is invented, changed or of another list
is refused.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

MOST = 100
USUAL = 50
FOREIGN_CURSOR = ("after", "is not a `next` of this list")

Item = TypeVar("Item")


class ListFilter(NamedTuple):
    """A parameter that filters a list: its description, what reads its value, and its schema in `/openapi.json`."""

    description: str
    read: Callable[[str], Any]
    """`ValueError` says what is wrong with a value."""
    schema: Mapping[str, Any] = MappingProxyType({"type": "string"})


@dataclass(frozen=True, slots=True)
class Page:
    """How many items are wanted, behind which place (`None`: from the newest), and the list's own filters."""

    limit: int = USUAL
    after: str | None = None
    filters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listing:
    """The items of a page as JSON, and the cursor of the next page, if there is one."""

    items: list[dict[str, Any]]
    next: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the page as the contract has it."""
        return {"items": self.items, "next": self.next}


def read_limit(text: str) -> int:
    """Return a `limit`. Raises: `ValueError`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MOST):
        raise ValueError(f"must be a whole number from 1 to {MOST}")
    return int(text)


def cursor(name: str, place: str | int | None) -> str | None:
    """Return the `next` that leads behind this place of the list `name`; `None` for no place."""
    return None if place is None else urlsafe_b64encode(f"{name}:{place}".encode()).rstrip(b"=").decode()


def place_in(text: str, name: str) -> str:
    """Return the place that an `after` of the list `name` stands for. Raises: `ValueError`."""
    try:
        plain = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode()
    except ValueError:
        plain = ""
    kind, _, place = plain.partition(":")
    if kind != name or not place or cursor(name, place) != text:
        raise ValueError(FOREIGN_CURSOR[1])
    return place


def cut(found: Sequence[tuple[str, Item]], page: Page) -> tuple[list[Item], str | None]:
    """Return a page of a short list, and the place behind which the next begins. Items have places, and descend by them.

    So a page continues at the right place even when the item that `after` names no longer exists.
    """
    left = [(place, item) for place, item in found if page.after is None or place < page.after]
    chosen = left[: page.limit]
    return [item for _, item in chosen], chosen[-1][0] if len(left) > len(chosen) else None
