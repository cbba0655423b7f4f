"""The client's address behind a proxy: the audit log, the limit of wrong keys, and the queue for sign-ins use it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from service.settings.environment import Network

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True, slots=True)
class ClientAddressMiddleware:
    """Replaces the address of a trusted proxy by that of its client."""

    app: WSGIApplication
    proxies: Sequence[Network]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        environ["REMOTE_ADDR"] = client_address(environ["REMOTE_ADDR"], forwarded, self.proxies)
        return self.app(environ, start_response)


def client_address(connected: str, forwarded: str, proxies: Sequence[Network]) -> str:
    """Return the nearest address that isn't a trusted proxy's: of who connected, or of `X-Forwarded-For` from its end.

    Each proxy appends the address that connected to it. What stands before the first untrusted one can be made up.
    """
    nearest = connected
    for entry in (connected, *reversed(forwarded.split(","))):
        address = _address(entry.strip())
        if address is None:
            break
        nearest = str(address)
        if not any(address in network for network in proxies):
            break
    return nearest


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
