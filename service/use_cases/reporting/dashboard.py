"""The first page's figures and what needs a hand, put together; and the watch that feeds both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from service.activity import Activity
from service.attention import Attention
from service.billing.webhook import Envelope
from service.engine.engine import Engine, Receipt
from service.onlooker import ObjectWatch, ReaderWatch
from service.paywall.catalogue import Catalogue
from service.store.activity import ActivityStore
from service.store.attention import AttentionStore
from service.store.errors import StoreUnavailable
from service.store.grant_ends import GrantEnds
from service.store.keys import Keys
from service.store.link import Link
from service.store.readers import Readers


@dataclass(frozen=True)
class Overview:
    """The pieces, put together once a process."""

    activity: Activity
    notes: AttentionStore
    ends: GrantEnds
    attention: Attention


def build(
    catalogue: Catalogue, link: Link, keys: Keys, readers: Readers, engine: Engine, clock: Callable[[], float]
) -> Overview:
    """Puts them together and sets the watches; nothing connects yet."""
    activity = Activity(ActivityStore(link, keys), catalogue.zone, clock)
    notes, ends = AttentionStore(link, keys), GrantEnds(link, keys)
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
