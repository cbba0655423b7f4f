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
from service.domain.stripe_facts import Told
from service.use_cases.subscriptions.ports import Gateway
from service.use_cases.subscriptions.processor import Engine
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
class Swept:
    """What a sweep has found so far. `listed` counts Stripe's objects, `read` those that were read one by one."""

    listed: int = 0
    read: int = 0
    drift: list[Drift] = field(default_factory=list)


class Sweep:
    """Raises what the gateway raises, and `StoreUnavailable`: what was mended until then is."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def is_due(self, now: float) -> bool:
        """Whether the last one that came to its end began a day ago; the first one is due at once."""
        last = self._engine.marks.load_moment("sweep")
        return last is None or now >= last + EVERY

    def run(self, gateway: Gateway, now: float, *, dry_run: bool = False) -> Swept:
        """All of it at once."""
        swept = Swept()
        for _ in self.steps(gateway, now, swept, dry_run=dry_run):
            continue
        return swept

    def steps(self, gateway: Gateway, now: float, swept: Swept, *, dry_run: bool = False) -> Iterator[None]:
        """The same in small steps, for a worker that has other things to do meanwhile."""
        seen: set[str] = set()
        for listing in (gateway.all_subscriptions(), gateway.sessions(int(now) - SESSIONS_BACK)):
            for told in listing:
                seen.add(told.ref.text)
                swept.listed += 1
                self._compare(told, now, swept, dry_run)
                yield
        for names in self._engine.marks.iterate_objects():
            for name in names:
                if name not in seen:
                    seen.add(name)
                    self._not_listed(gateway, name, now, swept, dry_run)
                    yield
        if not dry_run:
            self._engine.marks.save_moment("sweep", int(now))

    def _compare(self, told: Told, now: float, swept: Swept, dry_run: bool) -> None:
        stored = self._engine.objects.load(told.ref.text)
        what = self._drift(told, stored)
        if what is None:
            return
        if dry_run:
            swept.drift.append(Drift(stored.name, what, False))
            return
        if what == "unknown":
            self._take(told, stored, now)
        if what == "copy lost":
            self._engine.objects.request_fan_out(stored.name, now)
        swept.read += 1
        mended = self._mend(stored.name, now)
        swept.drift.append(Drift(stored.name, what, mended))

    def _mend(self, name: str, now: float) -> bool:
        """Reads it. Gives whether it could be read: done is also what has to wait for that."""
        return self._engine.work([name], now, "sweep", force=True) == 1 and not self._engine.marks.needs_refresh(name)

    def _take(self, told: Told, stored: StoredObject, now: float) -> None:
        """Better than nothing, until it is read; an event that comes at the same time is better still."""
        number, _ = self._engine.objects.begin_read(stored.name, now, wanted=True)
        due, mark = next_look(told, self._engine.catalogue, now), mark_of_read(told, created=0)
        self._engine.objects.apply(stored.name, number, told, now, read=False, mark=mark, due=due, rev=stored.rev)
        self._engine.workbench.spread([stored.name], self._engine.errand(now, "sweep"))

    def _drift(self, told: Told, stored: StoredObject) -> What | None:
        known = stored.facts
        if known is None:
            return "unknown"
        if not stored.confirmed:
            return "unconfirmed"
        if _says(told) != _says(known) and _says(self._engine.objects.hide_erased(told)) != _says(known):
            return "differs"
        if not stored.is_fanned_out:
            return "not shown"
        return "copy lost" if self._copy_lost(stored) else None

    def _copy_lost(self, stored: StoredObject) -> bool:
        """Whether a reader's record lacks the copy that the object knows of: another server may have lost its last writes."""
        for holder, number in list(stored.held.items())[:100]:
            if holder[0] == "c":
                continue
            kept = self._engine.readers.find_source(holder[2:], f"{holder[0]}:{stored.ref.id}".encode())
            if kept is None or kept.number < number:
                return True
        return False

    def _not_listed(self, gateway: Gateway, name: str, now: float, swept: Swept, dry_run: bool) -> None:
        """Customers and entitlements are in no list; a subscription that is in none may have lost its last events."""
        stored = self._engine.objects.load(name)
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
        if known.ref.kind == "subscription" or self._engine.objects.load(name).fields.get(b"doc") != before:
            swept.drift.append(Drift(name, "not listed" if known.ref.kind == "subscription" else "differs", mended))

    def _differs(self, gateway: Gateway, stored: StoredObject) -> bool:
        """Whether Stripe says something else of it by now; what Stripe does not know any more stays."""
        try:
            told = gateway.read(stored.ref, patience="worker", paid_at=paid_at_of(stored))
        except NoSuchObject:
            return False
        return self._drift(told, stored) == "differs"


def _says(told: Told) -> object:
    """What a listed object and one that was read by itself must agree on: of a pass neither its start nor its price."""
    source = told.source
    if isinstance(source, Pass):
        return told.customer, told.claims, source.refunded, source.disputed
    record = source_codec.encode(source, 0) if source else b""
    return told.customer, facts_codec.claims_row(told.claims), record, told.deleted, told.subscription
