"""What fan-outs write with readers, for many objects at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.scripts import ScriptCall
from service.adapters.redis.client.store import Store
from service.adapters.redis.reader_index.reader_index import ReaderIndex
from service.adapters.redis.readers.readers import (
    WRITE_CUSTOMER,
    Readers,
    WriteOutcome,
    tombstone_of,
    unpack_outcome,
    write_of,
)
from service.adapters.redis.records import StoreRecords
from service.domain.errors import StoreUnavailable
from service.domain.sources import Source


class CustomerRow(NamedTuple):
    """A reader who owns an object at this number, and its customer; `None`: they own it no longer, or it has none."""

    reader: str
    name: str
    number: int
    customer: str | None


class CopyRow(NamedTuple):
    """A copy for a reader, at this number; without a source a tombstone. `ended` copies go to the past record."""

    reader: str
    field: bytes
    number: int
    source: Source | None
    ended: bool


class BulkWrites(StoreRecords):
    """Writes to many readers in a few round trips. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, readers: Readers) -> None:
        super().__init__(store)
        self._readers = readers
        self._index = ReaderIndex(store)

    def write_customers(self, rows: Sequence[CustomerRow]) -> None:
        """Write rows in one round trip, each as `Readers.write_customer` does."""
        keys = [self.keys.customers(reader_hash(row.reader)) for row in rows]
        self._link.run_all(
            [
                ScriptCall(WRITE_CUSTOMER, (key,), (row.name, row.number, row.customer or ""))
                for key, row in zip(keys, rows, strict=True)
            ]
        )

    def write_copies(self, rows: Sequence[CopyRow], now: float, cause: str) -> list[WriteOutcome]:
        """Write copies, each as `Readers.write_source` or `write_tombstone` does by the rule `higher`.

        The listener is called afterwards only: what it does before a write is for grants, of which there are no copies.
        """
        writes = [
            tombstone_of(row.field, row.number, now, cause)
            if row.source is None
            else write_of(row.source, row.number, rule="higher", ended=row.ended, now=now, cause=cause)
            for row in rows
        ]
        readers = list(dict.fromkeys(row.reader for row in rows))
        announced = self._index.announce(*readers) if readers else 0
        replies = self._link.run_all(
            [self._readers.pack_write(row.reader, write) for row, write in zip(rows, writes, strict=True)]
        )
        with suppress(StoreUnavailable):  # The announcements then stay, and the readers are indexed all the same.
            self._index.mark_imported_ids(readers, announced)
        outcomes = [unpack_outcome(row.field, *reply) for row, reply in zip(rows, replies, strict=True)]
        for row, outcome in zip(rows, outcomes, strict=True):
            if row.source is not None and self._readers.listener is not None:
                self._readers.listener.after_write(row.reader, row.source, outcome, now)
        return outcomes
