"""What a web process does beside its requests: it finishes what it began itself, and notices what others have changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from service.adapters.observability.telemetry import log, where
from service.domain.errors import StoreUnavailable

Chore = Callable[[], object]


class Aftercare:
    """Does its chores every so often, in one thread. A chore that fails is told of, and tried again the next time."""

    def __init__(self, chores: Sequence[Chore], every: float = 1.0) -> None:
        self._chores = chores
        self._every = every
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins; once a process, after the fork."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._go_on, name="aftercare", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends after the chore under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None

    def _go_on(self) -> None:
        # First at once: what changes in the first second has to differ from something.
        self._all()
        while not self._stop.wait(self._every):
            self._all()

    def _all(self) -> None:
        for chore in self._chores:
            self._do(chore)

    def _do(self, chore: Chore) -> None:
        try:
            chore()
        except StoreUnavailable:
            return
        except Exception as error:  # one chore's fault must not end the others
            log().error("chore_failed", error=type(error).__name__, where=where(error))


class Noticed:
    """A chore that calls `then` when `value` has changed since it last looked."""

    def __init__(self, value: Callable[[], int], then: Callable[[], None]) -> None:
        self._value = value
        self._then = then
        self._last: int | None = None

    def __call__(self) -> None:
        """Looks, and tells."""
        value = self._value()
        if self._last is not None and value != self._last:
            self._then()
        self._last = value
