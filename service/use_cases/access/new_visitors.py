"""Decide which visitors get a meter: none while the store is filling up, and few of one address in a minute.

Anyone can make up visitors, and each one that is counted takes about 110 bytes of the store until its window ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from service.adapters.redis.client.link import Link
from service.domain.meter import VisitorRefusal

MINUTE = 60.0
MOST_ADDRESSES = 20_000
"""The most addresses counted at a time, in about 3 MB; a new one after them begins the minute anew."""


class NewVisitors:
    """Admits visitors who have no meter yet. One a process; threads share it.

    `per_minute` is the most new visitors of one address in a minute, in this process; `None` is no limit.
    `on_refused` is called for each visitor who is refused.
    """

    def __init__(
        self, link: Link, per_minute: int | None = None, on_refused: Callable[[VisitorRefusal], None] | None = None
    ) -> None:
        self._link = link
        self._per_minute = per_minute
        self._on_refused = on_refused
        self._lock = threading.Lock()
        self._since = 0.0
        self._admitted: dict[str, int] = {}

    def admits_all(self, key: bytes) -> bool:
        """Return whether any visitor can be counted, so that the meter with this key need not be looked at first."""
        return self._per_minute is None and not self._link.memory_at(key).is_filling

    def refusal(self, key: bytes, address: str | None, now: float, *, count: bool) -> VisitorRefusal | None:
        """Return why the visitor whose meter has this key cannot be counted now; `None` if they can.

        With `count`, the visitor is about to be counted, and uses up one of the address.
        """
        refused: VisitorRefusal | None = None
        if self._link.memory_at(key).is_filling:
            refused = "store_memory"
        elif self._per_minute is not None and not self._admits(_network(address), self._per_minute, now, count=count):
            refused = "address_limit"
        if refused is not None and count and self._on_refused is not None:
            self._on_refused(refused)
        return refused

    def _admits(self, network: str | None, limit: int, now: float, *, count: bool) -> bool:
        if network is None:
            return True
        with self._lock:
            if not 0 <= now - self._since < MINUTE:
                self._since, self._admitted = now, {}
            used = self._admitted.get(network, 0)
            if count and used < limit:
                if len(self._admitted) >= MOST_ADDRESSES:
                    self._admitted = {}
                self._admitted[network] = used + 1
        return used < limit


def _network(address: str | None) -> str | None:
    """Return what one subscriber of a network provider has: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or int(parsed) >> 64)
    return str(parsed)
