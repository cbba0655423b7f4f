"""Catching up: the events that Stripe has and we may never have been sent, from where the last catch-up ended.

The cursor is the catch-up's own, never the newest webhook's: deliveries that came on time say nothing of those that did
not. An event is recorded like a delivery, so what it finds survives a crash, and what is known costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.adapters.redis.client.store import Store
from service.use_cases.subscriptions.ports import Gateway
from service.use_cases.subscriptions.processor import FOR_PRICES, EventProcessor

OVERLAP = 600
"""Seconds before the cursor that are listed again: Stripe may list an event later than a younger one."""
EVERY = 300.0
"""Seconds between two catch-ups."""
BATCH = 200
LATE = 300
"""Seconds after which an event that Stripe lists, and that was never delivered, is a gap and no race."""


@dataclass(frozen=True, slots=True)
class CatchUpResult:
    """How many events Stripe listed, and how many of them were not known or not done."""

    listed: int
    missed: int
    prices: bool
    late: int = 0
    """Of those, how many a delivery should have brought long ago; never any of the first catch-up."""
    left: int = 0
    """Objects that they are about and that could not be read from Stripe: what the events say counts until then."""


class CatchUp:
    """Raises what the gateway raises (the cursor stays then), and `StoreUnavailable`."""

    def __init__(self, processor: EventProcessor, store: Store) -> None:
        self._processor = processor
        self._link = store.link
        self._key = store.keys.shared("catchup")

    def cursor(self) -> int | None:
        """`created` of the newest event that a finished catch-up has seen; `None`: none has finished yet."""
        (text,) = self._link.read([(self._key, (b"GET", self._key))])
        return int(text) if text else None

    def run(self, gateway: Gateway, now: float, *, dry_run: bool = False) -> CatchUpResult:
        """Lists, records and works. With `dry_run` it only counts what it would take up."""
        cursor = self.cursor()
        newest, listed, missed, prices, late, left = cursor or 0, 0, 0, False, 0, 0
        names: dict[str, None] = {}
        for envelope in gateway.events_since(None if cursor is None else cursor - OVERLAP):
            event = self._processor.to_inbox_event(envelope)
            listed, newest = listed + 1, max(newest, envelope.created)
            if dry_run:
                missed += self._processor.inbox.find_state(event.name, event.id) in (None, "pending")
                continue
            recorded = self._processor.inbox.record(event, now, mode="list", lease=False)
            prices = prices or (event.why == FOR_PRICES and recorded.before is None)
            if recorded.mark:
                missed += 1
                late += recorded.before is None and cursor is not None and now - envelope.created > LATE
                names[event.name] = None
            if len(names) >= BATCH:
                left += self._work(names, now)
        left += self._work(names, now)
        if newest and not dry_run:
            self._link.call(self._key, b"SET", self._key, newest)
        return CatchUpResult(listed, missed, prices, late, left)

    def _work(self, names: dict[str, None], now: float) -> int:
        """Recorded is safe: an object that cannot be brought up to date now waits. Gives how many do."""
        self._processor.work(list(names), now, "catch-up", force=True)
        left = sum(self._processor.pending_work.needs_refresh(name) for name in names)
        names.clear()
        return left
