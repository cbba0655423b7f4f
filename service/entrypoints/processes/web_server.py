"""The web processes: granian with one process a core, each with a service of its own around the same store.

The supervisor, which also starts the store and the worker, runs it as `python -m service.entrypoints.processes.web_server`.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, NoReturn

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.mp import MPServer
from prometheus_client import multiprocess as metrics_of_processes

from service.adapters.observability.logs import configure_logs, log
from service.bootstrap import build
from service.entrypoints.http.wsgi import wsgi
from service.entrypoints.processes.listen_address import address_of
from service.settings.settings import load_settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

THREADS = 16
"""Threads a process: requests that wait for the store or for Stripe side by side."""

STOP_WITHIN = 7
"""Seconds for requests under way to finish; the contract ends everything within ten."""

TAKEN_WITHIN = 0.25
"""Seconds between the call to end and the last connection that is taken: what was asked before it may still wait to be."""

_PR_SET_PDEATHSIG = 1
_ENDINGS = {signal.SIGINT, signal.SIGTERM}
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "PROMETHEUS_MULTIPROC_DIR", "TMPDIR")


def load() -> WSGIApplication:
    """One process's app, made after the fork; closed when the process ends."""
    _hear_the_parent()
    follow_parent(signal.SIGKILL)
    configure_logs()
    settings = load_settings(os.environ)
    # The server copies the environment into every request; nothing secret should travel there, nor anything needless.
    for name in set(os.environ) - set(_KEPT):
        del os.environ[name]
    if settings.redis_url is None:
        raise RuntimeError("the web process was started without a store; use `paywall serve`")
    service = build(settings, settings.redis_url)
    service.start()
    service.background_tasks.start()

    def end() -> None:
        service.background_tasks.stop()
        service.close()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            metrics_of_processes.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]  # the library leaves it untyped

    Finalize(None, end, exitpriority=10)
    app = wsgi(service)
    # What is here now stays: looked through again by every full collection, it would hold up requests for tens of milliseconds.
    gc.freeze()
    return app


def follow_parent(sign: signal.Signals) -> None:
    """Sends this process a signal when the one that started it is gone, however it went; at once where the kernel can.

    To be called by the main thread. A web process is best killed: if it answered on, it would hold the port of the next.
    """
    started_by = multiprocessing.parent_process()
    parent = started_by.pid if started_by else int(os.environ.get("PAYWALL_SERVED") or os.getppid())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, sign)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), sign)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def web_server(host: str, port: int, workers: int) -> MPServer:
    """The server as the service runs it; the benchmark's baselines run under the same."""
    return MPServer(
        "service.entrypoints.processes.web_server:load",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=THREADS,
        http1_settings=HTTP1Settings(header_read_timeout=30_000),
        log_enabled=False,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_WITHIN,
    )


def main() -> int:
    """Serves until SIGTERM or SIGINT; requests under way are answered first."""
    configure_logs()
    settings = load_settings(os.environ)
    server = web_server(address_of(settings.host), settings.port, settings.workers)
    server.on_startup(partial(follow_parent, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)  # the processes that it starts inherit this
    hear(_ENDINGS, server.signal_handler_interrupt)
    log().info("listening", host=settings.host, port=settings.port, workers=settings.workers)
    server.serve(target_loader=_loader, wrap_loader=False)
    return 0


def hear(signals: set[signal.Signals], told: Callable[[], object]) -> None:
    """Calls `told` at the first of these signals, which all threads have to block, and never again.

    A call to end often comes twice, to the whole group and from the parent. Of two at once, granian's process that leads
    can miss both, and one that serves does not end after the second.
    """

    def wait() -> None:
        signal.sigwait(signals)
        told()

    threading.Thread(target=wait, name="endings", daemon=True).start()


def _hear_the_parent() -> None:
    """SIGINT is the parent's to pass on, as SIGTERM. Before granian's own handler is there nothing has been served."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
    inherited = signal.getsignal(signal.SIGTERM)

    def end() -> None:
        handler = signal.getsignal(signal.SIGTERM)
        if not callable(handler) or handler == inherited:
            os._exit(0)
        time.sleep(TAKEN_WITHIN)
        handler(signal.SIGTERM, None)

    hear({signal.SIGTERM}, end)


def _loader(*_: object) -> WSGIApplication:
    return load()


def leave(status: int) -> NoReturn:
    """Ends this process, whose work is done, without taking its modules apart: on a busy machine that takes seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(main())
