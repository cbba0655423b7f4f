"""One title's store: its client and the names of its keys, which every record class takes."""

from __future__ import annotations

from dataclasses import dataclass

from service.adapters.redis.client.keys import Keys
from service.adapters.redis.client.link import Link


@dataclass(frozen=True, slots=True)
class Store:
    """One title's store. Every record class takes it as its first parameter; nothing connects before the link starts."""

    link: Link
    keys: Keys
