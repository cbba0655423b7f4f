"""Find the IDs of all readers with records, to build the index anew.

Records hold the ID since the index exists. For older ones it is found where the store names readers besides: in the lists of
copies of Stripe's objects, in the index of grants by their end, in merges and in the audit log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress

import msgspec

from service.adapters.redis.client.keys import READER_TAG, reader_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.reader_index.reader_index import ReaderIndex
from service.adapters.redis.records import StoreRecords, decode_list

_PAGE = 500


class ReaderIdSearch(StoreRecords):
    """Finds readers. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, index: ReaderIndex) -> None:
        super().__init__(store)
        self._index = index

    def iterate_readers(self) -> Iterator[tuple[list[str], list[bytes]]]:
        """Yield the IDs of readers with records, and the hashes of those without an ID in them; one can occur twice."""
        for pattern in (self.keys.reader(b"*"), self.keys.past(b"*")):
            for page in self._link.scan_nodes(pattern):
                tags = {
                    tag for tag, rest in map(self.keys.split, page) if len(tag) == READER_TAG and rest in (b"", b"past")
                }
                found = self._index.find_ids(tags)
                yield (
                    [name for name in found.values() if name is not None],
                    [tag for tag, name in found.items() if name is None],
                )

    def name_readers(self, unnamed: Collection[bytes]) -> Iterator[str]:
        """Store the IDs of readers in their records, as far as the store names them elsewhere; yield them."""
        left = set(unnamed)
        for name in self._named_elsewhere():
            tag = reader_hash(name)
            if tag in left:
                left.discard(tag)
                self._index.name_readers({tag: name})
                yield name

    def count_unnamed(self, tags: Collection[bytes]) -> int:
        """Return how many of these readers hold a source and still have no ID in their records."""
        found = self._index.find_ids(set(tags))
        keys = [
            key for tag, name in found.items() if name is None for key in (self.keys.reader(tag), self.keys.past(tag))
        ]
        fields = iter(self._read_each(b"HKEYS", keys))
        return sum(
            any(field[1:2] == b":" for field in (*here, *past)) for here, past in zip(fields, fields, strict=True)
        )

    def _named_elsewhere(self) -> Iterator[str]:
        for page in self._link.scan_nodes(self.keys.shared("{s:*}h:*")):
            for members in self._read_each(b"ZRANGE", page, b"0", b"-1"):
                yield from (member[2:].decode() for member in members)
        for _, details in self._pairs(self.keys.grant_details):
            if (name := decode_list(details)[2]) is not None:
                yield name
        for field, heir in self._pairs(self.keys.merge_heirs):
            if not field.startswith(b">"):
                yield heir[READER_TAG:].decode()
        for _, record in self._pairs(self.keys.audit_log):
            with suppress(msgspec.DecodeError):  # `paywall audit verify` reports a record that is none.
                if (name := _decode_audit(record).reader) is not None:
                    yield name

    def _pairs(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        for row in self._link.scan_key(b"HSCAN", key, _PAGE):
            yield from zip(row[::2], row[1::2], strict=True)


class _AuditRecord(msgspec.Struct):
    reader: str | None = None


_decode_audit = msgspec.json.Decoder(_AuditRecord).decode
