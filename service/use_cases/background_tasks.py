"""What a web process does beside its requests: finish what it began itself, and notice what others have changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.adapters.background_thread import BackgroundThread
from service.adapters.observability.logs import log, where
from service.domain.errors import StoreUnavailable

Task = Callable[[], object]

EVERY = 1.0
"""Seconds between two rounds."""


class BackgroundTasks(BackgroundThread):
    """Runs tasks every so many seconds in one thread, and once at the start, so that `OnChange` has a value to compare with.

    A task that fails is logged, and runs again the next time.
    """

    def __init__(self, tasks: Sequence[Task], every: float = EVERY) -> None:
        super().__init__("background-tasks", self._round)
        self._tasks = tasks
        self._every = every

    def _round(self) -> float:
        for task in self._tasks:
            try:
                task()
            except StoreUnavailable:
                continue
            except Exception as error:  # the failure of one task must not end the others
                log().error("chore_failed", error=type(error).__name__, where=where(error))
        return self._every


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
