"""The address and port that `paywall serve` listens on."""

from __future__ import annotations

import errno
import socket
import time

PORT_FREE_WITHIN = 1.5
"""Seconds that the processes of a killed `serve` may take to free its port."""


class CannotServe(Exception):
    """The service cannot start. `str()` is a sentence that gives the reason and names the setting."""


def numeric_address(host: str) -> str:
    """Return the address of a host, of IPv4 if it has one, which most clients of `localhost` expect. Raises: `OSError`."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])


def local_url(host: str, port: int) -> str:
    """Return the address at which this machine reaches a service that listens there."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104 - all addresses
    return f"http://{name}:{port}"


def check_port(host: str, port: int) -> None:
    """Check that a server can listen there. Raises: `CannotServe`."""
    deadline = time.monotonic() + PORT_FREE_WITHIN
    while error := _bind_error(host, port):
        if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
            raise CannotServe(f"PAYWALL_HOST, PAYWALL_PORT: cannot listen on {host}:{port}: {error.strerror}")
        time.sleep(0.05)


def _bind_error(host: str, port: int) -> OSError | None:
    try:
        address = numeric_address(host)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((address, port))
    except OSError as error:
        return error
    return None
