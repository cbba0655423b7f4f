"""Keeps the policy in force in the store: as soon as the store is there, and daily, so that it counts as in use."""

from __future__ import annotations

import threading
from collections.abc import Callable

from service.adapters.redis.client.link import Link
from service.adapters.redis.service_state.decision_records import PolicyStore
from service.domain.catalogue import Catalogue
from service.domain.errors import StoreUnavailable

EVERY = 86_400.0
AGAIN = 1.0
"""Seconds until the next try, while the store cannot be written."""


class PolicyKeeper:
    """A thread of its own, so that no request ever waits for this."""

    def __init__(self, policies: PolicyStore, catalogue: Catalogue, link: Link, clock: Callable[[], float]) -> None:
        self._policies = policies
        self._catalogue = catalogue
        self._link = link
        self._clock = clock
        self._ended = threading.Event()

    def start(self) -> None:
        """Starts the thread. Once a process, after any fork."""
        threading.Thread(target=self._run, name="policy-keeper", daemon=True).start()

    def close(self) -> None:
        """Ends it, soon."""
        self._ended.set()

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            pause = AGAIN
            if self._link.wait(AGAIN):
                try:
                    self._policies.save(self._catalogue, self._clock())
                    pause = EVERY
                except StoreUnavailable:
                    continue
