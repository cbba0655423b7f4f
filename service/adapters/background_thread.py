"""A thread that does the same work again and again beside the requests of a process."""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundThread:
    """Calls `work` in a thread of its own, and again after as many seconds as it returned, or as soon as `wake` is called."""

    def __init__(self, name: str, work: Callable[[], float]) -> None:
        self._name = name
        self._work = work
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def start(self) -> None:
        """Start the thread, which ends with the process. Call it once a process, after the fork."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Call `work` now."""
        self._awake.set()

    def stop(self, patience: float | None = 5.0) -> None:
        """Stop after the work in progress. Wait for that at most `patience` seconds; `None`: as long as it takes."""
        self._stopping.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join(patience)
            self._thread = None

    def _run(self) -> None:
        while True:
            self._awake.clear()
            if self.is_stopping:
                return
            self._awake.wait(self._work())
