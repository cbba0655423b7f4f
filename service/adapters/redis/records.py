"""What every class that keeps one kind of record shares."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from service.adapters.redis.client.store import Store

encode_json = msgspec.json.Encoder().encode
decode_list = msgspec.json.Decoder(list).decode
"""Stored records are compact JSON, most of them arrays."""


class StoreRecords:
    """The base of such classes: the link to the store with shorthands of it, and the names of the keys."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._call = store.link.call_key
        self._read_one = store.link.read_key
        self.keys = store.keys

    def _scan(self, key: bytes, count: int) -> Iterator[list[bytes]]:
        """Yield members and scores of a sorted set in turn, about `count` of them a page; a member can occur twice."""
        cursor = b"0"
        while True:
            cursor, row = self._read_one(b"ZSCAN", key, cursor, b"COUNT", b"%d" % count)
            yield row
            if cursor == b"0":
                return
