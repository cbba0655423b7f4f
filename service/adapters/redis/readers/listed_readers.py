"""What the lists of readers and grants show, read for a page of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.link import Command
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.readers import Readers, customer_ids, unpack_change
from service.adapters.redis.records import StoreRecords
from service.domain.sources import Source


@dataclass(frozen=True, slots=True)
class ReaderDetails:
    """What a list shows of a reader; `changed_at` is the last change in their history (epoch seconds)."""

    sources: list[Source]
    customers: list[str]
    changed_at: int | None


class ListedReaders(StoreRecords):
    """Reads the records of listed readers. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, readers: Readers) -> None:
        super().__init__(store)
        self._readers = readers

    def load_details(self, readers: Sequence[str]) -> list[ReaderDetails]:
        """Return what a list shows of each of these readers; no sources of one who was merged into another."""
        tags = [reader_hash(reader) for reader in readers]
        customers = [self.keys.customers(tag) for tag in tags]
        histories = [self.keys.history(tag) for tag in tags]
        commands: list[Command] = [(key, (b"HVALS", key)) for key in customers]
        commands += [(key, (b"LINDEX", key, b"-1")) for key in histories]
        replies = self._link.read(commands)
        last = [unpack_change(entry).at if entry else None for entry in replies[len(tags) :]]
        owned = map(customer_ids, replies[: len(tags)])
        return [ReaderDetails(*parts) for parts in zip(self._readers.load_many(readers), owned, last, strict=True)]
