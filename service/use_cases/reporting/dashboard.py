"""The first page's figures and what needs a hand, put together; and the watch that feeds both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from service.adapters.redis.client.store import Store
from service.adapters.redis.grants.grant_ends import GrantEnds
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.reporting.alert_flags import AttentionStore
from service.adapters.redis.reporting.usage_counts import ActivityStore
from service.adapters.stripe.webhook import Envelope
from service.domain.catalogue import Catalogue
from service.domain.errors import StoreUnavailable
from service.use_cases.reporting.alerts import Attention
from service.use_cases.reporting.change_listeners import ObjectWatch, ReaderWatch
from service.use_cases.reporting.usage_counters import Activity
from service.use_cases.subscriptions.processor import Engine, Receipt


@dataclass(frozen=True)
class Overview:
    """The pieces, put together once a process."""

    activity: Activity
    notes: AttentionStore
    ends: GrantEnds
    attention: Attention


def build(catalogue: Catalogue, store: Store, readers: Readers, engine: Engine, clock: Callable[[], float]) -> Overview:
    """Puts them together and sets the watches; nothing connects yet."""
    activity = Activity(ActivityStore(store), catalogue.zone, clock)
    notes, ends = AttentionStore(store), GrantEnds(store)
    readers.watch = ReaderWatch(activity, ends)
    engine.objects.watch = ObjectWatch(catalogue, notes, clock)
    return Overview(activity, notes, ends, Attention(catalogue, engine, notes, ends))


class Receiver:
    """Takes deliveries for the engine, and counts them with their delay."""

    def __init__(self, engine: Engine, overview: Overview) -> None:
        self._engine = engine
        self._overview = overview

    def receive(self, envelope: Envelope, now: float) -> Receipt:
        """As the engine's."""
        receipt = self._engine.receive(envelope, now)
        if receipt.known:
            self._overview.activity.delivered("repeat")
        else:
            self._overview.activity.delivered(receipt.state, now - envelope.created)
            if envelope.created > now:
                with suppress(StoreUnavailable):
                    self._overview.attention.clock_behind(envelope.created - now, now)
        return receipt
