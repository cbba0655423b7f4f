"""Fixtures: an app, a played Stripe, and every byte that the store holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from service.adapters.redis.client.link import Link
from tests.admin_app import Admins

READS = {"string": ("GET",), "list": ("LRANGE", 0, -1), "set": ("SMEMBERS",), "hash": ("HGETALL",)}


def everything(link: Link) -> dict[bytes, bytes]:
    """Return every key with its content."""
    found: dict[bytes, bytes] = {}
    for page in link.scan_nodes(b"*"):
        for key in page:
            kind = link.call(key, b"TYPE", key).decode()
            command = ("ZRANGE", 0, -1) if kind == "zset" else READS.get(kind)
            if command is not None:
                found[key] = _bytes(link.call(key, command[0], key, *command[1:]))
    return found


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"\n".join(map(_bytes, value)) if isinstance(value, list) else str(value).encode()


def holding(link: Link, *words: str) -> list[bytes]:
    """Return the keys that contain one of these words in their name or content."""
    wanted = [word.encode() for word in words]
    return [key for key, content in everything(link).items() if any(word in key + content for word in wanted)]


Erase = Callable[..., dict[str, Any]]


@pytest.fixture
def erase(at_noon: Admins) -> Erase:
    """Erase readers and return the counts."""

    def erased(reader: str, status: int = 200, **query: str) -> dict[str, Any]:
        asked = {"reason": "they asked", **query}
        body = at_noon.call_json("ann", "DELETE", f"/v1/readers/{reader}", status=status, query_string=asked)
        found: dict[str, Any] = body.get("erased", body)
        return found

    return erased
