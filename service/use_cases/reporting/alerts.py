"""Alerts: what needs attention and where to fix it; for the overview, the API and the digest.

They come from short lists that the change listeners and the worker write. Each entry is checked again before it is shown, so
resolved ones disappear immediately.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from service.adapters.redis.client.memory import FILLING_FROM
from service.adapters.redis.grants.grants import GrantEndIndex
from service.adapters.redis.reporting.alert_flags import AlertFlag, AlertStore, ObjectAlert
from service.domain.catalogue import DAY, HOUR, Catalogue
from service.domain.sources import Subscription
from service.domain.stripe_facts import StripeFacts
from service.use_cases.providers.snapshots import Snapshots, is_late
from service.use_cases.reporting.change_listeners import is_paid_for, unknown_prices
from service.use_cases.subscriptions.catch_up import CatchUpResult
from service.use_cases.subscriptions.event_processor import EventProcessor
from service.use_cases.subscriptions.full_sync import FullSyncResult

ENDS_WITHIN = 14 * DAY
FLAG_SHOWN_FOR = DAY
"""Seconds for which missed events, or a wrong clock, stay listed after they were last seen."""
DRIFT_SHOWN_FOR = 2 * DAY
CATCH_UP_LIMIT = HOUR
EXAMPLES = 10
_CHECKED = 50

Kind = Literal[
    "dead_letters",
    "unknown_prices",
    "ownerless",
    "second_trials",
    "grants_ending",
    "drift",
    "event_gap",
    "catch_up_late",
    "snapshot_late",
    "snapshot_refused",
    "clock",
    "store_memory",
]

OwnedFacts = tuple[str | None, StripeFacts]
"""The owner of an object, and its facts."""


@dataclass(frozen=True, slots=True)
class Example:
    """One case: the ID of an event, price, grant …, its reader, its time (epoch seconds), and a note."""

    id: str
    reader: str | None = None
    at: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert: how many cases there are, and some of them."""

    kind: Kind
    count: int
    examples: Sequence[Example] = ()

    @property
    def needs_action(self) -> bool:
        """Return whether someone has to act now; `grants_ending` is only a reminder."""
        return self.kind != "grants_ending" and self.count > 0

    @property
    def title(self) -> str:
        """Return what is wrong, to follow the count."""
        return ALERT_TEXTS[self.kind][self.count != 1]

    @property
    def advice(self) -> str:
        """Return what to do."""
        return ALERT_TEXTS[self.kind][2]

    @property
    def where(self) -> str:
        """Return the route, file or command that helps."""
        return ALERT_TEXTS[self.kind][3]


ALERT_TEXTS: Mapping[Kind, tuple[str, str, str, str]] = {
    "dead_letters": (
        "Stripe event failed after 10 attempts",
        "Stripe events failed after 10 attempts",
        "Check the error, fix its cause, and replay the event.",
        "/v1/events",
    ),
    "unknown_prices": (
        "purchased price isn't in any plan (buyer has no access)",
        "purchased prices aren't in any plan (buyers have no access)",
        "Add the price to a plan in paywall.toml. The buyer then has access immediately.",
        "paywall.toml",
    ),
    "ownerless": (
        "payment not linked to a reader",
        "payments not linked to a reader",
        "Link the customer or the subscription to a reader.",
        "/v1/readers/{reader}/links",
    ),
    "second_trials": (
        "reader is on a second trial of a plan",
        "readers are on a second trial of a plan",
        "Two checkouts were open at once. End the later trial in Stripe if it should be paid now.",
        "/v1/readers/{reader}",
    ),
    "event_gap": (
        "Stripe event was not delivered; the catch-up found it",
        "Stripe events were not delivered; the catch-up found them",
        "Check in the Stripe Dashboard why deliveries fail: the endpoint's address, its signing secret or a firewall.",
        "paywall doctor",
    ),
    "catch_up_late": (
        "catch-up with Stripe is over an hour late",
        "catch-ups with Stripe are late",
        "Check that a worker is running and that Stripe accepts the API key.",
        "paywall doctor",
    ),
    "snapshot_late": (
        "provider has not sent its snapshot in time",
        "providers have not sent their snapshots in time",
        "Check the job that sends it. Until then, access follows the last snapshot.",
        "paywall providers snapshot",
    ),
    "snapshot_refused": (
        "provider’s snapshot was refused, because it would end too many subscriptions",
        "providers’ snapshots were refused, because they would end too many subscriptions",
        "Check the file. If it is right, send it again with --force.",
        "paywall providers snapshot",
    ),
    "drift": (
        "object differed from Stripe in the last full sync",
        "objects differed from Stripe in the last full sync",
        "Objects that could be read from Stripe are corrected. Check that webhooks arrive, then run the sync again.",
        "paywall reconcile --sweep",
    ),
    "clock": (
        "server clock differs from Stripe's clock",
        "server clocks differ from Stripe's clock",
        "Synchronize the clock with NTP. While it is five minutes ahead, webhooks are rejected, and Stripe sends them again.",
        "paywall doctor",
    ),
    "store_memory": (
        f"store server has used {FILLING_FROM:.0%} of its memory (new visitors aren't counted)",
        f"store servers have used {FILLING_FROM:.0%} of their memory (new visitors aren't counted)",
        "Raise maxmemory, or PAYWALL_STORE_MEMORY for the embedded store.",
        "paywall doctor",
    ),
    "grants_ending": (
        f"grant expires within {ENDS_WITHIN // DAY} days",
        f"grants expire within {ENDS_WITHIN // DAY} days",
        "Extend the grant if it should continue.",
        "/v1/readers/{reader}/grants/{grant}",
    ),
}
"""The title for one case and for several, what to do, and where."""


@dataclass(frozen=True)
class Alerts:
    """Reads and records alerts. Raises: StoreUnavailable from every method."""

    catalogue: Catalogue
    processor: EventProcessor
    alert_store: AlertStore
    ends: GrantEndIndex
    snapshots: Snapshots

    def current(self, now: float) -> list[Alert]:
        """Return every kind of alert in a fixed order; the count is 0 if there is none."""
        flags = self.alert_store.load_flags()
        clock = _from_flag("clock", _recent(flags.get("clock"), now, FLAG_SHOWN_FOR), "clock")
        return [
            self._dead_letters(),
            self._unknown_prices(),
            self._ownerless(now),
            self._second_trials(now),
            _from_flag("event_gap", _recent(flags.get("event_gap"), now, FLAG_SHOWN_FOR), "events"),
            self._catch_up_late(flags.get("caught_up"), now),
            self._snapshots_late(now),
            self._snapshots_refused(),
            _from_flag("drift", _recent(flags.get("drift"), now, DRIFT_SHOWN_FOR), "sweep"),
            replace(clock, count=min(clock.count, 1)),  # Its flag counts seconds.
            self._store_memory(),
            self._grants_ending(now),
        ]

    def _dead_letters(self) -> Alert:
        count, latest = self.alert_store.list_dead_events(EXAMPLES)
        return Alert("dead_letters", count, [Example(event, at=at) for event, at in latest])

    def _unknown_prices(self) -> Alert:
        found = self.alert_store.list_prices()
        stored = self.processor.objects.load_all([bought.name for bought in found])
        left = [
            bought
            for bought, obj in zip(found, stored, strict=True)
            if obj.facts is not None and bought in unknown_prices(obj.name, obj.facts, self.catalogue)
        ]
        self.alert_store.remove_prices([bought for bought in found if bought not in left])
        examples = [Example(b.price, text=f"product {b.product or '-'}, in {b.name}") for b in left[:EXAMPLES]]
        return Alert("unknown_prices", len(left), examples)

    def _ownerless(self, now: float) -> Alert:
        count, left = self._current_objects("ownerless", now)
        examples = [Example(f.ref.id, at=f.created, text=f"customer {f.customer or '-'}") for _, f in left[:EXAMPLES]]
        return Alert("ownerless", count, examples)

    def _second_trials(self, now: float) -> Alert:
        count, left = self._current_objects("trials", now)
        return Alert("second_trials", count, [Example(f.ref.id, reader, f.created) for reader, f in left[:EXAMPLES]])

    def _current_objects(self, alert: ObjectAlert, now: float) -> tuple[int, list[OwnedFacts]]:
        """Return how many objects the alert can concern, and the latest that it does concern."""
        count, names = self.alert_store.list_objects(alert, _CHECKED)
        left = self._remove_resolved_of(alert, names, now)
        return count - len(names) + len(left), left

    def _remove_resolved_of(self, alert: ObjectAlert, names: Sequence[str], now: float) -> list[OwnedFacts]:
        """Return the objects that the alert still concerns, each with its owner; remove the others from the list."""
        left: dict[str, OwnedFacts] = {}
        for stored in self.processor.objects.load_all(names):
            reader, facts = stored.owner.reader, stored.facts
            if facts is not None and self._concerns(alert, reader, facts, now):
                left[stored.name] = reader, facts
        self.alert_store.remove_objects(alert, [name for name in names if name not in left])
        return list(left.values())

    def _concerns(self, alert: ObjectAlert, reader: str | None, facts: StripeFacts, now: float) -> bool:
        if alert == "ownerless":
            return reader is None and is_paid_for(facts, self.catalogue, now)
        return reader is not None and isinstance(facts.source, Subscription) and facts.source.status == "trialing"

    def remove_resolved(self, now: float) -> None:
        """Remove resolved and expired entries from the lists; the worker calls this hourly."""
        self.alert_store.trim()
        for alert in get_args(ObjectAlert):
            for names in self.alert_store.iterate_objects(alert):
                self._remove_resolved_of(alert, names, now)

    def _grants_ending(self, now: float) -> Alert:
        examples = [
            Example(e.grant, e.reader, e.until, f"{e.plan}, from import {e.import_id}")
            if e.import_id is not None
            else Example(e.grant, e.reader, e.until, e.plan or "single features")
            for e in self.ends.list_ending(now, now + ENDS_WITHIN, EXAMPLES)
        ]
        return Alert("grants_ending", self.ends.count(now, now + ENDS_WITHIN), examples)

    def _catch_up_late(self, flag: AlertFlag | None, now: float) -> Alert:
        # Without a Stripe API key there is no catch-up.
        if self.processor.gateway is None or flag is None or now - flag.at <= CATCH_UP_LIMIT:
            return Alert("catch_up_late", 0)
        return Alert("catch_up_late", 1, [Example("catch-up", at=flag.at, text="last run")])

    def _snapshots_late(self, now: float) -> Alert:
        late = [
            Example(provider.id, at=state.at, text="last snapshot" if state.at is not None else "no snapshot yet")
            for provider, state in self.snapshots.list_states()
            if is_late(provider, state, now)
        ]
        return Alert("snapshot_late", len(late), late[:EXAMPLES])

    def _snapshots_refused(self) -> Alert:
        refused = [
            Example(provider.id, at=found.at, text=f"would end {found.ending} of {found.running} running subscriptions")
            for provider, state in self.snapshots.list_states()
            if (found := state.refused) is not None
        ]
        return Alert("snapshot_refused", len(refused), refused[:EXAMPLES])

    def _store_memory(self) -> Alert:
        memory = self.alert_store.store_memory()
        examples = [Example("maxmemory", text=f"{memory.share:.0%} of {memory.limit / 2**20:,.0f} MB is in use")]
        return Alert("store_memory", int(memory.is_filling), examples if memory.is_filling else [])

    # Recorded by the worker.

    def record_catch_up(self, found: CatchUpResult, now: float) -> None:
        """Record that a catch-up ran, and add the events that it found too late to those of the last day."""
        self.alert_store.raise_flag("caught_up", found.listed, "", now)
        if found.late:
            before = _recent(self.alert_store.load_flags().get("event_gap"), now, FLAG_SHOWN_FOR)
            count = found.late + (before.count if before else 0)
            self.alert_store.raise_flag("event_gap", count, "found by the catch-up", now)

    def record_full_sync(self, found: FullSyncResult, now: float) -> None:
        """Raise the flag of the drift that a full sync found; clear it where there was none."""
        if not found.drift:
            self.alert_store.clear_flag("drift")
            return
        counts = Counter(drift.what for drift in found.drift)
        uncorrected = sum(not drift.corrected for drift in found.drift)
        summary = ", ".join(f"{count} {what}" for what, count in counts.items())
        self.alert_store.raise_flag("drift", len(found.drift), f"{summary}; {uncorrected} not corrected", now)


def _recent(flag: AlertFlag | None, now: float, within: float) -> AlertFlag | None:
    return flag if flag is not None and now - flag.at <= within else None


def _from_flag(kind: Kind, flag: AlertFlag | None, name: str) -> Alert:
    return Alert(kind, flag.count, [Example(name, at=flag.at, text=flag.detail)]) if flag else Alert(kind, 0)
