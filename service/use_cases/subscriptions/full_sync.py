"""The sweep: everything that Stripe has against everything that is kept, for changes of which no event ever came.

A list is only a hint. What differs is read by itself, with a number, like everything else; of what was never known the
list's word counts until then.
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
from service.domain.event_order import mark_of_read
from service.domain.sources import Pass
from service.domain.stripe_facts import StripeFacts
from service.use_cases.subscriptions.ports import Gateway
from service.use_cases.subscriptions.processor import EventProcessor
from service.use_cases.subscriptions.projections import paid_at_of
from service.use_cases.subscriptions.recheck_schedule import next_look

SESSIONS_BACK = 180 * DAY
"""How far back Checkout sessions are listed: beyond it no refund or dispute changes what a pass opens."""

EVERY = DAY
"""Seconds between two sweeps; the first one begins at once, and finds what was there before the service."""

What = Literal["unknown", "differs", "unconfirmed", "not shown", "copy lost", "not listed"]


@dataclass(frozen=True, slots=True)
class Drift:
    """An object that is not kept as Stripe has it, or not shown as it is kept."""

    name: str
    what: What
    mended: bool


@dataclass(slots=True)
class FullSyncResult:
    """What a sweep has found so far. `listed` counts Stripe's objects, `read` those that were read one by one."""

    listed: int = 0
    read: int = 0
    drift: list[Drift] = field(default_factory=list)


class FullSync:
    """Raises what the gateway raises, and `StoreUnavailable`: what was mended until then is."""

    def __init__(self, processor: EventProcessor) -> None:
        self._processor = processor

    def is_due(self, now: float) -> bool:
        """Whether the last one that came to its end began a day ago; the first one is due at once."""
        last = self._processor.pending_work.load_moment("sweep")
        return last is None or now >= last + EVERY

    def run(self, gateway: Gateway, now: float, *, dry_run: bool = False) -> FullSyncResult:
        """All of it at once."""
        swept = FullSyncResult()
        for _ in self.steps(gateway, now, swept, dry_run=dry_run):
            continue
        return swept

    def steps(self, gateway: Gateway, now: float, swept: FullSyncResult, *, dry_run: bool = False) -> Iterator[None]:
        """The same in small steps, for a worker that has other things to do meanwhile."""
        seen: set[str] = set()
        for listing in (gateway.all_subscriptions(), gateway.sessions(int(now) - SESSIONS_BACK)):
            for facts in listing:
                seen.add(facts.ref.text)
                swept.listed += 1
                self._compare(facts, now, swept, dry_run)
                yield
        for names in self._processor.pending_work.iterate_objects():
            for name in names:
                if name not in seen:
                    seen.add(name)
                    self._not_listed(gateway, name, now, swept, dry_run)
                    yield
        if not dry_run:
            self._processor.pending_work.save_moment("sweep", int(now))

    def _compare(self, facts: StripeFacts, now: float, swept: FullSyncResult, dry_run: bool) -> None:
        stored = self._processor.objects.load(facts.ref.text)
        what = self._drift(facts, stored)
        if what is None:
            return
        if dry_run:
            swept.drift.append(Drift(stored.name, what, False))
            return
        if what == "unknown":
            self._take(facts, stored, now)
        if what == "copy lost":
            self._processor.objects.request_fan_out(stored.name, now)
        swept.read += 1
        mended = self._mend(stored.name, now)
        swept.drift.append(Drift(stored.name, what, mended))

    def _mend(self, name: str, now: float) -> bool:
        """Reads it. Gives whether it could be read: done is also what has to wait for that."""
        return self._processor.work(
            [name], now, "sweep", force=True
        ) == 1 and not self._processor.pending_work.needs_refresh(name)

    def _take(self, facts: StripeFacts, stored: StoredObject, now: float) -> None:
        """Better than nothing, until it is read; an event that comes at the same time is better still."""
        number, _ = self._processor.objects.begin_read(stored.name, now, wanted=True)
        due, mark = next_look(facts, self._processor.catalogue, now), mark_of_read(facts, created=0)
        self._processor.objects.apply(stored.name, number, facts, now, read=False, mark=mark, due=due, rev=stored.rev)
        self._processor.object_refresh.spread([stored.name], self._processor.errand(now, "sweep"))

    def _drift(self, facts: StripeFacts, stored: StoredObject) -> What | None:
        known = stored.facts
        if known is None:
            return "unknown"
        if not stored.confirmed:
            return "unconfirmed"
        if _says(facts) != _says(known) and _says(self._processor.objects.hide_erased(facts)) != _says(known):
            return "differs"
        if not stored.is_fanned_out:
            return "not shown"
        return "copy lost" if self._copy_lost(stored) else None

    def _copy_lost(self, stored: StoredObject) -> bool:
        """Whether a reader's record lacks the copy that the object knows of: another server may have lost its last writes."""
        for holder, number in list(stored.held.items())[:100]:
            if holder[0] == "c":
                continue
            kept = self._processor.readers.find_source(holder[2:], f"{holder[0]}:{stored.ref.id}".encode())
            if kept is None or kept.number < number:
                return True
        return False

    def _not_listed(self, gateway: Gateway, name: str, now: float, swept: FullSyncResult, dry_run: bool) -> None:
        """Customers and entitlements are in no list; a subscription that is in none may have lost its last events."""
        stored = self._processor.objects.load(name)
        known = stored.facts
        if known is None or (stored.confirmed and stored.is_fanned_out and (known.terminal or known.deleted)):
            return
        before = stored.fields.get(b"doc")
        swept.read += 1
        if dry_run:
            if known.ref.kind == "subscription":
                swept.drift.append(Drift(name, "not listed", False))
            elif self._differs(gateway, stored):
                swept.drift.append(Drift(name, "differs", False))
            return
        mended = self._mend(name, now)
        if known.ref.kind == "subscription" or self._processor.objects.load(name).fields.get(b"doc") != before:
            swept.drift.append(Drift(name, "not listed" if known.ref.kind == "subscription" else "differs", mended))

    def _differs(self, gateway: Gateway, stored: StoredObject) -> bool:
        """Whether Stripe says something else of it by now; what Stripe does not know any more stays."""
        try:
            facts = gateway.read(stored.ref, patience="worker", paid_at=paid_at_of(stored))
        except NoSuchObject:
            return False
        return self._drift(facts, stored) == "differs"


def _says(facts: StripeFacts) -> object:
    """What a listed object and one that was read by itself must agree on: of a pass neither its start nor its price."""
    source = facts.source
    if isinstance(source, Pass):
        return facts.customer, facts.claims, source.refunded, source.disputed
    record = source_codec.encode(source, 0) if source else b""
    return facts.customer, facts_codec.claims_row(facts.claims), record, facts.deleted, facts.subscription
