"""How much of its memory a store uses.

In a store that is filling up, the meters of new visitors are no longer written: anyone can make up visitors, and the rest of
the memory is for grants, webhooks and the meters of readers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

FILLING_FROM = 0.8
"""The share of `maxmemory` from which a store is filling up."""

_FIGURES = re.compile(rb"^(used_memory|maxmemory):(\d+)\r?$", re.MULTILINE)


@dataclass(slots=True)
class MemoryUse:
    """Bytes that a server uses, and its `maxmemory`; 0 is no limit, or not known."""

    used: int = 0
    limit: int = 0
    share: float = field(init=False)
    """The used part of the limit; 0 without a limit."""
    is_filling: bool = field(init=False)
    """Whether new visitors' meters are no longer written."""

    def __post_init__(self) -> None:
        self.share = self.used / self.limit if self.limit else 0.0
        self.is_filling = self.share >= FILLING_FROM

    def filled(self) -> MemoryUse:
        """Return the use of a server that has refused a command for want of memory, until it is read again."""
        return MemoryUse(max(self.used, self.limit, 1), self.limit or 1)


NO_LIMIT = MemoryUse()


def memory_use(reply: Any) -> MemoryUse:
    """Return what INFO replied. A server that does not allow INFO has no known limit."""
    figures = {name: int(value) for name, value in _FIGURES.findall(reply)} if isinstance(reply, bytes) else {}
    return MemoryUse(figures.get(b"used_memory", 0), figures.get(b"maxmemory", 0))
