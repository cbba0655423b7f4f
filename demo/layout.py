"""The ports, keys and files of a running demo."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from service.adapters.clock import DEMO_CLOCK
from service.entrypoints.processes.listening import CannotServe

HOST = "127.0.0.1"
NEWSPAPER_PORT, STRIPE_PORT = 8080, 12111


@dataclass(frozen=True)
class Layout:
    """Ports, keys and files, chosen at the demo's start. `folder` is absolute."""

    folder: Path
    service_port: int
    newspaper_port: int
    stripe_port: int
    site_key: str
    admin_key: str
    webhook_secret: str
    moved: tuple[str, ...] = ()
    """Which ports were in use, and what is used in their place."""

    @property
    def newspaper(self) -> str:
        return f"http://{HOST}:{self.newspaper_port}"

    @property
    def service(self) -> str:
        return f"http://{HOST}:{self.service_port}"

    @property
    def stripe(self) -> str:
        return f"http://{HOST}:{self.stripe_port}"

    @property
    def backstage(self) -> str:
        return f"{self.stripe}/backstage"

    @property
    def config(self) -> Path:
        return self.folder / "demo-config"

    @property
    def clock(self) -> Path:
        return self.folder / DEMO_CLOCK

    @property
    def log(self) -> Path:
        return self.folder / "demo.log"


def create_layout(folder: Path, service_port: int) -> Layout:
    """Choose the usual port for each process, or a free one if that is in use, and generate new keys."""
    with ExitStack() as sockets:  # bound until all ports are chosen, so that none is chosen twice
        wanted = (service_port, NEWSPAPER_PORT, STRIPE_PORT)
        service, newspaper, stripe = chosen = [_port(sockets, port) for port in wanted]
    return Layout(
        moved=tuple(
            f"Port {port} is in use, using {other}."
            for port, other in zip(wanted, chosen, strict=True)
            if other != port
        ),
        folder=folder.absolute(),
        service_port=service,
        newspaper_port=newspaper,
        stripe_port=stripe,
        site_key=secrets.token_urlsafe(24),
        admin_key=secrets.token_urlsafe(24),
        webhook_secret=f"whsec_{secrets.token_hex(16)}",
    )


def _port(sockets: ExitStack, wanted: int) -> int:
    for port in (wanted, 0):
        probe = sockets.enter_context(socket.socket())
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            continue
        return int(probe.getsockname()[1])
    raise CannotServe(f"no port is free on {HOST}")
