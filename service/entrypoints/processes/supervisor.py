"""`paywall serve`: the store, the web processes and the worker, started and ended together, in the right order.

The store comes first and goes last; the web answers what was asked before it ends; whatever dies is started again.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.adapters.clock import DEMO_MARK
from service.adapters.observability.logs import log
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.entrypoints.processes.listen_address import address_of
from service.entrypoints.processes.shutdown import Ending, done, heard
from service.settings.settings import Settings

RESTART_AFTER = 0.5
LIVES = 10.0
"""Seconds after which a process counts as having lived."""
LONGEST_PAUSE = 30.0
LET_GO = 1.5
"""Seconds that the processes of a `serve` that was killed may take to let go of its port."""
_GRACE = 8.0


class CannotServe(Exception):
    """The service cannot start; `str()` is a sentence that says why and names the setting."""


@dataclass
class Child:
    """A process that belongs to the service, started again when it ends by itself."""

    name: str
    arguments: list[str]
    env: Mapping[str, str]
    log: Path | None = None
    """A file for what it prints; its parent's own output where there is none."""
    quiet: bool = False
    process: subprocess.Popen[bytes] | None = None
    born: float = 0.0
    short_lives: int = 0

    def start(self) -> None:
        """Starts it."""
        self.born = time.monotonic()
        with ExitStack() as stack:
            out = stack.enter_context(self.log.open("ab")) if self.log else subprocess.DEVNULL if self.quiet else None
            self.process = subprocess.Popen(  # noqa: S603  our own modules
                [sys.executable, "-m", *self.arguments], env=dict(self.env), stdout=out
            )

    def pause(self) -> float:
        """Seconds until it is worth another start: more each time that it ends soon after one."""
        lived = time.monotonic() - self.born
        self.short_lives = self.short_lives + 1 if lived < LIVES else 0
        return min(LONGEST_PAUSE, RESTART_AFTER * 2.0**self.short_lives) - min(lived, RESTART_AFTER)

    @property
    def ended(self) -> bool:
        """Whether it has ended, by itself or not."""
        return self.process is not None and self.process.poll() is not None

    def ask_to_end(self) -> None:
        """Asks it to end."""
        if self.process is not None and not self.ended:
            self.process.terminate()

    def end(self, within: float) -> None:
        """Asks it to end, and makes it after `within` seconds."""
        self.ask_to_end()
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, within))
        except subprocess.TimeoutExpired:
            log().error("killed_after_grace", process=self.name)
            self.process.kill()
            self.process.wait()


@contextmanager
def store_of(settings: Settings) -> Iterator[str]:
    """The store's address for the length of a `serve`: `REDIS_URL`'s, or that of the embedded one, started here.

    Nothing is started before the folder is ours and the port free.
    """
    store = EmbeddedStore(settings.data)
    store.owner.acquire(10.0)
    try:
        check_port(settings)
        if settings.redis_url is not None:
            yield settings.redis_url
        else:
            url = store.begin()
            store.watch()
            yield url
    finally:
        store.stop()


def check_port(settings: Settings) -> None:
    """`CannotServe` where nobody can listen there."""
    deadline = time.monotonic() + LET_GO
    while error := _not_bound(settings.host, settings.port):
        if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
            where = f"{settings.host}:{settings.port}"
            raise CannotServe(f"PAYWALL_HOST, PAYWALL_PORT: cannot listen on {where}: {error.strerror}")
        time.sleep(0.05)


def _not_bound(host: str, port: int) -> OSError | None:
    try:
        address = address_of(host)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((address, port))
    except OSError as error:
        return error
    return None


def check_folder(settings: Settings) -> None:
    """`CannotServe` where a demo's folder would be served: the next demo clears it."""
    if settings.demo_clock is None and (settings.data / DEMO_MARK).exists():
        left = f"PAYWALL_DATA: {settings.data} is a `paywall demo`'s, and the next demo clears it"
        raise CannotServe(f"{left}: remove it, or name another folder")


def run(settings: Settings, env: Mapping[str, str], *, worker: bool) -> int:
    """Serves until SIGTERM or SIGINT. Gives the exit status."""
    ended = heard()
    check_folder(settings)
    if settings.demo_clock is not None:
        log().warning("clock_can_be_moved", by="PAYWALL_DEMO_CLOCK")
    with store_of(settings) as url:
        metrics = tempfile.mkdtemp(prefix="paywall-metrics-")
        inner = {**env, "REDIS_URL": url, "PROMETHEUS_MULTIPROC_DIR": metrics, "PAYWALL_SERVED": str(os.getpid())}
        children = [Child("web", ["service.entrypoints.processes.web_server"], inner)]
        if worker:
            children.append(Child("worker", ["service.entrypoints.cli", "worker"], inner))
        try:
            for child in children:
                child.start()
            watch(children, ended)
        finally:
            deadline = time.monotonic() + _GRACE
            for child in children:
                child.end(deadline - time.monotonic())
            shutil.rmtree(metrics, ignore_errors=True)
    done()
    return 0


def watch(children: list[Child], ended: Ending) -> None:
    """Starts again what ends by itself, until the end is called for."""
    while not ended.wait(0.2):
        for child in children:
            if child.process is None or not child.ended:
                continue
            log().error("process_ended", process=child.name, status=child.process.returncode)
            if ended.wait(child.pause()):
                return
            child.start()
