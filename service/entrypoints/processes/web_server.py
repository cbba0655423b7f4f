"""The web processes: granian with one process a core, each with its own copy of one `Service`."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, NoReturn

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server.mp import MPServer
from prometheus_client import multiprocess as metrics_of_processes

from service.adapters.observability.logs import configure_logs, log
from service.bootstrap import Service
from service.entrypoints.http.rsgi import RsgiApp
from service.entrypoints.http.wsgi import Web
from service.entrypoints.processes.lifecycle import SHUTDOWN_SIGNALS, exit_now, follow_parent, open_supervisor
from service.entrypoints.processes.listening import local_url, numeric_address
from service.settings.settings import Settings
from service.use_cases.operations.doctor import WEBHOOK_PATH, settings_findings

UNREAD_FOR = 30
"""Seconds for which a client may leave an answer unread."""

LISTENS_AFTER = 0.5
"""Seconds after which granian listens."""

STOP_WITHIN = 7
"""Seconds for requests under way to finish; by the contract, everything ends within ten."""

ACCEPT_FOR = 0.25
"""Seconds after the signal in which connections are still accepted: earlier requests may wait to be."""

RESPAWN_AFTER = 1.0
"""Seconds between two starts of a process that ends soon after its start."""

READY = "web-ready"
"""The file, in the folder of this run's metrics, that each process touches when it begins to serve."""
SUCCESSION = 3.0
"""Seconds for which the processes of a killed server serve on after the first of the next server's is ready."""

_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PROMETHEUS_MULTIPROC_DIR",
    "TMPDIR",
)


def load(service: Service, routes: Web) -> RsgiApp:
    """Start the service of one process, after the fork, and return its app; it closes when the process ends."""
    loop = asyncio.get_event_loop()  # which granian has made for this process
    _handle_parents_signal(loop)
    follow_parent(signal.SIGTERM)
    configure_logs()
    app = _app(loop, service, routes)
    service.store.link.use_loop(loop)
    service.start()
    # Nothing reads them any more, so that nothing can show a secret.
    for name in set(os.environ) - set(_PASSED_ON):
        del os.environ[name]
    service.background_tasks.start()
    routes.requests_log.start(service.usage_counters.add_up)

    def end() -> None:
        app.close()
        service.background_tasks.stop()
        routes.requests_log.close()
        service.close()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            metrics_of_processes.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]  # the library leaves it untyped

    Finalize(None, end, exitpriority=10)
    loop.call_later(LISTENS_AFTER, end_unread_answers)
    # What exists now stays: if every full collection examined it again, requests would wait for tens of milliseconds.
    gc.freeze()
    with suppress(KeyError, OSError):  # the disk can be full
        Path(os.environ["PROMETHEUS_MULTIPROC_DIR"], READY).touch()
    return app


def _app(loop: asyncio.AbstractEventLoop, service: Service, routes: Web) -> RsgiApp:
    if service.tracing is None:
        return RsgiApp(loop, service.store.link, routes)
    from service.entrypoints.http.traced_requests import TracedRsgiApp  # It imports OpenTelemetry.

    return TracedRsgiApp(loop, service.store.link, routes, service.tracing)


def end_unread_answers() -> None:
    """Let the kernel end connections whose client does not read: granian has no deadline for a write.

    Connections inherit it from the listening socket, which granian has made in this process.
    """
    for number in map(int, os.listdir("/proc/self/fd") if sys.platform == "linux" else ()):
        # Of another file than a socket, the copy would stay open, and keep the file locked if it is.
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                _end_unread_answers_of(number)


def _end_unread_answers_of(number: int) -> None:
    with socket.socket(fileno=os.dup(number)) as found:
        if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and found.family != socket.AF_UNIX:
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_FOR * 1_000)


class RespawningServer(MPServer):
    """A server that replaces each process that ends. Granian's own ends altogether if a new process ends within 5.5 s."""

    def _respawn_workers(self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0) -> None:
        for index in workers:
            log().error("process_ended", process="web process", status=self.wrks[index].inner.exitcode)
        newest = max(self.wrks[index].birth for index in workers)
        self.main_loop_interrupt.wait(newest + RESPAWN_AFTER - time.monotonic())
        super()._respawn_workers(workers, spawn_target, target_loader, delay)
        self.respawned_wrks.clear()  # By this, Granian would notice that one ends again.


def web_server(host: str, port: int, workers: int) -> MPServer:
    """Return the server of `RsgiApp`."""
    return RespawningServer(
        "service.entrypoints.processes.web_server:load",
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        loop=Loops.uvloop,
        # One connection of HTTP/2 has many streams. Waiting for its preface, no time limit would end an idle one.
        http=HTTPModes.http1,
        workers=workers,
        http1_settings=HTTP1Settings(header_read_timeout=30_000),
        log_enabled=False,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_WITHIN,
    )


def main(service: Service, routes: Web) -> NoReturn:
    """Serve until SIGTERM or SIGINT, and end this process. Requests under way are answered first."""
    configure_logs()
    settings = service.settings
    server = web_server(numeric_address(settings.host), settings.port, settings.workers)
    server.on_startup(partial(follow_parent, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_BLOCK, SHUTDOWN_SIGNALS)  # the processes that it starts inherit this
    call_once_on(SHUTDOWN_SIGNALS, server.signal_handler_interrupt)
    _announce(settings)
    server.serve(target_loader=lambda *_: load(service, routes), wrap_loader=False)
    exit_now()


def _announce(settings: Settings) -> None:
    """Write where the service listens, and which settings are missing: a line of the log, or for a person at a terminal."""
    url, missing = local_url(settings.host, settings.port), [each.message for each in settings_findings(settings)]
    if not sys.stdout.isatty():
        log().info(
            "listening", host=settings.host, port=settings.port, workers=settings.workers, url=url, missing=missing
        )
        return
    lines = [
        f"{settings.catalogue.site_name}: the paywall is running. Press Ctrl-C to stop it.",
        f"  Staff page   {url}/admin/   (sign in with an admin key, or run `paywall sign-in-link`)",
        f"  API docs     {url}/docs",
        f"  Webhooks     {url}{WEBHOOK_PATH}",
        *(f"  Missing      {message}." for message in missing),
        "  `paywall doctor` checks the whole set-up.",
    ]
    sys.stdout.write("\n" + "\n".join(lines) + "\n\n")
    sys.stdout.flush()


def call_once_on(signals: Iterable[signal.Signals], act: Callable[[], object]) -> None:
    """Call `act` at the first of these signals, which all threads must block, and never again.

    A shutdown signal often comes twice, to the whole group and from the parent. Granian's main process can miss two at
    once, and its serving processes do not end after a second one.
    """

    def wait() -> None:
        signal.sigwait(signals)
        act()

    threading.Thread(target=wait, name="signals", daemon=True).start()


def _handle_parents_signal(loop: asyncio.AbstractEventLoop) -> None:
    """End on SIGTERM, which the parent sends for a SIGINT too. Before granian installs its handler, exit at once.

    The kernel also sends it when the parent is killed. Then this process serves on until the next server does, unless the
    supervisor itself was killed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SHUTDOWN_SIGNALS)
    inherited, parent, supervisor = signal.getsignal(signal.SIGTERM), os.getppid(), open_supervisor()

    def pass_on() -> None:
        # The handler runs where the signal arrives, in the loop's thread. A second signal stays blocked.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        signal.raise_signal(signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def end() -> None:
        if signal.getsignal(signal.SIGTERM) == inherited:
            os._exit(0)
        accepted_until = time.monotonic() + ACCEPT_FOR
        while os.getppid() == parent and time.monotonic() < accepted_until:  # A parent dies one thread after the other.
            time.sleep(0.01)
        if os.getppid() != parent and not _is_succeeded(supervisor):
            os._exit(0)
        loop.call_soon_threadsafe(pass_on)
        time.sleep(STOP_WITHIN)
        os._exit(1)

    call_once_on({signal.SIGTERM}, end)


def _is_succeeded(supervisor: int | None) -> bool:
    """Wait until the next server serves; return `False` when the supervisor ends, and at once if none can start it."""
    before = _last_ready()
    if supervisor is None or not before:
        return False
    while _last_ready() == before:
        if select.select([supervisor], [], [], 0.1)[0]:
            return False
    return not select.select([supervisor], [], [], SUCCESSION)[0]


def _last_ready() -> int:
    """Return when a process of this run was last ready (ns); 0 if that is unknown."""
    try:
        return Path(os.environ["PROMETHEUS_MULTIPROC_DIR"], READY).stat().st_mtime_ns
    except (KeyError, OSError):
        return 0
