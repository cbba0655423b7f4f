"""Split a sequence into batches. From Python 3.12 on, `itertools.batched` does the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield the items in their order, `size` at a time; the last batch can be smaller."""
    return (items[start : start + size] for start in range(0, len(items), size))
