"""Idempotency keys: a repeated admin POST gets the first answer, whoever answers it, for 24 hours.

The first answer is kept sealed, since it may name a reader. While the first request is at work a second one waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from service.sealing import Sealer
from service.store.keys import Keys
from service.store.link import Link

KEPT = 86_400
AT_WORK = 30
"""Seconds after which a request that left no answer counts as dead."""


@dataclass(frozen=True, slots=True)
class First:
    """What is known of the first request with a key: nothing yet, still at work, other words, or its answer."""

    state: Literal["new", "at_work", "other", "done"]
    status: int = 0
    body: bytes = b""


class Idempotency:
    """Remembers answers by caller, route and key."""

    def __init__(self, link: Link, keys: Keys, sealer: Callable[[], Sealer]) -> None:
        self._link = link
        self._keys = keys
        self._sealer = sealer

    def _key(self, scope: str) -> bytes:
        return self._keys.shared("idem:" + blake2b(scope.encode(), digest_size=16).hexdigest())

    def claim(self, scope: str, body: bytes) -> First:
        """Takes the key for this body, or tells what the first request with it came to."""
        key, mine = self._key(scope), blake2b(body, digest_size=16).hexdigest()
        if self._link.call(key, b"SET", key, mine, b"NX", b"EX", AT_WORK):
            return First("new")
        kept = self._link.call(key, b"GET", key)
        if kept is None:
            return First("at_work")
        theirs, _, sealed = bytes(kept).decode().partition(" ")
        if theirs != mine:
            return First("other")
        if not sealed:
            return First("at_work")
        opened = self._sealer().open(sealed)
        if opened is None:
            return First("other")
        status, answer = json.loads(opened)
        return First("done", status, answer.encode())

    def keep(self, scope: str, body: bytes, status: int, answer: bytes) -> None:
        """Keeps the first answer."""
        key, mine = self._key(scope), blake2b(body, digest_size=16).hexdigest()
        sealed = self._sealer().seal(json.dumps([status, answer.decode()]).encode())
        self._link.call(key, b"SET", key, f"{mine} {sealed}", b"EX", KEPT)

    def release(self, scope: str) -> None:
        """Gives the key back: the request was refused, and may be sent again in other words."""
        key = self._key(scope)
        self._link.call(key, b"DEL", key)
