"""Watches what is written about readers and Stripe's objects, for figures and for what needs a hand.

It hears of writes, and never holds one up: where the store is away for its own notes, they are made later or not at all,
and whoever reads them asks the records themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from service.adapters.redis.grants.grant_ends import GrantEndIndex
from service.adapters.redis.readers.readers import WriteOutcome
from service.adapters.redis.reporting.alert_flags import AlertStore, UnknownPrice
from service.adapters.redis.reporting.usage_counts import UPSELL_WINDOW
from service.adapters.redis.stripe_objects.objects import StoredObject
from service.domain.catalogue import Catalogue
from service.domain.errors import StoreUnavailable
from service.domain.ownership import Owner
from service.domain.sources import STANDING, Grant, Pass, Source, Standing, Subscription
from service.domain.stripe_facts import Told
from service.use_cases.reporting.usage_counters import UsageCounters


class ReaderChangeListener:
    """Hears of sources (`store.readers.Watch`): subscriptions that begin, grants that end."""

    def __init__(self, activity: UsageCounters, ends: GrantEndIndex) -> None:
        self._activity = activity
        self._ends = ends

    def before_write(self, reader: str, source: Source) -> None:
        """A grant's earlier end is noted before it is written, so that a crash in between hides none."""
        if isinstance(source, Grant):
            self._ends.announce(reader, source)

    def after_write(self, reader: str, source: Source, outcome: WriteOutcome, now: float) -> None:
        """A grant's end is this now; a subscription that gives something and gave nothing before has begun."""
        if isinstance(source, Grant) and outcome.verdict in ("applied", "same"):
            with suppress(StoreUnavailable):
                self._ends.confirm(reader, source)
        elif isinstance(source, Subscription) and outcome.verdict == "applied" and began(source, outcome.before, now):
            self._activity.begun(reader, source.created)


def began(source: Subscription, before: Source | None, now: float) -> bool:
    """Whether this is a subscription that has just begun: paid for, or on trial, and of these days."""
    if source.role != "subscription" or not gives(source) or now - source.created > UPSELL_WINDOW:
        return False
    return before is None or (isinstance(before, Subscription) and not gives(before))


def gives(source: Subscription) -> bool:
    """Whether its status gives access."""
    return STANDING.get(source.status, (Standing.NONE, None))[0] is Standing.GOOD


class ObjectChangeListener:
    """Hears of Stripe's objects (`store.objects.Watch`): prices that no plan has, payments that are nobody's."""

    def __init__(self, catalogue: Catalogue, notes: AlertStore, clock: Callable[[], float]) -> None:
        self._catalogue = catalogue
        self._notes = notes
        self._clock = clock

    def object_applied(self, name: str, told: Told, now: float) -> None:
        """What was bought is some plan's, or is noted."""
        for bought in unknown_prices(name, told, self._catalogue):
            with suppress(StoreUnavailable):
                self._notes.add_price(bought, now)

    def owner_saved(self, seen: StoredObject, owner: Owner) -> None:
        """What was paid is somebody's, or is noted; what has become somebody's is noted no more."""
        told = seen.told
        if owner.reader is None and told is not None and is_paid_for(told, self._catalogue, self._clock()):
            with suppress(StoreUnavailable):
                self._notes.add_unassigned(seen.name, self._clock())
        elif owner.reader is not None and seen.owner.reader is None:
            with suppress(StoreUnavailable):
                self._notes.remove_unassigned([seen.name])


def unknown_prices(name: str, told: Told, catalogue: Catalogue) -> list[UnknownPrice]:
    """The prices in an object that still gives something, or will, and that no plan has."""
    source = told.source
    if isinstance(source, Subscription):
        if told.terminal:
            return []
        items = [(item.price, item.lookup_key, item.product) for item in source.items]
    elif isinstance(source, Pass):
        bought = ((source.price, source.lookup_key, source.product), *source.others)
        items = [(price or "", lookup_key, product) for price, lookup_key, product in bought]
        if source.plan_in(catalogue) is not None:  # What is bought along with a pass is a mug, and no mistake.
            return []
    else:
        return []
    return [UnknownPrice(*item, name) for item in items if item[0] and catalogue.plan_for(*item) is None]


def is_paid_for(told: Told, catalogue: Catalogue, now: float) -> bool:
    """Whether this gives somebody something, if it is known whom. What waits as a gift is meant to be nobody's yet.

    A one-time payment counts if it is for a plan, since a shop may sell mugs by the same account; and until its pass has
    run out, since nothing opens by linking it then.
    """
    source = told.source
    if told.claims.gift_pending:
        return False
    if isinstance(source, Pass):
        (held,) = source.holdings(catalogue)
        over = source.refunded or source.disputed or (held.until is not None and held.until <= now)
        return held.plan is not None and not over
    return isinstance(source, Subscription) and not told.terminal and (gives(source) or source.status == "past_due")
