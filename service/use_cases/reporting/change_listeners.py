"""Listeners to deliveries of Stripe and to writes about readers and Stripe objects, which feed the figures and the alerts.

A listener never blocks a write. If the store is unavailable for its own records, it makes them later or not at all; whoever
reads them checks the records of readers and objects again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from service.adapters.redis.grants.grants import GrantEndIndex
from service.adapters.redis.readers.readers import WriteOutcome
from service.adapters.redis.reporting.alert_flags import AlertStore, UnknownPrice
from service.adapters.redis.reporting.usage_counts import UPSELL_WINDOW
from service.adapters.redis.stripe_objects.objects import StoredObject
from service.adapters.stripe.webhook import Envelope
from service.domain.catalogue import Catalogue
from service.domain.errors import StoreUnavailable
from service.domain.ownership import Owner
from service.domain.sources import STANDING, Grant, Pass, Source, Standing, Subscription
from service.domain.stripe_facts import StripeFacts
from service.use_cases.checkout.trials import Trials
from service.use_cases.reporting.usage_counters import UsageCounters
from service.use_cases.subscriptions.event_processor import DeliveryResult, EventProcessor

CLOCK_TOLERANCE = 60
"""Seconds by which our clock may be behind Stripe's."""


class DeliveryReceiver:
    """Hands deliveries of Stripe to the processor, and counts them with their delay."""

    def __init__(self, processor: EventProcessor, usage_counters: UsageCounters, alert_store: AlertStore) -> None:
        self._processor = processor
        self._usage_counters = usage_counters
        self._alert_store = alert_store

    def receive_event(self, envelope: Envelope, now: float) -> DeliveryResult:
        """Record a verified event as `EventProcessor.receive_event` does, and count it. Raises: `StoreUnavailable`."""
        receipt = self._processor.receive_event(envelope, now)
        if receipt.known:
            self._usage_counters.count_delivery("repeat")
            return receipt
        self._usage_counters.count_delivery(receipt.state, now - envelope.created)
        behind = envelope.created - now
        if behind > CLOCK_TOLERANCE:
            with suppress(StoreUnavailable):
                self._alert_store.raise_flag("clock", round(behind), f"at least {round(behind)} s behind", now)
        return receipt

    def note_late(self, seconds: int, now: float) -> None:
        """Note that a delivery was refused although Stripe signed it, so long ago by our clock."""
        with suppress(StoreUnavailable):
            self._alert_store.raise_flag("clock", seconds, f"{seconds} s ahead, or deliveries arrive as late", now)


class ReaderChangeListener:
    """Listens to changes of sources, for subscriptions that start, second trials, and grants that expire."""

    def __init__(self, usage_counters: UsageCounters, ends: GrantEndIndex, trials: Trials) -> None:
        self._usage_counters = usage_counters
        self._ends = ends
        self._trials = trials

    def before_write(self, reader: str, source: Source) -> None:
        """Record a grant's expiry before it is written, so that a crash in between hides none."""
        if isinstance(source, Grant):
            self._ends.announce(reader, source)

    def after_write(self, reader: str, source: Source, outcome: WriteOutcome, now: float) -> None:
        """Confirm a grant's expiry; count a subscription that started or ended, and note a second trial."""
        if isinstance(source, Grant) and outcome.verdict in ("applied", "same"):
            with suppress(StoreUnavailable):
                self._ends.confirm(reader, source)
        elif isinstance(source, Subscription) and outcome.verdict == "applied":
            if source.status == "trialing":
                with suppress(StoreUnavailable):
                    self._trials.note_second(reader, source, now)
            if is_new_subscription(source, outcome.before, now):
                self._usage_counters.count_started_subscription(reader, source.created)
            elif is_canceled(source, outcome.before):
                self._usage_counters.count_canceled_subscription(now)


def is_new_subscription(source: Subscription, before: Source | None, now: float) -> bool:
    """Return whether a subscription, paid or on trial, started within the last days."""
    if source.role != "subscription" or not gives_access(source) or now - source.created > UPSELL_WINDOW:
        return False
    return before is None or (isinstance(before, Subscription) and not gives_access(before))


def is_canceled(source: Subscription, before: Source | None) -> bool:
    """Return whether a subscription ended, at the period's end or at once. A paused one has not ended."""
    if source.role != "subscription" or not isinstance(before, Subscription):
        return False
    return before.status in _RUNNING and source.status in _OVER


_RUNNING = frozenset({"trialing", "active", "past_due", "paused"})
_OVER = frozenset({"canceled", "unpaid"})


def gives_access(source: Subscription) -> bool:
    """Return whether a subscription's status gives access."""
    return STANDING.get(source.status, (Standing.NONE, None))[0] is Standing.GOOD


class ObjectChangeListener:
    """Listens to changes of Stripe objects, for prices without a plan and payments without a reader."""

    def __init__(self, catalogue: Catalogue, alert_store: AlertStore, clock: Callable[[], float]) -> None:
        self._catalogue = catalogue
        self._alert_store = alert_store
        self._clock = clock

    def object_applied(self, name: str, facts: StripeFacts, now: float) -> None:
        """Record the purchased prices that are in no plan."""
        for bought in unknown_prices(name, facts, self._catalogue):
            with suppress(StoreUnavailable):
                self._alert_store.add_price(bought, now)

    def owners_saved(self, saved: Sequence[tuple[StoredObject, Owner]]) -> None:
        """Record payments without a reader; remove those that have one now."""
        now = self._clock()
        found = [seen.name for seen, owner in saved if owner.reader is not None and seen.owner.reader is None]
        unassigned = [(seen.name, seen.facts) for seen, owner in saved if owner.reader is None]
        with suppress(StoreUnavailable):
            self._alert_store.remove_objects("ownerless", found)
            self._alert_store.add_objects(
                "ownerless",
                [name for name, facts in unassigned if facts and is_paid_for(facts, self._catalogue, now)],
                now,
            )


def unknown_prices(name: str, facts: StripeFacts, catalogue: Catalogue) -> list[UnknownPrice]:
    """Return the prices without a plan in an object that gives access now or later."""
    source = facts.source
    if isinstance(source, Subscription):
        if facts.terminal:
            return []
        items = [(item.price, item.lookup_key, item.product) for item in source.items]
    elif isinstance(source, Pass):
        bought = ((source.price, source.lookup_key, source.product), *source.others)
        items = [(price or "", lookup_key, product) for price, lookup_key, product in bought]
        if source.plan_in(catalogue) is not None:  # Other items beside a pass, such as a mug, need no plan.
            return []
    else:
        return []
    return [UnknownPrice(*item, name) for item in items if item[0] and catalogue.plan_for(*item) is None]


def is_paid_for(facts: StripeFacts, catalogue: Catalogue, now: float) -> bool:
    """Return whether this object would give a reader access. A gift that waits for its recipient does not count.

    A one-time payment counts if it is for a plan, because a shop can sell other things with the same account, and until
    its pass expires, because linking it then opens nothing.
    """
    source = facts.source
    if facts.claims.gift_pending:
        return False
    if isinstance(source, Pass):
        (held,) = source.holdings(catalogue)
        over = source.refunded or source.disputed or (held.until is not None and held.until <= now)
        return held.plan is not None and not over
    return (
        isinstance(source, Subscription)
        and not facts.terminal
        and (gives_access(source) or source.status == "past_due")
    )
