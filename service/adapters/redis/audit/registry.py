"""Hashes that there is one of (keys, approvals, …), changed a field at a time together with the audit entry.

All of them lie in one slot with the admins' own outbox, so that no change is without its record and no record without its
change. Two who change the same field at once: one of them finds that it is something else by now.
"""

from __future__ import annotations

from typing import Any

from service.adapters.redis.audit.audit import Audit
from service.adapters.redis.client.keys import ADMIN
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.readers import pairs_in

PUT = load("put_shared")


class Registry:
    """One such hash. Every method raises `StoreUnavailable` where the store is away."""

    def __init__(self, store: Store, audit: Audit, name: str) -> None:
        self._link = store.link
        self._key = store.keys.admin(name)
        self._outbox = store.keys.outbox(ADMIN)
        self._audit = audit

    def all(self) -> dict[str, bytes]:
        """Everything in it, by field."""
        reply = self._link.call(self._key, b"HGETALL", self._key)
        return {bytes(field).decode(): bytes(value) for field, value in pairs_in(reply)}

    def get(self, field: str) -> bytes | None:
        """One field's value."""
        found: bytes | None = self._link.call(self._key, b"HGET", self._key, field)
        return found

    def put(self, field: str, seen: bytes | None, value: bytes | None, written: dict[str, Any] | None) -> bool:
        """Puts a value where `seen` was (`None`: nothing), with its audit entry. False: it is something else by now."""
        if written is not None:
            self._audit.intend_at(ADMIN)
        entry = self._audit.packed(written) if written is not None else b""
        done = self._link.run(PUT, [self._key, self._outbox], [field, seen or b"", value or b"", entry])
        if done and written is not None:
            self._audit.settle_soon(ADMIN)
        return bool(done)
