"""The breaker: while the store is away nobody waits for it, and one thread looks whether it is back.

Closed means that there is a view (`nodes.View`); the hot path reads that one attribute. The first definite failure
takes it away. Then a probe at a time runs on the prober's thread until one succeeds. Nothing is known at the start: the
first to ask then waits for the first probe, no longer than a time-out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from service.adapters.redis.client.nodes import View
from service.domain.errors import StoreUnavailable

_log = logging.getLogger(__name__)

_LOOK_EVERY = 1.0  # seconds between looks, while closed, whether all is still as it was


class Breaker:
    """`probe` finds and tries the store, or raises StoreUnavailable. `look`, while closed, raises it to open again.

    `on_change(available, why)` is told of every change, in order, by the thread that made it; it should be quick.
    """

    def __init__(
        self,
        probe: Callable[[], View],
        *,
        wait: float,
        every: float,
        on_change: Callable[[bool, str], None] | None = None,
        look: Callable[[View], None] | None = None,
    ) -> None:
        self._probe = probe
        self._wait = wait
        self._every = every
        self._on_change = on_change
        self._look = look
        self.reset()

    def reset(self) -> None:
        """Know nothing, as at the start. For a forked child too, where the thread and every lock are the parent's."""
        self.view: View | None = None
        self.why = ""
        self._lock = threading.RLock()  # on_change may ask the link something
        self._decided = threading.Event()
        self._up = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False

    @property
    def is_open(self) -> bool:
        """Whether calls fail at once. Not so while nothing is known yet."""
        return self.view is None and self._decided.is_set()

    def start(self) -> None:
        """Start the prober, once."""
        with self._lock:
            if self._thread is None and not self._ended:
                self._thread = threading.Thread(target=self._run, name="store-prober", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the prober. From then on every call fails."""
        with self._lock:
            self._ended = True
            view, self.view = self.view, None
            thread = self._thread
        self._decided.set()
        self._up.set()
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._wait * 4)
        if view is not None:
            view.retire()

    def admit(self) -> View:
        """The view, where the caller found none: waits for the first probe, or fails at once with why="open"."""
        if not self._decided.is_set():
            self.start()
            if not self._decided.wait(self._wait):
                self._change(None, None, "timeout")
        view = self.view
        if view is None:
            raise StoreUnavailable("closed" if self._ended else "open", self.why)
        return view

    def settled(self, seconds: float) -> bool:
        """Wait for the store to be there, at most so long: for a command, which has the time."""
        self.start()
        return self._up.wait(seconds) and not self._ended

    def fail(self, view: View, why: str) -> None:
        """Open, unless the failure is about a view that has been replaced since."""
        if self._change(view, None, why):
            self._wake.set()

    def renew(self, view: View, newer: View) -> None:
        """Put a newer view in the place of one that still stands."""
        with self._lock:
            if self.view is not view:
                return
            self.view = newer
        for node in set(view.masters) - set(newer.masters):
            node.retire()

    def _change(self, was: View | None, view: View | None, why: str) -> bool:
        with self._lock:
            if self._ended or self.view is not was:
                return False
            known = self._decided.is_set()
            changed = not known or (was is None) != (view is None)
            self.view, self.why = view, why
            self._decided.set()
            if view is None:
                self._up.clear()
            else:
                self._up.set()
            if changed and self._on_change is not None:
                try:
                    self._on_change(view is not None, why)
                except Exception:  # a listener's mistake must not end the prober, and the service with it
                    _log.exception("store_listener_failed")
        if was is not None:
            was.retire()
        return True

    def _run(self) -> None:
        while not self._ended:
            view = self.view
            if view is None:
                self._try()
            elif self._look is not None:
                try:
                    self._look(view)
                except StoreUnavailable as failure:
                    self.fail(view, failure.why)
                except Exception:  # the next look must come, and the next probe
                    _log.exception("store_look_failed")
            if self._wake.wait(self._every if self.view is None else self._pause()):
                self._wake.clear()

    def _pause(self) -> float | None:
        return None if self._look is None else _LOOK_EVERY

    def _try(self) -> None:
        try:
            view = self._probe()
        except StoreUnavailable as failure:
            self._change(None, None, failure.why)
        except Exception:  # whatever it is, the next probe must come
            _log.exception("store_probe_failed")
            self._change(None, None, "internal")
        else:
            if not self._change(None, view, ""):
                view.retire()
