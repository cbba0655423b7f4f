"""The circuit breaker: while the store is unavailable no caller waits for it, and one thread probes until it is back.

The breaker is closed while it has a topology; an access check reads that one attribute. The first definite failure removes
it. Then the prober's thread runs one probe at a time until one succeeds. Nothing is known at the start: the first caller
waits for the first probe, at most one time-out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from service.adapters.redis.client.topology import Topology
from service.domain.errors import StoreUnavailable

_log = logging.getLogger(__name__)

_MONITOR_EVERY = 1.0  # seconds between two runs of `monitor` while closed


class CircuitBreaker:
    """Keeps the topology while the store is available, and probes while it is not.

    `probe` finds and tries the store, or raises StoreUnavailable. `monitor` runs while the breaker is closed, and opens
    it by raising the same. `timeout` and `probe_every` are seconds. `on_change(available, why, detail)` is called for every
    change, in order, by the thread that made it; it must be quick.
    """

    def __init__(
        self,
        probe: Callable[[], Topology],
        *,
        timeout: float,
        probe_every: float,
        on_change: Callable[[bool, str, str], None] | None = None,
        monitor: Callable[[Topology], None] | None = None,
    ) -> None:
        self._probe = probe
        self._timeout = timeout
        self._probe_every = probe_every
        self._on_change = on_change
        self._monitor = monitor
        self.reset()

    def reset(self) -> None:
        """Forget everything, as at the start. A forked child needs this: the thread and every lock are its parent's."""
        self.topology: Topology | None = None
        self.why = self.detail = ""
        self._lock = threading.RLock()  # on_change may use the store
        self._decided = threading.Event()
        self._available = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Return whether calls fail at once; false while nothing is known yet."""
        return self.topology is None and self._decided.is_set()

    def start(self) -> None:
        """Start the prober, once."""
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="store-prober", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the prober. From then on every call fails."""
        with self._lock:
            self._closed = True
            topology, self.topology = self.topology, None
            thread = self._thread
        self._decided.set()
        self._available.set()
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._timeout * 4)
        if topology is not None:
            topology.retire()

    def require_topology(self) -> Topology:
        """Return the topology, for a caller that found none: wait for the first probe, or fail at once.

        Raises: StoreUnavailable with `why` "open", or "closed" after `close`.
        """
        if not self._decided.is_set():
            self.start()
            if not self._decided.wait(self._timeout):
                self._change(None, None, StoreUnavailable("timeout"))
        topology = self.topology
        if topology is None:
            raise StoreUnavailable("closed" if self._closed else "open", self.detail)
        return topology

    def wait_until_available(self, seconds: float) -> bool:
        """Wait for the store, at most so long: for a command, which has the time. Return whether it is available."""
        self.start()
        return self._available.wait(seconds) and not self._closed

    def trip(self, topology: Topology, failure: StoreUnavailable) -> None:
        """Open, unless the failure is about a topology that has been replaced since."""
        if self._change(topology, None, failure):
            self._wake.set()

    def replace(self, topology: Topology, newer: Topology) -> None:
        """Replace a topology that is still in force."""
        with self._lock:
            if self.topology is not topology:
                return
            self.topology = newer
        for node in set(topology.masters) - set(newer.masters):
            node.retire()

    def _change(self, before: Topology | None, after: Topology | None, failure: StoreUnavailable | None) -> bool:
        with self._lock:
            if self._closed or self.topology is not before:
                return False
            known = self._decided.is_set()
            changed = not known or (before is None) != (after is None)
            self.topology = after
            self.why, self.detail = (failure.why, str(failure)) if failure is not None else ("", "")
            self._decided.set()
            if after is None:
                self._available.clear()
            else:
                self._available.set()
            if changed and self._on_change is not None:
                try:
                    self._on_change(after is not None, self.why, self.detail)
                except Exception:  # a failing callback must not end the prober, and the service with it
                    _log.exception("store_listener_failed")
        if before is not None:
            before.retire()
        return True

    def _run(self) -> None:
        while not self._closed:
            topology = self.topology
            if topology is None:
                self._probe_once()
            elif self._monitor is not None:
                try:
                    self._monitor(topology)
                except StoreUnavailable as failure:
                    self.trip(topology, failure)
                except Exception:  # the next run must come, and the next probe
                    _log.exception("store_look_failed")
            until_monitoring = None if self._monitor is None else _MONITOR_EVERY
            if self._wake.wait(self._probe_every if self.topology is None else until_monitoring):
                self._wake.clear()

    def _probe_once(self) -> None:
        try:
            topology = self._probe()
        except StoreUnavailable as failure:
            self._change(None, None, failure)
        except Exception:  # the next probe must come, whatever failed
            _log.exception("store_probe_failed")
            self._change(None, None, StoreUnavailable("internal"))
        else:
            if not self._change(None, topology, None):
                topology.retire()
