"""Refunds and disputes: from the payment that they are about to the session whose pass they touch.

What events say of a payment is kept with its intent, each saying as a field of its own: a set, which neither order nor
repeats can change. So it does not matter whether the session is known before or after.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from service.adapters.redis.stripe_objects import facts_codec
from service.adapters.redis.stripe_objects.inbox import EventResult, PendingEvent
from service.adapters.redis.stripe_objects.objects import Objects, StoredObject
from service.domain.errors import NoSuchObject, StripeRefused, StripeUnavailable
from service.domain.payments import joined, with_news
from service.domain.stripe_facts import ObjectRef, Payment, PaymentRef, PaymentUpdate
from service.use_cases.subscriptions.job import Job, RefreshResult
from service.use_cases.subscriptions.payload_mode import UNREAD
from service.use_cases.subscriptions.ports import Gateway

NOT_OURS = "about nothing that is kept here"
NEWS = b"news:"


class Payments:
    """Raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, objects: Objects, gateway: Gateway | None, report: Callable[[str, str], None]) -> None:
        self._objects = objects
        self._gateway = gateway
        self._report = report

    def follow(self, ref: PaymentRef, waiting: list[PendingEvent], number: int, errand: Job) -> RefreshResult:
        """Keeps what the events say, and finds what has to be read on their account."""
        name = ref.text
        for news in [event.news for event in waiting if event.news is not None and ref.kind == "intent"]:
            self._objects.write_related(
                name, _field(news), 1, facts_codec.pack_row([facts_codec.news_row(news)]), errand.now
            )
        session = self._objects.load(name).fields.get(b"session")
        found = [session.decode()] if session else self._resolved(ref, errand)
        if found is None:
            self._objects.apply(name, number, None, errand.now, read=False)
            return RefreshResult([EventResult(event.id, "pending", UNREAD) for event in waiting], [], failed=True)
        self._objects.apply(name, number, None, errand.now, read=True)
        if ref.kind == "intent" and not session:
            for other in found:
                self._objects.write_related(name, "session", 1, other.encode(), errand.now)
        done = [
            EventResult(event.id, "applied") if found else EventResult(event.id, "ignored", NOT_OURS)
            for event in waiting
        ]
        return RefreshResult(done, found)

    def _resolved(self, ref: PaymentRef, errand: Job) -> list[str] | None:
        """What Stripe says that this leads to; `None` if Stripe cannot be asked now."""
        if self._gateway is None or errand.away:
            return None
        try:
            return [other.text for other in self._gateway.resolve(ref, patience=errand.patience)]
        except NoSuchObject:
            return []
        except (StripeUnavailable, StripeRefused) as trouble:
            self._report("stripe_unread", trouble.why)
            errand.away = True
            return None


def _field(news: PaymentUpdate) -> str:
    return f"news:{news.what}:{news.id}:{news.status}:{news.amount}"


def news_of(intent: StoredObject) -> Payment | None:
    """All that events have said of a payment; `None` if nothing."""
    rows = [row for name, row in intent.fields.items() if name.startswith(NEWS) and not name.endswith(b"#")]
    facts = [news for row in rows if (news := facts_codec.news_from(facts_codec.unpack_row(row)[0])) is not None]
    return reduce(with_news, facts, Payment(intent.ref.id, 0)) if facts else None


def adds_to(payment: Payment | None, news: Payment) -> bool:
    """Whether the news changes what is known of a payment."""
    if payment is None:
        return False
    both = joined(payment, news)
    return (both.refunded, both.disputed) != (payment.refunded, payment.disputed)


def session_of(intent: StoredObject) -> ObjectRef | None:
    """The session that the payment was for."""
    session = (intent.fields.get(b"session") or b"").decode()
    return ObjectRef("session", session.partition(":")[2]) if session.startswith("session:") else None
