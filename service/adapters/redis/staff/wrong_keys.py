"""Wrong keys by address, within a minute, over all workers; within this process alone while the store is away."""

from __future__ import annotations

import time
from hashlib import blake2b

from service.adapters.redis.client.store import Store
from service.domain.errors import StoreUnavailable

WINDOW = 60
_MOST = 10_000


class WrongKeys:
    """Counts them."""

    def __init__(self, store: Store, *, enough: int = 1 << 31) -> None:
        """From `enough` on no more are counted in the store: the answer is the same, and costs it nothing."""
        self._enough = enough
        self._link = store.link
        self._keys = store.keys
        self._own: dict[str, tuple[float, int]] = {}

    def count(self, address: str) -> int:
        """One more of this address: how many there were within the minute."""
        begun, count = self._own.get(address, (0.0, 0))
        if time.monotonic() - begun >= WINDOW:
            begun, count = time.monotonic(), 0
        if len(self._own) >= _MOST:
            self._own.clear()
        self._own[address] = (begun, count + 1)
        if count + 1 >= self._enough:
            return count + 1
        key = self._keys.shared("wrong:" + blake2b(address.encode(), digest_size=16).hexdigest())
        try:
            # The time limit comes first and with the key, so that no crash leaves an address locked out for good.
            begin = (b"SET", key, b"0", b"EX", WINDOW, b"NX")
            shared = int(self._link.pipeline([(key, begin), (key, (b"INCR", key))])[1])
        except StoreUnavailable:
            return count + 1
        return max(shared, count + 1)
