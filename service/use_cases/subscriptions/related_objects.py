"""What objects report about one another: a customer about its objects, a session about its subscription and payment.

Each report is stored with the object that it is about, under the number of the reporting one. So it does not matter
which of the two is known first, and a late report never overwrites a later one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce

from service.adapters.redis.stripe_objects import facts_codec
from service.adapters.redis.stripe_objects.objects import Objects, RelatedFact, StoredObject
from service.domain.payments import Payment, PaymentUpdate, apply_update, merge_payments
from service.domain.stripe_facts import ObjectRef, StripeFacts
from service.use_cases.subscriptions.owner_resolution import ResolvedOwner
from service.use_cases.subscriptions.projections import claims_for_objects, customer_claims_of, pack_customer_claims


@dataclass(slots=True)
class FollowUps:
    """Objects with a new report, which are fanned out next, and objects to read from Stripe."""

    to_fan_out: list[str] = field(default_factory=list)
    to_read: list[str] = field(default_factory=list)
    """A customer who decides on an owner; a session with a payment update that Stripe has not confirmed."""


class RelatedObjects:
    """Stores reports about related objects. Raises: StoreUnavailable."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def add_to_customer(self, obj: StoredObject, facts: StripeFacts, now: float) -> bool:
        """Add an object to its customer, once, and store the customer's claims with it. Return whether they are new."""
        known = customer_claims_of(obj)
        if obj.ref.kind == "customer" or facts.customer is None or (known and known.customer == facts.customer):
            return False
        self._objects.add_customer_object(facts.customer, obj.name)
        customer = self._objects.load(f"customer:{facts.customer}")
        value = pack_customer_claims(claims_for_objects(customer), with_owner=obj.ref.kind == "entitlements")
        return self._objects.write_related(obj.name, "customer", customer.rev, value, now)

    def update_related(
        self, obj: StoredObject, found: ResolvedOwner, rev: int, now: float, follow_ups: FollowUps
    ) -> None:
        """Store with other objects what this one reports about them."""
        if session := session_of(obj):
            self._update_session(obj, session, rev, now, follow_ups)
            return
        is_customer = obj.ref.kind == "customer"
        objects = self._objects.list_customer_objects(obj.ref.id) if is_customer else []
        new = [fact.name for fact in related_facts(obj, found, rev, objects) if self._objects.write_related(*fact, now)]
        follow_ups.to_fan_out += new
        if is_customer and obj.is_deleted:  # Its objects have ended; Stripe reports when.
            follow_ups.to_read += new

    def _update_session(
        self, obj: StoredObject, session: ObjectRef, rev: int, now: float, follow_ups: FollowUps
    ) -> None:
        """Store a payment with its session, as unconfirmed where Stripe has not reported the same of the session."""
        payment = reported_payment(obj)
        if payment is None:
            return
        facts = self._objects.load(session.name).facts
        unconfirmed = facts is not None and facts.payment is not None and _changes(facts.payment, payment)
        value = facts_codec.pack_payment(payment)
        if self._objects.write_related(session.name, "payment", rev, value, now, from_payload=unconfirmed):
            follow_ups.to_fan_out.append(session.name)
            follow_ups.to_read += [session.name] if unconfirmed else []


def related_facts(
    obj: StoredObject, found: ResolvedOwner, rev: int, customer_objects: Sequence[str]
) -> list[RelatedFact]:
    """Return what an object states about others, if it is a customer about its objects."""
    if obj.ref.kind == "customer":
        claims = claims_for_objects(obj)
        return [
            RelatedFact(
                name, "customer", rev, pack_customer_claims(claims, with_owner=name.startswith("entitlements:"))
            )
            for name in customer_objects
        ]
    facts = obj.facts
    return [] if facts is None else [*_facts_of_session(facts, rev), *_facts_for_customer(obj, facts, found, rev)]


def _facts_of_session(facts: StripeFacts, rev: int) -> Iterator[RelatedFact]:
    """Yield a session's claims for its subscription, which several sessions may have started, and its name for its
    payment, so that payment updates find it."""
    if facts.ref.kind == "session" and facts.subscription:
        row = facts_codec.pack_row([facts.created, facts_codec.claims_row(facts.claims)])
        yield RelatedFact(f"subscription:{facts.subscription}", f"session:{facts.ref.id}", rev, row)
    if facts.ref.kind == "session" and facts.payment and facts.payment.intent:
        yield RelatedFact(f"intent:{facts.payment.intent}", "session", 1, facts.ref.name.encode())


def _facts_for_customer(obj: StoredObject, facts: StripeFacts, found: ResolvedOwner, rev: int) -> Iterator[RelatedFact]:
    """Yield the owner without links for the customer, of several objects the youngest's, and the object's own link."""
    unlinked = found.unlinked
    if facts.source is None or facts.ref.kind == "entitlements" or not facts.customer:
        return
    customer, number = f"customer:{facts.customer}", facts.created * 1_000_000 + min(rev, 999_999)
    # A former release stored the linked reader there, whom an object without another owner takes back.
    if not unlinked.as_gift and (unlinked.reader or obj.has_unknown_past):
        yield RelatedFact(customer, "known", number, (unlinked.reader or "").encode())
    if obj.was_linked:
        reader = found.owner.reader if obj.link and not found.owner.as_gift else None
        yield RelatedFact(customer, f"linked:{obj.name}", number, (reader or "").encode())


# The updates of a payment are stored with its intent, each as a field of its own: a set needs no order.

_UPDATE = b"news:"


def update_field(update: PaymentUpdate) -> str:
    """Return the name of the field of an intent that holds an update."""
    return f"news:{update.kind}:{update.id}:{update.status}:{update.amount}"


def reported_payment(intent: StoredObject) -> Payment | None:
    """Return a payment as its updates report it, or `None` if there are none."""
    rows = [row for name, row in intent.fields.items() if name.startswith(_UPDATE) and not name.endswith(b"#")]
    found = [facts_codec.payment_update_from(facts_codec.unpack_row(row)[0]) for row in rows]
    updates = [update for update in found if update is not None]
    return reduce(apply_update, updates, Payment(intent.ref.id, 0)) if updates else None


def session_of(intent: StoredObject) -> ObjectRef | None:
    session = (intent.fields.get(b"session") or b"").decode()
    return ObjectRef("session", session.partition(":")[2]) if session.startswith("session:") else None


def _changes(known: Payment, reported: Payment) -> bool:
    both = merge_payments(known, reported)
    return (both.refunded, both.disputed) != (known.refunded, known.disputed)
