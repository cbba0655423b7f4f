"""Retention: once a day, in one process of all, delete what `[retention]` no longer keeps, and rewrite former marks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from service.adapters.redis.audit.verification import AuditVerifier, BrokenChain
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.adapters.redis.readers.history import HistoryRetention
from service.adapters.redis.service_state.decision_records import PolicyStore
from service.domain.catalogue import Catalogue

DAILY = 86_400
UNFINISHED = 600
"""Seconds after which another process may start again what one did not finish."""


@dataclass
class RetentionTask:
    """Deletes expired data; one per process. Raises: StoreUnavailable, after which a later call starts again."""

    catalogue: Catalogue
    retention: HistoryRetention
    policies: PolicyStore
    verifier: AuditVerifier
    erased: ErasedReaders
    on_broken: Callable[[int], None] = lambda seq: None
    _steps: Iterator[int] | None = field(default=None, init=False)

    def run_for(self, now: float, seconds: float) -> int:
        """Continue for so many seconds, or start if it is due. Return how many records were deleted."""
        steps, self._steps = self._steps, None  # What fails does not continue.
        if steps is None:
            if not self.retention.acquire_turn(UNFINISHED):
                return 0
            steps = self.iterate_steps(now)
        started, deleted = time.monotonic(), 0
        for count in steps:
            deleted += count
            if time.monotonic() - started >= seconds:
                self.retention.postpone(UNFINISHED)
                self._steps = steps
                return deleted
        self.retention.postpone(DAILY)
        return deleted

    def iterate_steps(self, now: float) -> Iterator[int]:
        """Delete everything that has expired, and rewrite former marks; yield how many records each step deleted.

        A broken audit chain stays as it is, so that `paywall audit verify` reports it.
        """
        kept = self.catalogue.retention
        yield from self.retention.trim_histories(now - kept.history)
        yield from self.erased.rewrite_former_marks()
        yield self.policies.prune(now - kept.history)
        if kept.audit is not None:
            try:
                yield self.verifier.prune(now - kept.audit, now)
            except BrokenChain as broken:
                self.on_broken(broken.verdict.fault.seq if broken.verdict.fault else 0)
