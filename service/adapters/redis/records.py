"""What every class that keeps one kind of record shares."""

from __future__ import annotations

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
        self._read_each = store.link.read_each
        self.keys = store.keys
