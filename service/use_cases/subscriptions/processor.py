"""What web, worker and command line call: receive an event, replay it, and the pieces that everything else is made of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.client.store import Store
from service.adapters.redis.reader_lifecycle.erasure import ErasedReaders
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.stripe_objects.inbox import Inbox, InboxEvent, Mode, RecordOutcome
from service.adapters.redis.stripe_objects.ledger import Ledger
from service.adapters.redis.stripe_objects.objects import ObjectListener, Objects, PendingWork
from service.adapters.redis.stripe_objects.seats import Seats
from service.adapters.stripe import events
from service.adapters.stripe.webhook import Envelope
from service.domain.catalogue import Catalogue
from service.domain.errors import StoreUnavailable
from service.use_cases.subscriptions.fan_out import FanOut
from service.use_cases.subscriptions.job import Job
from service.use_cases.subscriptions.object_refresh import ObjectRefresh
from service.use_cases.subscriptions.owner_resolution import OwnerResolver
from service.use_cases.subscriptions.payments import NOT_OURS, Payments
from service.use_cases.subscriptions.ports import Gateway
from service.use_cases.subscriptions.related_objects import RelatedObjects
from service.use_cases.subscriptions.write_projections import ProjectionWriter

DEADLINE = 3.0
"""Seconds that work may take while Stripe waits for its answer; then it is left to be finished afterwards."""
LONGEST_PAUSE = 600.0
"""Seconds between two tries of what keeps failing."""
LAST_QUESTION = 1.0
"""Seconds after which nothing more is asked of Stripe meanwhile: one question can take up to four."""

UNHANDLED = "this type is not handled"
OTHER_MODE = "of the other mode"
OTHER_ACCOUNT = "of a connected account"
FOR_PRICES = "prices of the offer"


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What became of a delivery: recorded, and perhaps done. `known` tells a repeat, `prices` that the offer's changed."""

    id: str
    state: str
    known: bool
    prices: bool


@dataclass(slots=True)
class _Left:
    """Something to be finished: when it is tried again, and how long after that."""

    due: float = 0.0
    pause: float = 2.0


def no_report(what: str, why: str) -> None:
    """For whoever does not want to hear of troubles."""


class EventProcessor:
    """One for a process; threads share it. Methods raise `StoreUnavailable` where the store cannot be reached.

    `gateway` is `None` without a Stripe key: then payloads are all there is. `report` is told of troubles by constant
    words. `timer` is monotonic; the time of day is an argument everywhere.
    """

    def __init__(
        self,
        store: Store,
        readers: Readers,
        catalogue: Catalogue,
        *,
        gateway: Gateway | None,
        known: RecentEntitlements | None = None,
        listener: ObjectListener | None = None,
        report: Callable[[str, str], None] = no_report,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.catalogue = catalogue
        self.gateway = gateway
        self.readers = readers
        blind = ErasedReaders(store).hide_ids
        self.objects = Objects(store, blind, listener)
        self.inbox = Inbox(store, blind)
        self.pending_work = PendingWork(store)
        self.seats = Seats(store)
        self.owners = OwnerResolver(store)
        self.report = report
        self._timer = timer
        self._lock = threading.Lock()
        self._left: dict[str, _Left] = {}
        self.ledger = Ledger(store)
        telling = RelatedObjects(self.objects)
        putting = ProjectionWriter(self.objects, readers, self.owners, catalogue, known)
        self.merged = putting.merged
        spreader = FanOut(self.objects, self.seats, self.owners, telling, putting, catalogue)
        payments = Payments(self.objects, gateway, report)
        self.object_refresh = ObjectRefresh(
            self.objects, self.inbox, spreader, payments, gateway=gateway, catalogue=catalogue, report=report
        )

    def receive_event(self, envelope: Envelope, now: float) -> DeliveryResult:
        """Records a verified event durably, then works on it within the deadline. After this it may be answered 200.

        Raises `StoreUnavailable` only where it could not be recorded: then Stripe has to send it again.
        """
        event = self.to_inbox_event(envelope)
        recorded = self.inbox.record(event, now)
        prices = event.why == FOR_PRICES
        known = recorded.before is not None
        if not recorded.mark:
            return DeliveryResult(event.id, recorded.before or "ignored", known, prices)
        done = self._try(event.name, now, recorded)
        return DeliveryResult(event.id, "done" if done else "pending", known, prices)

    def _try(self, name: str, now: float, recorded: RecordOutcome) -> bool:
        """Works on it inline. What fails now is remembered, and somebody finishes it."""
        errand = self.errand(now, "stripe", inline=True)
        number, leased = recorded.mark, recorded.leased
        return self._or_later(name, lambda: leased and self.object_refresh.work(name, errand, number=number))

    def to_inbox_event(self, envelope: Envelope) -> InboxEvent:
        """An event as it is recorded."""
        signal = events.signal(envelope)
        named = envelope.object.get("id") if not envelope.thin else (envelope.related or ("", None))[1]
        return InboxEvent(
            id=envelope.id,
            type=envelope.type,
            object=named if isinstance(named, str) else None,
            created=envelope.created,
            signal=signal,
            why=self._why_not(envelope, bool(signal.refs), signal.prices),
        )

    def _why_not(self, envelope: Envelope, refs: bool, prices: bool) -> str:
        if envelope.livemode != self.catalogue.livemode:
            return OTHER_MODE
        if envelope.account:
            return OTHER_ACCOUNT
        if refs or prices:
            return "" if refs else FOR_PRICES
        return NOT_OURS if events.is_handled(envelope) else UNHANDLED

    def record(self, envelope: Envelope, now: float, mode: Mode = "list") -> str | None:
        """Records an event that was found in Stripe's list. Gives the object to work on, if it is not done already."""
        event = self.to_inbox_event(envelope)
        recorded = self.inbox.record(event, now, mode=mode, lease=False)
        return event.name if recorded.mark else None

    def replay(self, event: str, name: str, now: float) -> bool:
        """Takes a known event up again, whatever has become of it. Gives whether it is done."""
        recorded = self.inbox.replay(event, name, now)
        return bool(recorded.mark) and self.refresh_soon(name, now)

    def refresh_soon(self, name: str, now: float, cause: str = "admin") -> bool:
        """Brings an object up to date while somebody waits; what cannot be done at once is finished afterwards."""
        self.objects.request_read(name, now)
        return self._or_later(name, lambda: self.object_refresh.work(name, self.errand(now, cause, inline=True)))

    def fan_out_soon(self, names: Sequence[str], now: float, cause: str) -> bool:
        """Gives everybody what is theirs while somebody waits; a large group's last seats come afterwards."""
        errand = self.errand(now, cause, inline=True)
        return self._or_later(names[0], lambda: self.object_refresh.spread(names, errand))

    def _or_later(self, name: str, work: Callable[[], bool]) -> bool:
        try:
            done = work()
        except StoreUnavailable:
            done = False
        except Exception as error:  # What is done here is marked in the store already: nothing is lost by it.
            self.report("work_failed", type(error).__name__)
            done = False
        if not done:
            with self._lock:
                self._left.setdefault(name, _Left())
        return done

    def finish_postponed(self, now: float) -> int:
        """Finishes what this process has begun and could not finish at once. Gives how much is left.

        What fails again is tried ever more seldom: it is given up after ten tries, and they must not pass in seconds.
        """
        with self._lock:
            due = [(name, left) for name, left in self._left.items() if now >= left.due]
        for name, left in due:
            errand = self.errand(now, "stripe")
            waits = self.inbox.list_pending_ids(name, 1 << 53)
            done = self.object_refresh.work(name, errand) if waits else self.object_refresh.spread([name], errand)
            left.due, left.pause = now + left.pause, min(left.pause * 2, LONGEST_PAUSE)
            if done:
                with self._lock:
                    self._left.pop(name, None)
        with self._lock:
            return len(self._left)

    def errand(self, now: float, cause: str, *, inline: bool = False, force: bool = False) -> Job:
        """What a piece of work carries along; an inline one keeps to the deadline."""
        begun = self._timer()
        if not inline:
            return Job(now, cause, _always, _always, "worker", force)
        return Job(
            now,
            cause,
            in_time=lambda: self._timer() - begun < DEADLINE,
            may_ask=lambda: self._timer() - begun < LAST_QUESTION,
            patience="inline",
        )

    def work(
        self,
        names: Sequence[str],
        now: float,
        cause: str,
        *,
        force: bool = False,
        gives_up: bool = False,
        away: bool = False,
    ) -> int:
        """Brings objects up to date, each by its own errand. Gives how many are done. `away`: without asking Stripe."""
        return sum(
            self.object_refresh.work(name, replace(self.errand(now, cause, force=force), gives_up=gives_up, away=away))
            for name in names
        )


def _always() -> bool:
    return True
