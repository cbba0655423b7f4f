"""The look-alike's state: every object by kind and ID, the clock, the due work, and the deliveries.

It is in memory. Every request and delivery holds one lock while it uses the state.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from stripe_lookalike import ids
from stripe_lookalike.clock import Clock, Schedule
from stripe_lookalike.errors import Json, missing

API_VERSION = "2026-10-28.endive"


class Policy(msgspec.Struct, forbid_unknown_fields=True):
    """Settings that a publisher has in Stripe's Dashboard, and what a test chooses."""

    billing_mode: Literal["flexible", "classic"] = "flexible"  # of new subscriptions that don't choose one
    retry_days: list[int] = msgspec.field(
        default_factory=lambda: [3, 4, 6]
    )  # days from each failed attempt to the next
    when_retries_fail: Literal["cancel", "unpaid", "past_due"] = "cancel"
    refund_status: str = "succeeded"  # of new refunds; the control routes settle pending ones
    keep_events_for: int = 30 * 86_400


@dataclass
class Cause:
    """The request that causes an event. Without an ID, the event comes from due work."""

    id: str | None = None
    idempotency_key: str | None = None
    base_url: str = ""  # of the request, for links to the look-alike's pages


class World:
    """All objects and their changes. Hold `lock` while you use it."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.lock = threading.RLock()
        self.clock = clock or Clock()
        self.schedule = Schedule()
        self.policy = Policy()
        self.tables: dict[str, dict[str, Json]] = {}
        self.cause = Cause()
        self.announced_trials: set[tuple[str, int]] = set()  # subscription and trial end of each `trial_will_end` event
        self.delivered: set[tuple[str, str]] = set()  # event and endpoint
        self.pinned_events: set[str] = set()  # loaded events, which are listed whatever their age
        self.on_event: Callable[[Json], None] = lambda event: None
        self._instant: int | None = None

    def now(self) -> int:
        """Return the clock's time; while due work runs, return the moment at which it was due."""
        return self.clock.now() if self._instant is None else self._instant

    @contextmanager
    def as_of(self, moment: int) -> Iterator[None]:
        """Run the block as of `moment`, without a request as its cause."""
        before, cause, self._instant, self.cause = self._instant, self.cause, moment, Cause()
        try:
            yield
        finally:
            self._instant, self.cause = before, cause

    def table(self, kind: str) -> dict[str, Json]:
        """Return the objects of a kind (their `object` field) by ID, in order of creation."""
        return self.tables.setdefault(kind, {})

    def add(self, obj: Json) -> Json:
        self.table(obj["object"])[obj["id"]] = obj
        return obj

    def get(self, kind: str, object_id: str, param: str = "id", status: int = 404) -> Json:
        found = self.table(kind).get(object_id)
        if found is None:
            raise missing(kind, object_id, param, status)
        return found

    def find(self, object_id: str) -> Json | None:
        """Return an object of any kind by its ID."""
        return next((table[object_id] for table in self.tables.values() if object_id in table), None)

    def emit(self, event_type: str, obj: Json, previous: Json | None = None) -> Json:
        """Record an event with the present state of `obj`, and queue its deliveries."""
        data: Json = {"object": public(obj)}
        if previous is not None:
            data["previous_attributes"] = previous
        event = self.add_event(event_type, data)
        self.on_event(event)
        return event

    def add_event(self, event_type: str, data: Json, **fields: Any) -> Json:
        """Record an event, of this moment if `fields` don't say otherwise, without deliveries."""
        return self.add(
            {
                "id": ids.new("evt_1"),
                "object": "event",
                "api_version": API_VERSION,
                "created": self.now(),
                "data": data,
                "livemode": False,
                "pending_webhooks": 0,
                "request": {"id": self.cause.id, "idempotency_key": self.cause.idempotency_key},
                "type": event_type,
                **fields,
            }
        )

    @contextmanager
    def changing(self, obj: Json, event_type: str) -> Iterator[None]:
        """Emit `event_type` with the previous attributes if the block changes `obj`."""
        before = copy.deepcopy(obj)
        yield
        previous = _previous(before, obj)
        if previous:
            self.emit(event_type, obj, previous)


def _previous(before: Json, after: Json) -> Json:
    """Return the changed fields with their old values. For metadata, Stripe lists only the changed keys."""
    previous: Json = {key: value for key, value in before.items() if after.get(key) != value}
    previous.update(dict.fromkeys(after.keys() - before.keys()))
    if "metadata" in previous:
        old, new = before["metadata"], after["metadata"]
        previous["metadata"] = {key: old.get(key) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    return previous


def public(value: Any) -> Any:
    """Return a deep copy without the look-alike's private fields, whose names begin with `_`."""
    if isinstance(value, dict):
        return {key: public(inner) for key, inner in value.items() if not key.startswith("_")}
    if isinstance(value, list):
        return [public(inner) for inner in value]
    return value


def embedded(url: str, data: list[Any], total: bool = True) -> Json:
    """Return a list object to embed in another object."""
    found: Json = {"object": "list", "data": data, "has_more": False, "url": url}
    if total:
        found["total_count"] = len(data)
    return found
