"""What a web process does beside its requests: finish what it began itself, and notice what others have changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from service.adapters.observability.logs import log, where
from service.domain.errors import StoreUnavailable

Task = Callable[[], object]


class BackgroundTasks:
    """Run tasks again and again in one thread. A task that fails is logged, and runs again the next time."""

    def __init__(self, tasks: Sequence[Task], every: float) -> None:
        """`every`: seconds between two rounds."""
        self._tasks = tasks
        self._every = every
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. Call it once a process, after the fork."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="background-tasks", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the task under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None

    def _run(self) -> None:
        # The first round comes at once: a change in the first second has to differ from something.
        self._round()
        while not self._stop.wait(self._every):
            self._round()

    def _round(self) -> None:
        for task in self._tasks:
            try:
                task()
            except StoreUnavailable:
                continue
            except Exception as error:  # the failure of one task must not end the others
                log().error("chore_failed", error=type(error).__name__, where=where(error))


class OnChange:
    """A task that calls `then` when `value` has changed since the last call."""

    def __init__(self, value: Callable[[], int], then: Callable[[], None]) -> None:
        self._value = value
        self._then = then
        self._last: int | None = None

    def __call__(self) -> None:
        """Read the value, and call `then` if it differs from the last one read."""
        value = self._value()
        if self._last is not None and value != self._last:
            self._then()
        self._last = value
