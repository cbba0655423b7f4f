"""Refresh an object: take a number, read the object from Stripe, apply it, fan it out, finish its events.

The number is taken before the read, so the highest number is the newest read, whichever worker is late (design decision
4). A lease only saves reads: of a burst of events one worker reads, and the others leave their events to it. Events are
finished last, so every step before can be repeated. While Stripe cannot be read, payloads are applied instead: they stay
unconfirmed until the object is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from service.adapters.redis.stripe_objects import facts_codec
from service.adapters.redis.stripe_objects.inbox import EventResult, Inbox, PendingEvent, ref_from
from service.adapters.redis.stripe_objects.objects import Objects, Verdict
from service.adapters.stripe.webhook import Envelope
from service.domain.catalogue import Catalogue
from service.domain.errors import NoSuchObject, StoreUnavailable, StripeRefused, StripeUnavailable
from service.domain.event_order import compare_versions, version_of_payload, version_of_read
from service.domain.stripe_facts import ObjectRef, PaymentRef, StripeFacts, keep_known_parts
from service.use_cases.subscriptions.fan_out import FanOut, FanOutRequest
from service.use_cases.subscriptions.projections import next_recheck, paid_at_of
from service.use_cases.subscriptions.related_objects import FollowUps, update_field

if TYPE_CHECKING:
    from service.adapters.stripe.transport import Patience

NOT_STORED = "it concerns no object that is stored here"
GONE = "Stripe no longer knows it; what is known counts until it expires"
UNREAD = "Stripe is unavailable; the object is read later"
NO_KEY = "it reports nothing itself, and no Stripe key is set to read the object with"
FROM_STORED = "from what is stored: no Stripe key is set to read the object with"
KEPT_FOR_SESSION = "kept until its Checkout session is known: no Stripe key is set to look for it"
FROM_PAYLOAD_ALONE = "from the payload: no Stripe key is set to read the object with"
FROM_PAYLOAD = "from the payload: Stripe was unavailable; the object is read later"
FROM_PAYLOAD_OF_MISSING = "from the payload: Stripe no longer knows the object"
TERMINAL = "the object has ended, which is final"
NEWER_READ = "a later read is in force"
OLDER = "what is known already is newer"
UNDECIDED = "whether it is newer is known only after a read from Stripe"

Answer = TypeVar("Answer")

EARLIEST_PAYMENT = 100_000_000_000
"""Minus the moment of payment: the number of a reported payment, so that the earliest report has the highest."""


class StripeApi(Protocol):
    """What these use cases need of `Gateway`. Raises: StripeUnavailable, StripeRefused or NoSuchObject, from every call."""

    def read_object(
        self, ref: ObjectRef, *, patience: Patience = "inline", paid_at: int | None = None
    ) -> StripeFacts: ...
    def resolve_payment(self, ref: PaymentRef, *, patience: Patience = "inline") -> tuple[ObjectRef, ...]: ...
    def list_events_since(self, since: int | None) -> Iterator[Envelope]: ...
    def list_subscriptions(self, after: str | None = None) -> Iterator[StripeFacts]: ...
    def list_sessions(self, since: int) -> Iterator[StripeFacts]: ...


@dataclass(slots=True)
class Job:
    """Why objects are refreshed, how long the job may take, and what it has learned so far."""

    now: float
    cause: str
    """What the readers' histories name as the cause, unless an event is."""
    has_time: Callable[[], bool] = lambda: True
    may_read: Callable[[], bool] = lambda: True
    """Whether there is time for one more read from Stripe."""
    patience: Patience = "worker"
    force: bool = False
    """Refresh an object even if another process holds its lease."""
    limit_attempts: bool = False
    """Whether an event fails after ten attempts to read from Stripe. Only a command sets it: an outage of Stripe may
    last longer than ten attempts, and the worker retries until it ends."""
    stripe_unavailable: bool = False
    """Stripe could not be read; the rest of the job does not try again."""
    in_progress: set[str] = field(default_factory=set)
    """Objects under way, each because of the one before: none is refreshed within its own refresh."""
    event: tuple[str, str] | None = None
    """The object and the ID of the event that is the cause; the ledger notes its changes there."""
    entitlements_before: dict[tuple[str, str], object] = field(default_factory=dict)
    """By event and reader, the entitlements before the event: one event may change several sources of a reader."""


@dataclass(slots=True)
class RefreshResult:
    """The results of the events that waited, the objects to read next, and whether Stripe was unavailable."""

    results: list[EventResult]
    next: list[str]
    failed: bool = False


@dataclass(frozen=True)
class ObjectRefresh:
    """Refreshes objects. Raises: StoreUnavailable. Any other failure is recorded with the events, which are retried."""

    objects: Objects
    inbox: Inbox
    fan_out: FanOut
    gateway: StripeApi | None
    catalogue: Catalogue
    report: Callable[[str, str], None]

    def refresh_object(self, name: str, job: Job, *, number: int = 0) -> bool:
        """Refresh an object and finish its events. `number`: one that was taken already, with the lease.

        Return whether all is done. If not, another process holds the lease, or the store has a mark for what is left.
        """
        if not number:
            number, leased = self.objects.begin_read(name, job.now, force=job.force)
            if not leased:
                return False
        job.in_progress.add(name)
        try:
            return self._refresh_until_done(name, job, number)
        except StoreUnavailable:
            raise
        except Exception as error:  # A fault of this service: the events are retried, and fail after ten attempts.
            self.report("work_failed", type(error).__name__)
            pending = self.inbox.list_pending_ids(name, number)
            self.inbox.record_failure(name, pending, job.now, f"failed: {type(error).__name__}")
            return False
        finally:
            job.in_progress.discard(name)

    def fan_out_object(self, name: str, job: Job) -> bool:
        """Fan out an object and all that depend on it. Return whether all is done."""
        event = job.event
        request = FanOutRequest(
            now=job.now,
            cause=f"event:{event[1]}" if event else job.cause,
            has_time=job.has_time,
            note=(lambda changes: self._note(event, changes, job)) if event else None,
        )
        queue, finished = deque([name]), True
        while queue:
            follow_ups = FollowUps()
            done = self.fan_out.fan_out_object(queue.popleft(), request, follow_ups)
            finished = finished and done
            queue.extend(other for other in follow_ups.to_fan_out if other not in queue)
            for other in dict.fromkeys(follow_ups.to_read):
                self.objects.request_reads([other], job.now)
                self._read_next([other], job)
        return finished

    def _refresh_until_done(self, name: str, job: Job, number: int) -> bool:
        while True:
            finished, more = self._refresh_once(name, job, number)
            if finished and not more:
                return True
            if not more or not job.has_time():
                self.inbox.release_lease(name, number)
                return False
            number, leased = self.objects.begin_read(name, job.now, holding=number)
            if not leased:
                return False

    def _refresh_once(self, name: str, job: Job, number: int) -> tuple[bool, bool]:
        """Return whether all that waited is done, and whether to refresh the object again at once."""
        pending = self.inbox.load_pending(name, number)
        outer_event = job.event
        if pending:
            job.event = (name, pending[-1].id)
        try:
            ref = ref_from(name)
            if isinstance(ref, PaymentRef):
                found = self._refresh_payment(ref, pending, job, number)
            else:
                found = self._refresh_stored(ref, pending, job, number)
            return self._finish(name, found, job, number)
        finally:
            job.event = outer_event

    def _finish(self, name: str, found: RefreshResult, job: Job, number: int) -> tuple[bool, bool]:
        self.objects.request_reads(found.next, job.now)
        # The store has a mark for each of these, so the event need not wait for them.
        self._read_next(found.next, job)
        if not self.fan_out_object(name, job):
            # If its copies had higher numbers, the counter is above them now, and the object has to be read again.
            return False, not job.stripe_unavailable and self.objects.load(name).number(b"behind") > 0
        more = self.inbox.finish(
            name, number, number, found.results, failed=found.failed, now=job.now, gives_up=job.limit_attempts
        )
        return True, more

    def _read_next(self, names: Sequence[str], job: Job) -> None:
        for name in names:
            if name not in job.in_progress and not job.stripe_unavailable and job.may_read():
                self.refresh_object(name, job)

    def _note(self, event: tuple[str, str], changes: dict[str, list[object]], job: Job) -> None:
        """Note changes with their event: from before the event, not from before the last of several sources."""
        for reader, change in changes.items():
            change[0] = job.entitlements_before.setdefault((event[1], reader), change[0])
        self.inbox.record_changes(*event, changes)

    # ------------------------------------------------------------------------------------------ stored objects

    def _refresh_stored(self, ref: ObjectRef, pending: list[PendingEvent], job: Job, number: int) -> RefreshResult:
        """Read the object and apply what was read, or else the payloads."""
        name, now = ref.name, job.now
        others = list(
            dict.fromkeys(other.name for event in pending for other in event.content.refs if other.name != name)
        )
        for event in pending:
            if event.content.paid_at is not None:
                paid_number = EARLIEST_PAYMENT - event.content.paid_at
                self.objects.write_related(name, "paid", paid_number, b"%d" % event.content.paid_at, now)
        try:
            facts = self._read(ref, job)
        except NoSuchObject:
            return RefreshResult(self._keep_missing(name, pending, number, now), others)
        if facts is None or _is_outdated(facts, pending):
            if not pending:
                self.objects.apply(name, number, None, now, read=False)
            return RefreshResult([self._apply_payload(name, event, now) for event in pending], others, failed=True)
        verdict = self._apply_read(facts, pending, number, now)
        return RefreshResult([_result(event, verdict) for event in pending], others)

    def _read(self, ref: ObjectRef, job: Job) -> StripeFacts | None:
        """Return the object as Stripe has it, or `None` if Stripe is unavailable."""

        def read(stripe: StripeApi) -> StripeFacts:
            paid_at = paid_at_of(self.objects.load(ref.name)) if ref.kind == "session" else None
            return stripe.read_object(ref, patience=job.patience, paid_at=paid_at)

        return self._ask_stripe(read, job)

    def _ask_stripe(self, ask: Callable[[StripeApi], Answer], job: Job) -> Answer | None:
        """Return Stripe's answer, or `None` if Stripe is unavailable: the rest of the job then does not ask again."""
        if self.gateway is None or job.stripe_unavailable:
            return None
        try:
            return ask(self.gateway)
        except (StripeUnavailable, StripeRefused) as trouble:
            self.report("stripe_unread", trouble.why)
            job.stripe_unavailable = True
            return None

    def _apply_read(self, facts: StripeFacts, pending: list[PendingEvent], number: int, now: float) -> Verdict:
        stored = self.objects.load(facts.ref.name)
        facts = keep_known_parts(facts, stored.facts)
        moments = [event.created for event in pending] + ([stored.version.created] if stored.version else [])
        version = version_of_read(facts, created=max(moments, default=0))
        due = next_recheck(facts, self.catalogue, now)
        verdict, _ = self.objects.apply(facts.ref.name, number, facts, now, read=True, version=version, due=due)
        return verdict

    def _keep_missing(self, name: str, pending: list[PendingEvent], number: int, now: float) -> list[EventResult]:
        """After a 404 keep what is known until it expires, and apply the payloads."""
        applied = [self._apply_payload(name, event, now) for event in pending if event.content.facts]
        self.objects.apply(name, number, None, now, read=True)
        results = {
            one.id: replace(one, why=FROM_PAYLOAD_OF_MISSING) if one.why == FROM_PAYLOAD else one for one in applied
        }
        return [results.get(event.id, EventResult(event.id, "ignored", GONE)) for event in pending]

    def _apply_payload(self, name: str, event: PendingEvent, now: float) -> EventResult:
        """Apply what an event's payload reports, if it is newer; without facts the event waits for a read."""
        if event.content.facts is None or event.content.facts.ref.name != name:
            self.objects.apply(name, event.number, None, now, read=False)
            return self._unread_result(event)
        incoming = version_of_payload(
            event.content.facts, created=event.created, event_type=event.type, previous=event.content.previous
        )
        while True:
            stored = self.objects.load(name)
            order = compare_versions(incoming, stored.version) if stored.facts else "newer"
            facts = keep_known_parts(event.content.facts, stored.facts) if order == "newer" else None
            version, due = (incoming, next_recheck(facts, self.catalogue, now)) if facts else (None, None)
            verdict, _ = self.objects.apply(
                name, event.number, facts, now, read=False, version=version, due=due, rev=stored.rev
            )
            if verdict == "retry":
                continue
            if verdict in ("applied", "same"):
                return EventResult(event.id, "applied", FROM_PAYLOAD if self.gateway else FROM_PAYLOAD_ALONE)
            return EventResult(event.id, "stale", UNDECIDED if order == "undecided" else OLDER)

    def _unread_result(self, event: PendingEvent) -> EventResult:
        """Return the result of an event whose object cannot be read. It waits only where there is a key to read with.

        The object stays marked, so that it is read once a key is set. A replayed event has no content of its own any more.
        """
        if self.gateway is not None:
            return EventResult(event.id, "pending", UNREAD)
        update = event.content.payment_update
        if update is not None and update.intent:
            return EventResult(event.id, "applied", KEPT_FOR_SESSION)
        if event.content.refs:
            return EventResult(event.id, "ignored", NO_KEY)
        return EventResult(event.id, "applied", FROM_STORED)

    # ------------------------------------------------------------------------------------------------ payments

    def _refresh_payment(self, ref: PaymentRef, pending: list[PendingEvent], job: Job, number: int) -> RefreshResult:
        """Store what events report of a payment, each update in a field of its own, and find the session to read.

        A set of updates depends neither on their order nor on repeats, nor on whether the session is known already.
        """
        name = ref.name
        for event in pending:
            if event.content.payment_update is not None and ref.kind == "intent":
                row = facts_codec.pack_row([facts_codec.payment_update_row(event.content.payment_update)])
                self.objects.write_related(name, update_field(event.content.payment_update), 1, row, job.now)
        session = self.objects.load(name).fields.get(b"session")
        found = [session.decode()] if session else self._resolve_payment(ref, job)
        self.objects.apply(name, number, None, job.now, read=found is not None)
        if found is None:
            return RefreshResult([self._unread_result(event) for event in pending], [], failed=True)
        if ref.kind == "intent" and not session:
            for other in found:
                self.objects.write_related(name, "session", 1, other.encode(), job.now)
        results = [
            EventResult(event.id, "applied") if found else EventResult(event.id, "ignored", NOT_STORED)
            for event in pending
        ]
        return RefreshResult(results, found)

    def _resolve_payment(self, ref: PaymentRef, job: Job) -> list[str] | None:
        """Return the names of the objects that the payment leads to, or `None` if Stripe is unavailable."""
        try:
            found = self._ask_stripe(lambda stripe: stripe.resolve_payment(ref, patience=job.patience), job)
        except NoSuchObject:
            return []
        return None if found is None else [other.name for other in found]


def _is_outdated(facts: StripeFacts, pending: Sequence[PendingEvent]) -> bool:
    """Return whether Stripe's response is older than an event: what an event reports as terminal stays so."""
    final = (
        event.content.facts for event in pending if event.content.facts is not None and event.content.facts.terminal
    )
    return not facts.terminal and any(other.ref == facts.ref for other in final)


def _result(event: PendingEvent, verdict: Verdict) -> EventResult:
    if verdict in ("applied", "same"):
        return EventResult(event.id, "applied")
    return EventResult(event.id, "stale", TERMINAL if verdict == "kept" else NEWER_READ)
