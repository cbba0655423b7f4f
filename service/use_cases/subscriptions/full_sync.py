"""Full sync: compare everything that Stripe has with everything that is stored, for changes that no event reported.

A list is only a hint. An object that differs is read by itself, under a number, like after an event. Of an object that
was unknown the list counts until then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from service.adapters.redis.readers import source_codec
from service.adapters.redis.stripe_objects import facts_codec
from service.adapters.redis.stripe_objects.objects import StoredObject
from service.domain.catalogue import DAY
from service.domain.errors import NoSuchObject
from service.domain.event_order import version_of_read
from service.domain.sources import Pass
from service.domain.stripe_facts import StripeFacts
from service.use_cases.subscriptions.event_processor import EventProcessor
from service.use_cases.subscriptions.object_refresh import Job, StripeApi
from service.use_cases.subscriptions.projections import next_recheck, paid_at_of

SESSIONS_BACK = 180 * DAY
"""Seconds back from now for which Checkout sessions are listed: no later refund or dispute changes what a pass opens."""
EVERY = DAY
"""Seconds between two full syncs; the first starts at once, and finds what is older than the service."""
MOST_COPIES = 100
"""The most copies of an object that are compared with their readers' records."""

DriftKind = Literal["unknown", "differs", "unconfirmed", "not shown", "copy lost", "not listed"]


@dataclass(frozen=True, slots=True)
class Drift:
    """An object that is not stored as Stripe has it, or not fanned out as it is stored."""

    name: str
    what: DriftKind
    corrected: bool


@dataclass(slots=True)
class FullSyncResult:
    """What a full sync has found so far. `listed` counts Stripe's objects, `read` those that were read one by one."""

    listed: int = 0
    read: int = 0
    drift: list[Drift] = field(default_factory=list)


class FullSync:
    """Compares and corrects. Raises: StoreUnavailable, StripeFailure; what was corrected until then stays so."""

    def __init__(self, processor: EventProcessor) -> None:
        self._processor = processor

    def is_due(self, now: float) -> bool:
        """Return whether the last finished full sync started a day ago; the first one is due at once.

        One that started in the future is due too: the clock has gone back.
        """
        last = self._processor.pending_work.load_moment("sweep")
        return last is None or not last <= now < last + EVERY

    def sync_all(self, gateway: StripeApi, now: float, *, dry_run: bool = False) -> FullSyncResult:
        """Compare all objects. With `dry_run` correct nothing."""
        found = FullSyncResult()
        for _ in self.sync_steps(gateway, now, found, dry_run=dry_run):
            continue
        return found

    def sync_steps(
        self, gateway: StripeApi, now: float, found: FullSyncResult, *, dry_run: bool = False
    ) -> Iterator[None]:
        """Compare one object a step, for a worker that does other work in between."""
        seen: set[str] = set()
        for listing in (gateway.list_subscriptions(), gateway.list_sessions(int(now) - SESSIONS_BACK)):
            for facts in listing:
                seen.add(facts.ref.name)
                found.listed += 1
                self._compare_listed(facts, now, found, dry_run)
                yield
        for names in self._processor.pending_work.iterate_objects():
            for name in names:
                if name not in seen:
                    seen.add(name)
                    self._compare_unlisted(gateway, name, now, found, dry_run)
                    yield
        if not dry_run:
            self._processor.pending_work.save_moment("sweep", int(now))

    def store_listed(self, facts: StripeFacts, now: float) -> None:
        """Store a listed object that is unknown, and correct one that differs. It can be repeated.

        What has to be read of an object that was unknown is left to the worker.
        """
        stored = self._processor.objects.load(facts.ref.name)
        what = self._drift(facts, stored)
        if what == "unknown":
            self._apply_listed(facts, stored, now)
        elif what == "differs":
            self._read(stored.name, now)
        if what == "unknown" or not stored.is_fanned_out:
            job = Job(now, "sweep", may_read=lambda: False)
            self._processor.object_refresh.fan_out_object(stored.name, job)

    def _compare_listed(self, facts: StripeFacts, now: float, found: FullSyncResult, dry_run: bool) -> None:
        stored = self._processor.objects.load(facts.ref.name)
        what = self._drift(facts, stored)
        if what is None:
            return
        if dry_run:
            found.drift.append(Drift(stored.name, what, False))
            return
        if what == "unknown":
            self._apply_listed(facts, stored, now)
            self._processor.object_refresh.fan_out_object(stored.name, Job(now, "sweep"))
        if what == "copy lost":
            self._processor.objects.request_fan_out(stored.name, now)
        found.read += 1
        found.drift.append(Drift(stored.name, what, self._read(stored.name, now)))

    def _compare_unlisted(
        self, gateway: StripeApi, name: str, now: float, found: FullSyncResult, dry_run: bool
    ) -> None:
        """Compare an object that no list has: customers and entitlements, or a subscription that Stripe has deleted."""
        stored = self._processor.objects.load(name)
        known = stored.facts
        if known is None or (stored.confirmed and stored.is_fanned_out and (known.terminal or known.deleted)):
            return
        what: DriftKind = "not listed" if known.ref.kind == "subscription" else "differs"
        before = stored.fields.get(b"doc")
        found.read += 1
        if dry_run:
            if what == "not listed" or self._differs(gateway, stored):
                found.drift.append(Drift(name, what, False))
            return
        corrected = self._read(name, now)
        if what == "not listed" or self._processor.objects.load(name).fields.get(b"doc") != before:
            found.drift.append(Drift(name, what, corrected))

    def _read(self, name: str, now: float) -> bool:
        """Refresh an object. Return whether Stripe could be read: a refresh without that is done, too."""
        done = self._processor.refresh_object(name, Job(now, "sweep", force=True))
        return done and not self._processor.pending_work.needs_refresh(name)

    def _apply_listed(self, facts: StripeFacts, stored: StoredObject, now: float) -> None:
        """Apply the facts of a list until the object is read, unless an event comes at the same time."""
        processor = self._processor
        number, _ = processor.objects.begin_read(stored.name, now, wanted=True)
        due, version = next_recheck(facts, processor.catalogue, now), version_of_read(facts, created=0)
        processor.objects.apply(stored.name, number, facts, now, read=False, version=version, due=due, rev=stored.rev)

    def _drift(self, facts: StripeFacts, stored: StoredObject) -> DriftKind | None:
        known = stored.facts
        if known is None:
            return "unknown"
        if not stored.confirmed:
            return "unconfirmed"
        if _comparable(known) not in (_comparable(facts), _comparable(self._processor.objects.erased.hide_ids(facts))):
            return "differs"
        if not stored.is_fanned_out:
            return "not shown"
        return "copy lost" if self._has_lost_copy(stored) else None

    def _has_lost_copy(self, stored: StoredObject) -> bool:
        """Return whether a reader lacks a copy that the object knows of: another server may have lost its last writes."""
        for holder, number in list(stored.held.items())[:MOST_COPIES]:
            if holder[0] == "c":
                continue
            copy = self._processor.readers.find_source(holder[2:], f"{holder[0]}:{stored.ref.id}".encode())
            if copy is None or copy.number < number:
                return True
        return False

    def _differs(self, gateway: StripeApi, stored: StoredObject) -> bool:
        """Return whether Stripe reports something else now; an object that it no longer knows stays as it is."""
        try:
            facts = gateway.read_object(stored.ref, patience="worker", paid_at=paid_at_of(stored))
        except NoSuchObject:
            return False
        return self._drift(facts, stored) == "differs"


def _comparable(facts: StripeFacts) -> object:
    """Return what a listed object and a read one have in common: of a pass neither its start nor its price."""
    source = facts.source
    if isinstance(source, Pass):
        return facts.customer, facts.claims, source.refunded, source.disputed
    record = source_codec.encode(source, 0) if source else b""
    return facts.customer, facts_codec.claims_row(facts.claims), record, facts.deleted, facts.subscription
