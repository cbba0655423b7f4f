"""Retention: once a day what `[retention]` keeps no longer is let go, a little at a time, by whoever comes first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from service.adapters.redis.audit.verification import AuditVerifier, BrokenChain
from service.adapters.redis.readers.history import HistoryRetention
from service.adapters.redis.service_state.decision_records import PolicyStore
from service.domain.catalogue import Catalogue

DAILY = 86_400
UNFINISHED = 600
"""Seconds after which somebody else begins anew what one began and did not finish."""


class RetentionTask:
    """One a process; it remembers how far it is. `StoreUnavailable` while the store is away; it then begins anew later."""

    def __init__(
        self,
        catalogue: Catalogue,
        retention: HistoryRetention,
        policies: PolicyStore,
        check: AuditVerifier,
        *,
        on_broken: Callable[[int], None] = lambda seq: None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._retention = retention
        self._policies = policies
        self._check = check
        self._on_broken = on_broken
        self._timer = timer
        self._under_way: Iterator[int] | None = None

    def go_on(self, now: float, seconds: float) -> int:
        """Goes on with what is under way, or begins where it is due. Gives how much was let go."""
        if self._under_way is None:
            if not self._retention.acquire_turn(UNFINISHED):
                return 0
            self._under_way = self.steps(now)
        begun, gone = self._timer(), 0
        try:
            for count in self._under_way:
                gone += count
                if self._timer() - begun >= seconds:
                    self._retention.postpone(UNFINISHED)
                    return gone
        except BaseException:
            self._under_way = None
            raise
        self._under_way = None
        self._retention.postpone(DAILY)
        return gone

    def steps(self, now: float) -> Iterator[int]:
        """Everything that is kept no longer, in steps; each gives how much went.

        An audit chain that is not sound is left as it is, for `paywall audit verify` to tell.
        """
        kept = self._catalogue.retention
        yield from self._retention.trim_histories(now - kept.history)
        yield self._policies.prune(now - kept.history)
        if kept.audit is not None:
            try:
                yield self._check.prune(now - kept.audit, now)
            except BrokenChain as broken:
                self._on_broken(broken.verdict.fault.seq if broken.verdict.fault else 0)
