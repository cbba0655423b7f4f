"""`paywall serve`: start the store, the web processes and the worker, restart what dies, and end them in the right order.

The store starts first and ends last; the web answers the requests under way before it ends.
"""

from __future__ import annotations

import os
import shutil
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
from service.entrypoints.processes.lifecycle import ShutdownSignal, handle_shutdown_signals, ignore_shutdown_signals
from service.entrypoints.processes.listening import CannotServe, check_port
from service.settings.settings import Settings

RESTART_AFTER = 0.5
LONGEST_PAUSE = 30.0
"""Seconds before a restart: the first, and the longest of those that double."""
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
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    short_runs: int = 0

    def start(self) -> None:
        """Start it."""
        self.started_at = time.monotonic()
        with ExitStack() as stack:
            out = stack.enter_context(self.log.open("ab")) if self.log else subprocess.DEVNULL if self.quiet else None
            self.process = subprocess.Popen(  # noqa: S603  modules of this service
                [sys.executable, "-m", *self.arguments], env=dict(self.env), stdout=out
            )

    def pause(self) -> float:
        """Return the seconds to wait before a restart, which double each time that it ends soon after a start."""
        ran = time.monotonic() - self.started_at
        self.short_runs = self.short_runs + 1 if ran < LONG_RUN else 0
        return min(LONGEST_PAUSE, RESTART_AFTER * 2.0**self.short_runs) - min(ran, RESTART_AFTER)

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
    with _store(settings) as url:
        metrics = tempfile.mkdtemp(prefix="paywall-metrics-")
        inner = {**env, "REDIS_URL": url, "PROMETHEUS_MULTIPROC_DIR": metrics, "PAYWALL_SERVED": str(os.getpid())}
        children = [Child("web", ["service.entrypoints.processes.web_server"], inner)]
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
            shutil.rmtree(metrics, ignore_errors=True)
    ignore_shutdown_signals()
    return 0


def supervise(children: list[Child], shutdown: ShutdownSignal) -> None:
    """Restart children that end by themselves, until the shutdown."""
    while not shutdown.wait(0.2):
        for child in children:
            if child.process is None or not child.ended:
                continue
            log().error("process_ended", process=child.name, status=child.process.returncode)
            if shutdown.wait(child.pause()):
                return
            child.start()


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
