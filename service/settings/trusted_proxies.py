"""`PAYWALL_TRUSTED_PROXIES`: the proxies whose `X-Forwarded-For` names the client."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.settings.settings import Environment

Network = IPv4Network | IPv6Network


def read_trusted_proxies(read: Environment) -> tuple[Network, ...]:
    """Return the addresses and networks of the proxies, separated by commas; empty: no proxy is trusted."""
    networks = []
    for number, entry in read.entries("PAYWALL_TRUSTED_PROXIES"):
        try:
            networks.append(ip_network(entry))
        except ValueError:
            message = f"entry {number} is no address or network: write one such as 127.0.0.1 or 10.0.0.0/8"
            read.refuse("PAYWALL_TRUSTED_PROXIES", message)
    return tuple(networks)
