"""Whose Stripe objects are whose, written for many readers at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.scripts import ScriptCall
from service.adapters.redis.readers.readers import WRITE_CUSTOMER
from service.adapters.redis.records import StoreRecords


class CustomerRow(NamedTuple):
    """A reader who owns an object at this number, and its customer; `None`: they own it no longer, or it has none."""

    reader: str
    name: str
    number: int
    customer: str | None


class CustomerRows(StoreRecords):
    """Writes such rows. Raises: StoreUnavailable."""

    def write_all(self, rows: Sequence[CustomerRow]) -> None:
        """Write rows in one round trip, each as `Readers.write_customer` does."""
        keys = [self.keys.customers(reader_hash(row.reader)) for row in rows]
        self._link.run_all(
            [
                ScriptCall(WRITE_CUSTOMER, (key,), (row.name, row.number, row.customer or ""))
                for key, row in zip(keys, rows, strict=True)
            ]
        )
