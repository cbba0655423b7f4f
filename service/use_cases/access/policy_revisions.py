"""Register the title and store the policy in force when the store is available, and daily: retention keeps what is used."""

from __future__ import annotations

import threading
from collections.abc import Callable

from service.adapters.redis.client.link import Link
from service.adapters.redis.service_state.decision_records import PolicyStore
from service.adapters.redis.service_state.titles import TitleRegistry
from service.domain.catalogue import Catalogue
from service.domain.errors import StoreUnavailable

INTERVAL = 86_400.0
RETRY_AFTER = 1.0
"""Seconds until the next try while the store is unavailable."""


class PolicyRevisionTask:
    """Stores the policy in a thread of its own, so that no request waits for it."""

    def __init__(
        self,
        policies: PolicyStore,
        titles: TitleRegistry,
        catalogue: Catalogue,
        *,
        link: Link,
        clock: Callable[[], float],
    ) -> None:
        self._policies = policies
        self._titles = titles
        self._catalogue = catalogue
        self._link = link
        self._clock = clock
        self._ended = threading.Event()

    def start(self) -> None:
        """Start the thread. Call it once in each process, after a fork."""
        threading.Thread(target=self._run, name="policy-revisions", daemon=True).start()

    def close(self) -> None:
        """Ask the thread to end; do not wait for it."""
        self._ended.set()

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            pause = RETRY_AFTER
            if self._link.wait(RETRY_AFTER):
                try:
                    self._titles.register(self._clock())
                    self._policies.save(self._catalogue, self._clock())
                    pause = INTERVAL
                except StoreUnavailable:
                    continue
