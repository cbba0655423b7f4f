"""The address that `serve` listens on: `PAYWALL_HOST` may be a name, the server wants a number."""

from __future__ import annotations

import socket


def address_of(host: str) -> str:
    """The numeric address of a host, of IPv4 where it has one, as most clients of a `localhost` expect. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])
