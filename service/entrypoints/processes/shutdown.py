"""The call to end: SIGTERM or Ctrl-C, once or several times, to one process or its whole group."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

_CALLS = (signal.SIGTERM, signal.SIGINT)


class Ending:
    """Whether the call has come.

    It may be set by a signal's handler, which a `threading.Event` may not: the handler runs within whatever the main
    thread is at, and where that holds the event's lock, as one that waits does, it would wait for itself for ever.
    """

    def __init__(self) -> None:
        self._hear, self._call = os.pipe()
        for end in (self._hear, self._call):
            os.set_blocking(end, False)

    def set(self) -> None:
        """Calls; again does no harm."""
        with suppress(BlockingIOError):  # so many calls that the pipe is full
            os.write(self._call, b".")

    def is_set(self) -> bool:
        """Whether it has come."""
        return self.wait(0)

    def wait(self, seconds: float | None = None) -> bool:
        """Waits for it, for ever or so long. Gives whether it has come."""
        return bool(select.select([self._hear], [], [], seconds)[0])

    def then(self, act: Callable[[], object]) -> None:
        """Does this once it has come, in a thread of its own: `act` may take locks."""
        threading.Thread(target=lambda: self.wait() and act(), name="ending", daemon=True).start()


def heard() -> Ending:
    """The call to end of this process, from now on. Only for the main thread."""
    ending = Ending()
    for number in _CALLS:
        signal.signal(number, lambda *_: ending.set())
    return ending


def done() -> None:
    """All is ended: a call that comes while the interpreter takes itself apart would make a failure of it."""
    for number in _CALLS:
        signal.signal(number, signal.SIG_IGN)
