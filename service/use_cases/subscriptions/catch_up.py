"""Catch up on events that Stripe has and may never have delivered, from where the last catch-up ended.

The cursor is the catch-up's own, never the newest webhook's: a delivery that came in time says nothing about others. An
event is recorded like a delivery, so the catch-up survives a crash, and known events cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.use_cases.subscriptions.event_processor import FOR_PRICES, EventProcessor
from service.use_cases.subscriptions.object_refresh import Job, StripeApi

CURSOR = "catchup"
"""The moment with this name is `created` of the newest event that a finished catch-up has seen."""
OVERLAP = 600
"""Seconds before the cursor that are listed again: Stripe may list an event after a younger one."""
EVERY = 300.0
"""Seconds between two catch-ups."""
BATCH = 200
LATE = 300
"""Seconds after which a listed event that was never delivered is a gap in the deliveries, not a race."""


@dataclass(slots=True)
class CatchUpResult:
    """How many events Stripe listed, and how many of them were unknown or unfinished."""

    listed: int = 0
    missed: int = 0
    prices: bool = False
    """Whether prices of the offer have changed."""
    late: int = 0
    """Missed events that should have been delivered long ago; always 0 for the first catch-up."""
    left: int = 0
    """Objects that could not be read from Stripe: the payloads count until they are."""


class CatchUp:
    """Catches up. Raises: StoreUnavailable, and StripeFailure, after which the cursor stays."""

    def __init__(self, processor: EventProcessor) -> None:
        self._processor = processor

    def catch_up(self, gateway: StripeApi, now: float, *, dry_run: bool = False) -> CatchUpResult:
        """List, record and process events. With `dry_run` only count what would be processed."""
        cursor = self._processor.pending_work.load_moment(CURSOR)
        found, newest = CatchUpResult(), cursor or 0
        names: dict[str, None] = {}
        for envelope in gateway.list_events_since(None if cursor is None else cursor - OVERLAP):
            event = self._processor.to_inbox_event(envelope)
            found.listed, newest = found.listed + 1, max(newest, envelope.created)
            if dry_run:
                found.missed += self._processor.inbox.find_state(event.name, event.id) in (None, "pending")
                continue
            recorded = self._processor.inbox.record(event, now, mode="list", lease=False)
            found.prices |= event.why == FOR_PRICES and recorded.before is None
            if recorded.number:
                found.missed += 1
                found.late += recorded.before is None and cursor is not None and now - envelope.created > LATE
                names[event.name] = None
            if len(names) >= BATCH:
                found.left += self._refresh(names, now)
        found.left += self._refresh(names, now)
        if newest and not dry_run:
            self._processor.pending_work.save_moment(CURSOR, newest)
        return found

    def _refresh(self, names: dict[str, None], now: float) -> int:
        """Refresh the objects of recorded events. Return how many could not be read, and wait for the worker."""
        for name in names:
            self._processor.refresh_object(name, Job(now, "catch-up", force=True))
        left = sum(self._processor.pending_work.needs_refresh(name) for name in names)
        names.clear()
        return left
