"""Idempotency keys: a repeated admin POST gets the first answer, from any worker, for 24 hours.

The first answer is stored sealed, because it can name a reader. While the first request is in progress, a second one waits.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from service.adapters.crypto import Sealer
from service.adapters.redis.client.store import Store
from service.adapters.redis.records import StoreRecords

KEPT = 86_400
AT_WORK = 6
"""Seconds after which a request without an answer or a renewal counts as dead."""
_AT_WORK = ":at_work"


@dataclass(frozen=True, slots=True)
class FirstRequest:
    """What is known of the first request with a key.

    `new`, `at_work`, `other` (a different body), or `done` with its answer.
    """

    state: Literal["new", "at_work", "other", "done"]
    status: int = 0
    body: bytes = b""
    token: str = ""


class IdempotencyStore(StoreRecords):
    """Stores answers by caller, route and key. Raises: StoreUnavailable from every method.

    A key holds a hash of the body, a token, and in the end the sealed answer; a second key marks the request in progress.
    Whoever finds a key without an answer and no request in progress continues with the first one's token, so nothing is
    done twice.
    """

    def __init__(self, store: Store, sealer: Callable[[], Sealer], at_work: int) -> None:
        super().__init__(store)
        self._sealer = sealer
        self.at_work = at_work

    def _key(self, scope: str, suffix: str = "") -> bytes:
        return self.keys.shared(f"idem:{blake2b(scope.encode(), digest_size=16).hexdigest()}{suffix}")

    def claim(self, scope: str, body: bytes, token: str) -> FirstRequest:
        """Claim the key for this body, with this token if the key is new, and return what became of the first request."""
        key, mine = self._key(scope), _mark(body)
        ours = self._call(b"SET", self._key(scope, _AT_WORK), b"1", b"NX", b"EX", self.at_work)
        self._call(b"SET", key, f"{mine} {token}", b"NX", b"EX", KEPT)
        kept = (self._call(b"GET", key) or b"").decode()
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
        sealed = self._sealer().seal(json.dumps([status, answer.decode()]).encode())
        self._call(b"SET", self._key(scope), f"{_mark(body)} {token} {sealed}", b"EX", KEPT)
        self.abandon(scope)

    def renew(self, scope: str) -> None:
        """Extend the mark of a request in progress; without one, do nothing."""
        self._call(b"SET", self._key(scope, _AT_WORK), b"1", b"XX", b"EX", self.at_work)

    def abandon(self, scope: str) -> None:
        """Remove the mark of a request whose result is unknown: the next request with this key continues."""
        self._call(b"DEL", self._key(scope, _AT_WORK))

    def release(self, scope: str) -> None:
        """Delete the key: the request was refused, and may be sent again with another body."""
        self._call(b"DEL", self._key(scope))
        self.abandon(scope)


def _mark(body: bytes) -> str:
    return blake2b(body, digest_size=16).hexdigest()
