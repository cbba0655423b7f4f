"""Receive events of Stripe, process them, and replay them. The web process, the worker and the commands call this."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.adapters.redis.readers.readers import HoldingsCache, Readers
from service.adapters.redis.stripe_objects.inbox import Inbox, InboxEvent
from service.adapters.redis.stripe_objects.ledger import Ledger
from service.adapters.redis.stripe_objects.objects import ObjectListener, Objects, PendingWork
from service.adapters.redis.stripe_objects.seats import Seats
from service.adapters.stripe import events
from service.adapters.stripe.webhook import Envelope
from service.domain.catalogue import Catalogue
from service.domain.errors import StoreUnavailable
from service.domain.stripe_facts import EventContent
from service.use_cases.subscriptions.fan_out import FanOut, ProjectionWriter
from service.use_cases.subscriptions.object_refresh import NOT_STORED, Job, ObjectRefresh, StripeApi
from service.use_cases.subscriptions.owner_resolution import OwnerResolver
from service.use_cases.subscriptions.related_objects import RelatedObjects

DEADLINE = 3.0
"""Seconds for which an event is processed before Stripe gets its response; the rest is finished afterwards."""
LAST_READ = 1.0
"""Seconds after which an inline job starts no further read from Stripe: a read can take up to four."""
LONGEST_PAUSE = 600.0
"""The most seconds between two attempts to finish what keeps failing."""

UNHANDLED = "this type is not handled"
OTHER_MODE = "of the other mode"
OTHER_ACCOUNT = "of a connected account"
FOR_PRICES = "prices of the offer"


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The state of a delivered event. `known`: it was delivered before; `prices`: prices of the offer have changed."""

    id: str
    state: str
    known: bool
    prices: bool


@dataclass(slots=True)
class _Postponed:
    """When an unfinished object is tried again (by the timer), and the pause after that."""

    due: float = 0.0
    pause: float = 2.0


Trace = Callable[[str, str], AbstractContextManager[None]]
"""Makes a span for the processing of an object: its cause, and the object's name."""


def untraced(cause: str, name: str) -> AbstractContextManager[None]:
    """Make no span."""
    return nullcontext()


class EventProcessor:
    """Processes events, for all threads of a process. Raises: StoreUnavailable.

    Without a Stripe key `gateway` is `None`, and payloads alone are applied. `report` receives faults as constant words.
    `timer` is monotonic; the time of day is an argument of every method.
    """

    def __init__(
        self,
        store: Store,
        readers: Readers,
        catalogue: Catalogue,
        *,
        erased: ErasedReaders,
        gateway: StripeApi | None,
        known: RecentEntitlements | None = None,
        listener: ObjectListener | None = None,
        report: Callable[[str, str], None] = lambda what, why: None,
        trace: Trace = untraced,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.catalogue = catalogue
        self.gateway = gateway
        self.readers = readers
        self.objects = Objects(store, erased, listener)
        self.inbox = Inbox(store, erased)
        self.pending_work = PendingWork(store)
        self.seats = Seats(store)
        self.ledger = Ledger(store)
        self.owners = OwnerResolver(store, erased)
        self._report = report
        self._trace = trace
        self._timer = timer
        self._lock = threading.Lock()
        self._postponed: dict[str, _Postponed] = {}
        related = RelatedObjects(self.objects)
        self.projections = ProjectionWriter(
            self.objects, readers, self.owners, catalogue, HoldingsCache(catalogue), known
        )
        fan_out = FanOut(self.objects, self.seats, self.owners, related, self.projections, catalogue)
        self.object_refresh = ObjectRefresh(
            self.objects, self.inbox, fan_out, gateway=gateway, catalogue=catalogue, report=report
        )

    def receive_event(self, envelope: Envelope, now: float) -> DeliveryResult:
        """Record a verified event durably, then process it until the deadline. The webhook is then answered 200.

        Raises: StoreUnavailable, only if the event could not be recorded: then Stripe has to send it again.
        """
        event = self.to_inbox_event(envelope)
        recorded = self.inbox.record(event, now)
        prices, known = event.why == FOR_PRICES, recorded.before is not None
        if not recorded.number:
            return DeliveryResult(event.id, recorded.before or "ignored", known, prices)
        job, name, refresh = self._inline_job(now, "stripe"), event.name, self.object_refresh.refresh_object
        done = self._try_or_postpone(name, lambda: recorded.leased and refresh(name, job, number=recorded.number))
        return DeliveryResult(event.id, "done" if done else "pending", known, prices)

    def to_inbox_event(self, envelope: Envelope) -> InboxEvent:
        content = events.event_content(envelope, self.catalogue.reader_metadata)
        name = envelope.object.get("id") if not envelope.thin else (envelope.related or ("", None))[1]
        return InboxEvent(
            id=envelope.id,
            type=envelope.type,
            object=name if isinstance(name, str) else None,
            created=envelope.created,
            content=content,
            why=self._reason_to_ignore(envelope, content),
        )

    def _reason_to_ignore(self, envelope: Envelope, content: EventContent) -> str:
        if envelope.livemode != self.catalogue.livemode:
            return OTHER_MODE
        if envelope.account:
            return OTHER_ACCOUNT
        if content.handled:
            return "" if content.refs else FOR_PRICES
        return NOT_STORED if events.is_handled(envelope) else UNHANDLED

    def replay_event(self, event: str, name: str, now: float) -> bool:
        """Process a recorded event again, whatever its state. Return whether it is done."""
        recorded = self.inbox.replay(event, name, now)
        return bool(recorded.number) and self.refresh_soon(name, now)

    def refresh_soon(self, name: str, now: float, cause: str = "admin") -> bool:
        """Refresh an object while a caller waits, and postpone what is not done in time. Return whether all is done."""
        self.objects.request_reads([name], now)
        job = self._inline_job(now, cause)
        return self._try_or_postpone(name, lambda: self.object_refresh.refresh_object(name, job))

    def fan_out_soon(self, name: str, now: float, cause: str) -> None:
        """Fan out an object while a caller waits, and postpone the rest, such as a large group's last seats."""
        job = self._inline_job(now, cause)
        self._try_or_postpone(name, lambda: self.object_refresh.fan_out_object(name, job))

    def _try_or_postpone(self, name: str, work: Callable[[], bool]) -> bool:
        try:
            done = work()
        except StoreUnavailable:
            done = False
        except Exception as error:  # What has to be done is marked in the store, so nothing is lost.
            self._report("work_failed", type(error).__name__)
            done = False
        if not done:
            with self._lock:
                self._postponed.setdefault(name, _Postponed())
        return done

    def finish_postponed(self, now: float) -> int:
        """Finish what this process started and could not finish at once. Return how many objects are left.

        The pause doubles with each failure: an event fails after ten attempts, which must not pass within seconds.
        """
        started = self._timer()
        with self._lock:
            due = [(name, postponed) for name, postponed in self._postponed.items() if started >= postponed.due]
        for name, postponed in due:
            job = Job(now, "stripe")
            with self._trace("stripe", name):
                if self.inbox.list_pending_ids(name, 1 << 53):
                    done = self.object_refresh.refresh_object(name, job)
                else:
                    done = self.object_refresh.fan_out_object(name, job)
            postponed.due, postponed.pause = started + postponed.pause, min(postponed.pause * 2, LONGEST_PAUSE)
            if done:
                with self._lock:
                    self._postponed.pop(name, None)
        with self._lock:
            return len(self._postponed)

    def _inline_job(self, now: float, cause: str) -> Job:
        """Return a job that keeps the deadline."""
        started = self._timer()
        return Job(
            now,
            cause,
            has_time=lambda: self._timer() - started < DEADLINE,
            may_read=lambda: self._timer() - started < LAST_READ,
            patience="inline",
        )

    def refresh_object(self, name: str, job: Job) -> bool:
        """Refresh an object for a job of the worker or a command. Return whether all is done."""
        with self._trace(job.cause, name):
            return self.object_refresh.refresh_object(name, job)
