"""How full the store's memory is."""

from __future__ import annotations

from service.adapters.redis.client.store import Store


def used_share(store: Store) -> float:
    """Return the share of its `maxmemory` that the fullest master uses; 0 without a limit. Raises: StoreUnavailable."""
    shares = [0.0]
    for _, reply in store.link.each_master(b"INFO", b"memory"):
        found = dict(line.split(":", 1) for line in bytes(reply).decode().split("\r\n") if ":" in line)
        if limit := int(found.get("maxmemory", 0)):
            shares.append(int(found["used_memory"]) / limit)
    return max(shares)
