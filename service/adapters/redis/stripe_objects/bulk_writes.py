"""What fan-outs write with readers, for many objects at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.scripts import ScriptCall
from service.adapters.redis.client.store import Store
from service.adapters.redis.reader_index.reader_index import ReaderIndex
from service.adapters.redis.readers.readers import WRITE_CUSTOMER, Readers, RecordWrite, WriteOutcome
from service.adapters.redis.records import StoreRecords
from service.domain.errors import StoreUnavailable


class CustomerRow(NamedTuple):
    """A reader who owns an object at this number, and its customer; `None`: they own it no longer, or it has none."""

    reader: str
    name: str
    number: int
    customer: str | None


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

    def write_copies(self, copies: Sequence[tuple[str, RecordWrite]]) -> list[WriteOutcome]:
        """Write copies of readers, each as `Readers.write` does.

        The listener is called afterwards only: what it does before a write is for grants, of which there are no copies.
        """
        readers = list(dict.fromkeys(reader for reader, _ in copies))
        announced = self._index.announce(*readers) if readers else 0
        replies = self._link.run_all([self._readers.pack_write(*copy) for copy in copies])
        with suppress(StoreUnavailable):  # The announcements then stay, and the readers are indexed all the same.
            self._index.mark_imported_ids(readers, announced)
        return [self._readers.finish_write(*copy, *reply) for copy, reply in zip(copies, replies, strict=True)]
