"""`paywall serve`: start the store, the web processes and the worker, restart what dies, and end them in the right order.

The store starts first and ends last; the web answers the requests under way before it ends. The web server and the worker
are forks of this process, which builds the service once: they start fast and share its memory.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from service.adapters.clock import DEMO_MARK
from service.adapters.crypto import derive_secrets
from service.adapters.observability.logs import log
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.entrypoints.processes.lifecycle import (
    SHUTDOWN_SIGNALS,
    ShutdownSignal,
    handle_shutdown_signals,
    ignore_shutdown_signals,
    name_process,
    use_one_heap,
)
from service.entrypoints.processes.listening import CannotServe, check_port
from service.entrypoints.processes.metrics_folder import metrics_folder
from service.settings.settings import Settings

if TYPE_CHECKING:
    from service.entrypoints.processes.programs import Programs

PROGRAMS = "service.entrypoints.processes.programs"
"""The module of `Programs`, which is imported while the store starts."""

RESTART_AFTER = 0.5
LONGEST_PAUSE = 30.0
"""Seconds before a restart: the first, and the longest of those that double."""
LONGEST_PAUSE_OF_WEB = 1.0
"""The web serves readers, so it waits less."""
LONG_RUN = 10.0
"""Seconds after which an end is not counted as a failed start."""
_END_WITHIN = 8.0
"""Seconds for the child processes to end."""


class ForkedProcess:
    """A fork of this process that runs a program, with methods of `subprocess.Popen`.

    Only for the main thread: Linux ends the fork with this thread.
    """

    def __init__(self, run: Callable[[], object], title: str) -> None:
        # A signal between the fork and the child's own handling must not run the handler of this process in the child.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SHUTDOWN_SIGNALS)
        self._process = multiprocessing.get_context("fork").Process(target=_run_in_fork, args=(run, title, before))
        self._process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its status. Raises: `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return status

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _run_in_fork(run: Callable[[], object], title: str, mask: set[signal.Signals]) -> None:
    for number in SHUTDOWN_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    name_process(title)
    run()


Process = ForkedProcess | subprocess.Popen[Any]


@dataclass
class Child:
    """A process of the service, started again when it ends by itself."""

    name: str
    start_process: Callable[[], Process]
    longest_pause: float = LONGEST_PAUSE
    timer: Callable[[], float] = time.monotonic
    process: Process | None = None
    _started_at: float = field(default=0.0, init=False)
    _short_runs: int = field(default=0, init=False)
    _due: float | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it."""
        self._started_at, self._due = self.timer(), None
        self.process = self.start_process()

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


def run(settings: Settings, *, with_worker: bool) -> int:
    """Serve until SIGTERM or SIGINT. Return the exit status. Raises: `CannotServe`, `EmbeddedStoreError`."""
    shutdown = handle_shutdown_signals()
    _refuse_folder_of_demo(settings)
    if settings.demo_clock is not None:
        log().warning("clock_can_be_moved", by="PAYWALL_DEMO_CLOCK")
    with _owned_folder(settings) as store, metrics_folder() as metrics:
        # The metrics read the one when they are built, the forks the other.
        os.environ.update(PROMETHEUS_MULTIPROC_DIR=str(metrics), PAYWALL_SERVED=str(os.getpid()))
        programs = _build_programs(settings, store)
        web = partial(ForkedProcess, programs.run_web, "paywall web_server")
        children = [Child("web", web, longest_pause=LONGEST_PAUSE_OF_WEB)]
        if with_worker:
            children.append(Child("worker", partial(ForkedProcess, programs.run_worker, "paywall worker")))
        try:
            for child in children:
                child.start()
            if settings.redis_url is None:
                store.watch()
            supervise(children, shutdown)
        finally:
            deadline = time.monotonic() + _END_WITHIN
            for child in children:
                child.stop(deadline - time.monotonic())
    ignore_shutdown_signals()
    return 0


def _build_programs(settings: Settings, store: EmbeddedStore) -> Programs:
    """Build what the forks run. Modules are imported and keys derived while the store starts."""
    use_one_heap()
    gc.disable()  # All this leaves hardly any garbage.
    threads = [
        threading.Thread(target=importlib.import_module, args=(PROGRAMS,), name="imports"),
        threading.Thread(target=derive_secrets, args=(settings.secrets,), name="secrets"),
    ]
    for thread in threads:
        thread.start()
    try:
        store_url = settings.redis_url or store.begin()
    finally:
        for thread in threads:
            thread.join()
    programs: Programs = importlib.import_module(PROGRAMS).Programs(replace(settings, redis_url=store_url), store_url)
    # A collection in a fork would write to the shared memory of what exists now, and copy it.
    gc.freeze()
    gc.enable()
    return programs


def supervise(children: list[Child], shutdown: ShutdownSignal) -> None:
    """Restart children that end by themselves, until the shutdown. None waits for the restart of another one."""
    while not shutdown.wait(0.1):
        for child in children:
            child.restart_if_due()


def _refuse_folder_of_demo(settings: Settings) -> None:
    if settings.demo_clock is None and (settings.data / DEMO_MARK).exists():
        found = f"PAYWALL_DATA: {settings.data} is the folder of a `paywall demo`, and the next demo clears it"
        raise CannotServe(f"{found}: stop the demo, remove the folder if it is still there, or name another one")


@contextmanager
def _owned_folder(settings: Settings) -> Iterator[EmbeddedStore]:
    """Yield a store that has not started, while this process owns its folder; it stops at the end. The port is free."""
    store = EmbeddedStore(settings.data, memory=settings.store_memory)
    store.owner.acquire(10.0)
    try:
        check_port(settings.host, settings.port)
        yield store
    finally:
        store.stop()
