"""How processes end: on SIGTERM or Ctrl-C, once or several times, to one process or its whole group; or with their parent."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

SHUTDOWN_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1
_M_ARENA_MAX = -8
"""Of `<malloc.h>` in glibc."""


class ShutdownSignal:
    """Whether the process was asked to end.

    A signal handler may set it, unlike a `threading.Event`: the handler runs inside whatever the main thread is doing, and
    would wait for ever where the main thread holds the event's lock, as one that waits for the event does.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)

    def set(self) -> None:
        """Ask the process to end. A second call changes nothing."""
        with suppress(BlockingIOError):  # so many calls that the pipe is full
            os.write(self._writer, b".")

    def is_set(self) -> bool:
        """Return whether the process was asked to end."""
        return self.wait(0)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set, for ever or for so long. Return whether it is set."""
        return bool(select.select([self._reader], [], [], seconds)[0])

    def on_set(self, act: Callable[[], object]) -> None:
        """Call `act` once it is set, in a thread of its own: `act` may take locks."""
        threading.Thread(target=lambda: self.wait() and act(), name="shutdown", daemon=True).start()


def handle_shutdown_signals() -> ShutdownSignal:
    """Return a signal that SIGTERM and SIGINT set from now on. Only for the main thread."""
    shutdown = ShutdownSignal()
    for number in SHUTDOWN_SIGNALS:
        signal.signal(number, lambda *_: shutdown.set())
    return shutdown


def ignore_shutdown_signals() -> None:
    """Ignore SIGTERM and SIGINT: while the interpreter finalizes, one would turn a success into a failure."""
    for number in SHUTDOWN_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def follow_parent(sign: signal.Signals) -> None:
    """Send this process a signal when the one that started it ends, however that ends; at once where the kernel can.

    Only for the main thread.
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


def name_process(title: str) -> None:
    """Show this title as the process's command line, as in `ps`; it is cut to the length of the line that it replaces.

    Only Linux: there a process can find the memory of its command line.
    """
    if sys.platform == "linux":
        fields = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
        start, end = int(fields[45]), int(fields[46])  # `arg_start` and `arg_end`; see proc(5)
        ctypes.memmove(start, title.encode()[: end - start - 1].ljust(end - start, b"\0"), end - start)


def use_one_heap() -> None:
    """Let the threads of this process and of its forks allocate from one heap. glibc would make one for each of them.

    They hardly wait for it: the interpreter runs one thread at a time.
    """
    with suppress(AttributeError):  # another C library, which has no such option
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def open_supervisor() -> int | None:
    """Return a descriptor that becomes readable when the supervisor ends; `None` without one, or where none can be had."""
    with suppress(KeyError, OSError):
        if sys.platform == "linux":
            return os.pidfd_open(int(os.environ["PAYWALL_SERVED"]))
    return None


def exit_now() -> NoReturn:
    """End this process with status 0, without finalizing the interpreter, which takes seconds on a busy machine."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
