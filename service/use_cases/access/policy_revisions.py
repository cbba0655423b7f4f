"""Register the title and store the policy in force when the store is available, and daily: retention keeps what is used."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from service.adapters.background_thread import BackgroundThread
from service.adapters.redis.client.link import Link
from service.adapters.redis.service_state.decision_records import PolicyStore
from service.adapters.redis.service_state.snapshot import TitleRegistry
from service.domain.catalogue import Catalogue
from service.domain.errors import StoreUnavailable

INTERVAL = 86_400.0
RETRY_AFTER = 1.0
"""Seconds until the next try while the store is unavailable."""


class PolicyRevisionTask(BackgroundThread):
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
        super().__init__("policy-revisions", self._save)
        self._policies = policies
        self._titles = titles
        self._catalogue = catalogue
        self._link = link
        self._clock = clock

    def _save(self) -> float:
        """Register the title, store the policy, and return when to do so again."""
        if self._link.wait(RETRY_AFTER):
            with suppress(StoreUnavailable):
                self._titles.register(self._clock())
                self._policies.save(self._catalogue, self._clock())
                return INTERVAL
        return RETRY_AFTER
