"""A cache by the bytes of records, bounded by their size: one reader's record can be a thousand times another's."""

from __future__ import annotations

from typing import TypeVar

Value = TypeVar("Value")

MOST_BYTES = 16 * 2**20
_PART_BYTES = (
    300  # what Python takes for a part of a record and for its share of the value, besides the bytes themselves
)


class RecordCache(dict[tuple[bytes, ...], Value]):
    """Values by record. When a new one exceeds `most_bytes`, the cache begins anew. Thread-safe: entries are only replaced."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0

    def add(self, record: tuple[bytes, ...], value: Value) -> None:
        """Keep the value of a record."""
        size = sum(map(len, record)) + _PART_BYTES * len(record)
        if self._bytes + size > self._most_bytes:
            self.clear()
            self._bytes = 0
        self[record] = value
        self._bytes += size
