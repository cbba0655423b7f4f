"""Read the readers of an import as they are stored: under the ID that stays after merges, with their sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.readers.readers import StoredSource, merged_into, stored_sources
from service.adapters.redis.records import StoreRecords


class ImportedReader(NamedTuple):
    """The hash after merges, the ID of the reader whom this one was merged into, and the sources in the hot record."""

    tag: bytes
    heir: str | None
    sources: list[StoredSource]


class ImportedReaders(StoreRecords):
    """Reads many readers in one round trip. Raises: StoreUnavailable."""

    def load(self, tags: Sequence[bytes]) -> list[ImportedReader]:
        """Return the reader of each hash, after merges."""
        replies = self._read_each(b"HGETALL", [self.keys.reader(tag) for tag in tags])
        return [self._follow_merge(tag, reply) for tag, reply in zip(tags, replies, strict=True)]

    def _follow_merge(self, tag: bytes, reply: Any) -> ImportedReader:
        heir = merged_into(reply) if reply else None
        if heir is None:
            return ImportedReader(tag, None, stored_sources(reply))
        return self.load([reader_hash(heir)])[0]._replace(heir=heir)
