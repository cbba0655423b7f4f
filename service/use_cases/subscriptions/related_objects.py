"""What objects say about one another: a customer to its belongings, a session to its subscription and payment, and back.

Each saying is kept with the other object, under the number that the sayer had; so it survives, and a late one never
overwrites a later one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from service.adapters.redis.stripe_objects import facts_codec
from service.adapters.redis.stripe_objects.objects import Objects, StoredObject
from service.domain.ownership import Owner
from service.domain.stripe_facts import ObjectRef, StripeFacts
from service.use_cases.subscriptions.payments import adds_to, news_of, session_of
from service.use_cases.subscriptions.projections import about_customer, customer_of, pack_about


@dataclass(slots=True)
class FollowUps:
    """What has to follow: objects that were told something new, and those that Stripe has to be asked about."""

    next: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """A customer, before it is known whose the object is; a session with news that Stripe has not confirmed."""


class RelatedObjects:
    """Raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def join(self, obj: StoredObject, facts: StripeFacts, now: float) -> bool:
        """Asks the customer what it says about its object, once; later it tells by itself. Gives whether that was new."""
        known = customer_of(obj)
        if obj.ref.kind == "customer" or facts.customer is None or (known and known.customer == facts.customer):
            return False
        self._objects.add_customer_object(facts.customer, obj.name)
        customer = self._objects.load(f"customer:{facts.customer}")
        value = pack_about(about_customer(customer), whole=obj.ref.kind == "entitlements")
        return self._objects.write_related(obj.name, "customer", customer.rev, value, now)

    def pass_on(self, obj: StoredObject, owner: Owner, rev: int, now: float, heard: FollowUps) -> None:
        """Tells other objects what this one says about them."""
        facts = obj.facts
        if obj.ref.kind == "customer":
            self._tell_belongings(obj, rev, now, heard)
        elif session := session_of(obj):
            self._tell_session(obj, session, rev, now, heard)
        elif facts is not None:
            self._tell_of_session(facts, rev, now, heard)
            self._tell_customer(facts, owner, rev, now, heard)

    def _tell_of_session(self, facts: StripeFacts, rev: int, now: float, heard: FollowUps) -> None:
        """A session's claims count for the subscription that it began (there may have been several sessions); its name
        for the payment, so that what is told of that, earlier or later, finds it."""
        if facts.ref.kind != "session":
            return
        if facts.subscription:
            row = facts_codec.pack_row([facts.created, facts_codec.claims_row(facts.claims)])
            self._tell(f"subscription:{facts.subscription}", f"session:{facts.ref.id}", rev, row, now, heard)
        if facts.payment and facts.payment.intent:
            self._tell(f"intent:{facts.payment.intent}", "session", 1, facts.ref.text.encode(), now, heard)

    def _tell_customer(self, facts: StripeFacts, owner: Owner, rev: int, now: float, heard: FollowUps) -> None:
        """Whose the customer is known to be; of several objects the youngest says so."""
        gives = facts.source is not None and facts.ref.kind != "entitlements"
        if gives and facts.customer and owner.reader and not owner.as_gift:
            number = facts.created * 1_000_000 + min(rev, 999_999)
            self._tell(f"customer:{facts.customer}", "known", number, owner.reader.encode(), now, heard)

    def _tell_belongings(self, obj: StoredObject, rev: int, now: float, heard: FollowUps) -> None:
        """What is a deleted customer's is over; Stripe is asked how exactly."""
        about = about_customer(obj)
        for name in self._objects.list_customer_objects(obj.ref.id):
            value = pack_about(about, whole=name.startswith("entitlements:"))
            facts = self._tell(name, "customer", rev, value, now, heard)
            if facts and about.deleted_at is not None:
                heard.unread.append(name)

    def _tell_session(self, obj: StoredObject, session: ObjectRef, rev: int, now: float, heard: FollowUps) -> None:
        """What was told of a payment goes to its session; it rests on payloads where Stripe has not said so itself."""
        news = news_of(obj)
        if news is None:
            return
        facts = self._objects.load(session.text).facts
        value, new = facts_codec.pack_payment(news), adds_to(facts.payment if facts else None, news)
        if self._objects.write_related(session.text, "payment", rev, value, now, from_payload=new):
            heard.next.append(session.text)
            heard.unread += [session.text] if new else []

    def _tell(self, name: str, about: str, number: int, value: bytes, now: float, heard: FollowUps) -> bool:
        new = self._objects.write_related(name, about, number, value, now)
        if new:
            heard.next.append(name)
        return new
