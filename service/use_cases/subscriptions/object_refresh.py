"""The one way of an event, and of anything else that calls for a look at an object: a number, a read, apply, spread, done.

A number is taken before the read, so the highest number is the newest reading, whoever is late (design.md, decision 4).
The lease only saves reads: of a burst one reads, and the others leave their events to it. "Done" comes last; everything
before it can be repeated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from service.adapters.redis.stripe_objects.inbox import EventResult, Inbox, PendingEvent, ref_from
from service.adapters.redis.stripe_objects.objects import Objects, Verdict
from service.domain.catalogue import Catalogue
from service.domain.errors import NoSuchObject, StoreUnavailable, StripeRefused, StripeUnavailable
from service.domain.event_order import mark_of_read
from service.domain.stripe_facts import ObjectRef, PaymentRef, StripeFacts
from service.use_cases.subscriptions.fan_out import FanOut
from service.use_cases.subscriptions.job import Job, RefreshResult
from service.use_cases.subscriptions.payload_mode import FROM_PAYLOAD, Payloads, merged
from service.use_cases.subscriptions.payments import Payments
from service.use_cases.subscriptions.ports import Gateway
from service.use_cases.subscriptions.projections import paid_at_of
from service.use_cases.subscriptions.recheck_schedule import next_look
from service.use_cases.subscriptions.related_objects import FollowUps

GONE = "Stripe does not know it any more; what is known stays until its end"
LAST_HEARD = "from the payload: Stripe does not know it any more"
PAID_EARLIER = 100_000_000_000
"""Less the moment of payment: the earliest that was told has the highest number."""


class ObjectRefresh:
    """Works on objects. Raises `StoreUnavailable`; any other failure goes to the event, which is tried again later."""

    def __init__(
        self,
        objects: Objects,
        inbox: Inbox,
        spreader: FanOut,
        payments: Payments,
        *,
        gateway: Gateway | None,
        catalogue: Catalogue,
        report: Callable[[str, str], None],
    ) -> None:
        self._objects = objects
        self._inbox = inbox
        self._spreader = spreader
        self._payments = payments
        self._payloads = Payloads(objects, catalogue)
        self._gateway = gateway
        self._catalogue = catalogue
        self._report = report

    def work(self, name: str, errand: Job, *, number: int = 0) -> bool:
        """Brings an object up to date and finishes its events. `number`: taken already, with the lease.

        Gives whether all is done; if not, somebody else is at it, or the store has a mark for what is left.
        """
        if not number:
            number, leased = self._objects.begin_read(name, errand.now, force=errand.force)
            if not leased:
                return False
        errand.under_way.add(name)
        try:
            return self._until_done(name, errand, number)
        except StoreUnavailable:
            raise
        except Exception as error:  # Ours: the event is tried again later, and given up after ten times.
            self._report("work_failed", type(error).__name__)
            waiting = self._inbox.list_pending_ids(name, number)
            self._inbox.record_failure(name, waiting, errand.now, f"failed: {type(error).__name__}")
            return False
        finally:
            errand.under_way.discard(name)

    def spread(self, names: Sequence[str], errand: Job) -> bool:
        """Gives everybody what is theirs of these objects, as they are known. Gives whether all is done."""
        return self._spread(list(names), errand)

    def _until_done(self, name: str, errand: Job, number: int) -> bool:
        while True:
            finished, more = self._once(name, errand, number)
            if finished and not more:
                return True
            if not more or not errand.in_time():
                self._inbox.release_lease(name, number)
                return False
            number, leased = self._objects.begin_read(name, errand.now, holding=number)
            if not leased:
                return False

    def _once(self, name: str, errand: Job, number: int) -> tuple[bool, bool]:
        """One look. Gives whether all that was waiting is done, and whether there is reason to look again at once."""
        waiting = self._inbox.load_pending(name, number)
        before = errand.under((name, waiting[-1].id) if waiting else None)
        try:
            return self._look(name, waiting, errand, number)
        finally:
            errand.on_account_of = before

    def _look(self, name: str, waiting: list[PendingEvent], errand: Job, number: int) -> tuple[bool, bool]:
        ref = ref_from(name)
        if isinstance(ref, PaymentRef):
            look = self._payments.follow(ref, waiting, number, errand)
        else:
            look = self._bring_up(ref, waiting, number, errand)
        for other in look.onward:
            self._objects.request_read(other, errand.now)
        # What else has to be read is marked in the store: whether it is done now does not hold the event up.
        self._read_onward(look.onward, errand)
        if not self._spread([name], errand):
            # Its copies had higher numbers: it is above them now, and has to be read once more.
            return False, not errand.away and self._objects.load(name).number(b"behind") > 0
        more = self._inbox.finish(
            name, number, number, look.done, failed=look.failed, now=errand.now, gives_up=errand.gives_up
        )
        return True, more

    def _read_onward(self, names: Sequence[str], errand: Job) -> None:
        for name in names:
            if name not in errand.under_way and not errand.away and errand.may_ask():
                self.work(name, errand)

    def _bring_up(self, ref: ObjectRef, waiting: list[PendingEvent], number: int, errand: Job) -> RefreshResult:
        """Reads the object and applies what was read; else what the payloads say."""
        name, now = ref.text, errand.now
        others = list(dict.fromkeys(other.text for event in waiting for other in event.refs if other.text != name))
        for event in waiting:
            if event.paid_at is not None:
                self._objects.write_related(name, "paid", PAID_EARLIER - event.paid_at, b"%d" % event.paid_at, now)
        try:
            facts = self._read(ref, errand)
        except NoSuchObject:
            return RefreshResult(self._gone(name, waiting, number, now), others)
        if facts is None or _lags(facts, waiting):
            if not waiting:
                self._objects.apply(name, number, None, now, read=False)
            return RefreshResult(self._payloads.apply(name, waiting, now), others, failed=True)
        verdict = self._apply(facts, waiting, number, now)
        return RefreshResult([_done(event, verdict) for event in waiting], others)

    def _gone(self, name: str, waiting: list[PendingEvent], number: int, now: float) -> list[EventResult]:
        """404: what is known stays until its known end; what the events say is better than nothing."""
        facts = self._payloads.apply(name, [event for event in waiting if event.facts], now)
        self._objects.apply(name, number, None, now, read=True)
        done = {one.id: replace(one, why=LAST_HEARD) if one.why == FROM_PAYLOAD else one for one in facts}
        return [done.get(event.id, EventResult(event.id, "ignored", GONE)) for event in waiting]

    def _read(self, ref: ObjectRef, errand: Job) -> StripeFacts | None:
        """The object as Stripe has it; `None` if Stripe cannot be read now."""
        if self._gateway is None or errand.away:
            return None
        paid_at = paid_at_of(self._objects.load(ref.text)) if ref.kind == "session" else None
        try:
            return self._gateway.read(ref, patience=errand.patience, paid_at=paid_at)
        except (StripeUnavailable, StripeRefused) as trouble:
            self._report("stripe_unread", trouble.why)
            errand.away = True
            return None

    def _apply(self, facts: StripeFacts, waiting: list[PendingEvent], number: int, now: float) -> Verdict:
        stored = self._objects.load(facts.ref.text)
        facts = merged(facts, stored)
        latest = max([event.created for event in waiting] + ([stored.mark.created] if stored.mark else []), default=0)
        mark = mark_of_read(facts, created=latest)
        due = next_look(facts, self._catalogue, now)
        verdict, _ = self._objects.apply(facts.ref.text, number, facts, now, read=True, mark=mark, due=due)
        return verdict

    def _spread(self, names: list[str], errand: Job) -> bool:
        """Spreads objects and all that they tell on. Gives whether all is done."""
        event = errand.on_account_of
        cause = f"event:{event[1]}" if event else errand.cause
        note = (lambda found: self._note(event, found, errand)) if event else None
        queue, finished = deque(names), True
        while queue:
            heard = FollowUps()
            done = self._spreader.spread(queue.popleft(), errand.now, cause, heard, errand.in_time, note)
            finished = finished and done
            queue.extend(name for name in heard.next if name not in queue)
            for other in dict.fromkeys(heard.unread):
                self._objects.request_read(other, errand.now)
                self._read_onward([other], errand)
        return finished

    def _note(self, event: tuple[str, str], found: dict[str, list[object]], errand: Job) -> None:
        """With an event is kept what a reader held before all of it, not before the last of several sources changed."""
        for reader, change in found.items():
            change[0] = errand.held_before.setdefault((event[1], reader), change[0])
        self._inbox.record_changes(*event, found)


def _lags(facts: StripeFacts, waiting: Sequence[PendingEvent]) -> bool:
    """Whether Stripe's answer is older than its own word: what an event says is final is so, and stays so."""
    final = (event.facts for event in waiting if event.facts is not None and event.facts.terminal)
    return not facts.terminal and any(other.ref == facts.ref for other in final)


def _done(event: PendingEvent, verdict: Verdict) -> EventResult:
    if verdict in ("applied", "same"):
        return EventResult(event.id, "applied")
    return EventResult(
        event.id, "stale", "it has ended, and stays so" if verdict == "kept" else "a later reading is in force"
    )
