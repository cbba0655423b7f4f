"""Idempotency keys: a repeated admin POST gets the first answer, whoever answers it, for 24 hours.

The first answer is kept sealed, since it may name a reader. While the first request is at work a second one waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from service.adapters.crypto import Sealer
from service.adapters.redis.client.store import Store

KEPT = 86_400
AT_WORK = 6
"""Seconds after which a request that left no answer and is not renewed counts as dead; it may have died unheard."""


@dataclass(frozen=True, slots=True)
class FirstRequest:
    """What is known of the first request with a key: no answer yet, still at work, other words, or its answer."""

    state: Literal["new", "at_work", "other", "done"]
    status: int = 0
    body: bytes = b""
    token: str = ""


class IdempotencyStore:
    """Remembers answers by caller, route and key.

    A key holds what was sent, a token, and in the end the sealed answer; beside it lies who is at work. Whoever finds a
    key without an answer and nobody at work carries on with the first one's token: what is named by it is not done twice.
    """

    def __init__(self, store: Store, sealer: Callable[[], Sealer], at_work: int) -> None:
        self._link = store.link
        self._keys = store.keys
        self._sealer = sealer
        self.at_work = at_work

    def _names(self, scope: str) -> tuple[bytes, bytes]:
        name = "idem:" + blake2b(scope.encode(), digest_size=16).hexdigest()
        return self._keys.shared(name), self._keys.shared(name + ":at_work")

    def claim(self, scope: str, body: bytes, token: str) -> FirstRequest:
        """Takes the key for this body, with this token if it is new, or tells what the first request with it came to."""
        (key, working), mine = self._names(scope), _mark(body)
        ours = self._link.call(working, b"SET", working, b"1", b"NX", b"EX", self.at_work)
        self._link.call(key, b"SET", key, f"{mine} {token}", b"NX", b"EX", KEPT)
        kept = bytes(self._link.call(key, b"GET", key) or b"").decode()
        first = self._first(kept, mine)
        if ours and first.state != "new":
            self.abandon(scope)
        return first if ours or first.state != "new" else FirstRequest("at_work")

    def _first(self, kept: str, mine: str) -> FirstRequest:
        theirs, _, rest = kept.partition(" ")
        token, _, sealed = rest.partition(" ")
        if theirs != mine:
            return FirstRequest("other" if kept else "at_work")
        if not sealed:
            return FirstRequest("new", token=token)
        opened = self._sealer().open(sealed)
        if opened is None:
            return FirstRequest("other")
        status, answer = json.loads(opened)
        return FirstRequest("done", status, answer.encode(), token)

    def save_answer(self, scope: str, body: bytes, token: str, status: int, answer: bytes) -> None:
        """Keeps the first answer."""
        key, _ = self._names(scope)
        sealed = self._sealer().seal(json.dumps([status, answer.decode()]).encode())
        self._link.call(key, b"SET", key, f"{_mark(body)} {token} {sealed}", b"EX", KEPT)
        self.abandon(scope)

    def renew(self, scope: str) -> None:
        """Whoever is at work still is. Nothing where nobody is."""
        _, working = self._names(scope)
        self._link.call(working, b"SET", working, b"1", b"XX", b"EX", self.at_work)

    def abandon(self, scope: str) -> None:
        """Nobody is at work any more, and what came of it is not known: the next with this key carries on."""
        _, working = self._names(scope)
        self._link.call(working, b"DEL", working)

    def release(self, scope: str) -> None:
        """Gives the key back: the request was refused, and may be sent again in other words."""
        key, _ = self._names(scope)
        self._link.call(key, b"DEL", key)
        self.abandon(scope)


def _mark(body: bytes) -> str:
    return blake2b(body, digest_size=16).hexdigest()
