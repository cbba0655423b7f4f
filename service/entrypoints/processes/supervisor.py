"""`paywall serve`: start the store, the web processes and the worker, restart what dies, and end them in the right order.

The store starts first and ends last; the web answers the requests under way before it ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service.adapters.clock import DEMO_MARK
from service.adapters.observability.logs import log
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.entrypoints.processes.lifecycle import ShutdownSignal, handle_shutdown_signals, ignore_shutdown_signals
from service.entrypoints.processes.listening import CannotServe, check_port
from service.entrypoints.processes.metrics_folder import metrics_folder
from service.settings.settings import Settings

RESTART_AFTER = 0.5
LONGEST_PAUSE = 30.0
"""Seconds before a restart: the first, and the longest of those that double."""
LONGEST_PAUSE_OF_WEB = 1.0
"""The web serves readers, so it waits less."""
LONG_RUN = 10.0
"""Seconds after which an end is not counted as a failed start."""
_END_WITHIN = 8.0
"""Seconds for the child processes to end."""


@dataclass
class Child:
    """A process of the service, started again when it ends by itself."""

    name: str
    arguments: list[str]
    env: Mapping[str, str]
    log: Path | None = None
    """A file for its output; without one it writes to its parent's."""
    quiet: bool = False
    longest_pause: float = LONGEST_PAUSE
    timer: Callable[[], float] = time.monotonic
    process: subprocess.Popen[bytes] | None = None
    _started_at: float = field(default=0.0, init=False)
    _short_runs: int = field(default=0, init=False)
    _due: float | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it."""
        self._started_at, self._due = self.timer(), None
        with ExitStack() as stack:
            out = stack.enter_context(self.log.open("ab")) if self.log else subprocess.DEVNULL if self.quiet else None
            self.process = subprocess.Popen(  # noqa: S603  modules of this service
                [sys.executable, "-m", *self.arguments], env=dict(self.env), stdout=out
            )

    def restart_if_due(self) -> None:
        """Start it again some time after it ended; that time doubles as long as it ends soon after its starts."""
        if self.process is None or not self.ended:
            return
        now = self.timer()
        if self._due is None:
            log().error("process_ended", process=self.name, status=self.process.returncode)
            ran = now - self._started_at
            self._short_runs = self._short_runs + 1 if ran < LONG_RUN else 0
            pause = min(self.longest_pause, RESTART_AFTER * 2.0**self._short_runs)
            self._due = now + pause - min(ran, RESTART_AFTER)
        if now >= self._due:
            self.start()

    @property
    def ended(self) -> bool:
        """Whether it was started and has ended."""
        return self.process is not None and self.process.poll() is not None

    def terminate(self) -> None:
        """Ask it to end."""
        if self.process is not None and not self.ended:
            self.process.terminate()

    def stop(self, within: float) -> None:
        """Ask it to end, and kill it after `within` seconds."""
        self.terminate()
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, within))
        except subprocess.TimeoutExpired:
            log().error("killed_after_grace", process=self.name)
            self.process.kill()
            self.process.wait()


def run(settings: Settings, env: Mapping[str, str], *, worker: bool) -> int:
    """Serve until SIGTERM or SIGINT. Return the exit status. Raises: `CannotServe`, `EmbeddedStoreError`."""
    shutdown = handle_shutdown_signals()
    _refuse_folder_of_demo(settings)
    if settings.demo_clock is not None:
        log().warning("clock_can_be_moved", by="PAYWALL_DEMO_CLOCK")
    with _store(settings) as url, metrics_folder() as metrics:
        inner = {**env, "REDIS_URL": url, "PROMETHEUS_MULTIPROC_DIR": str(metrics), "PAYWALL_SERVED": str(os.getpid())}
        web = ["service.entrypoints.processes.web_server"]
        children = [Child("web", web, inner, longest_pause=LONGEST_PAUSE_OF_WEB)]
        if worker:
            children.append(Child("worker", ["service.entrypoints.cli", "worker"], inner))
        try:
            for child in children:
                child.start()
            supervise(children, shutdown)
        finally:
            deadline = time.monotonic() + _END_WITHIN
            for child in children:
                child.stop(deadline - time.monotonic())
    ignore_shutdown_signals()
    return 0


def supervise(children: list[Child], shutdown: ShutdownSignal) -> None:
    """Restart children that end by themselves, until the shutdown. None waits for the restart of another one."""
    while not shutdown.wait(0.1):
        for child in children:
            child.restart_if_due()


def _refuse_folder_of_demo(settings: Settings) -> None:
    if settings.demo_clock is None and (settings.data / DEMO_MARK).exists():
        found = f"PAYWALL_DATA: {settings.data} is the folder of a `paywall demo`, and the next demo clears it"
        raise CannotServe(f"{found}: remove it, or name another folder")


@contextmanager
def _store(settings: Settings) -> Iterator[str]:
    """Yield the store's address for the run: `REDIS_URL`, or that of the embedded store, which starts here.

    Nothing starts before this process owns the folder and the port is free.
    """
    store = EmbeddedStore(settings.data, memory=settings.store_memory)
    store.owner.acquire(10.0)
    try:
        check_port(settings.host, settings.port)
        if settings.redis_url is not None:
            yield settings.redis_url
        else:
            url = store.begin()
            store.watch()
            yield url
    finally:
        store.stop()
