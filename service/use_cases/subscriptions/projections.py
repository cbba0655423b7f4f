"""What readers hold of an object: from its facts, whose it is and who has a seat to a source for each of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from service.adapters.redis.readers.source_codec import LETTERS
from service.adapters.redis.stripe_objects import facts_codec
from service.adapters.redis.stripe_objects.objects import StoredObject
from service.domain.catalogue import DAY, Catalogue
from service.domain.event_order import StateVersion
from service.domain.ownership import Owner
from service.domain.payments import joined, with_payment
from service.domain.sources import Pass, Source, Standing, StripeEntitlements, Subscription
from service.domain.stripe_facts import OwnerClaims, StripeFacts

HOT_FOR = 30 * DAY
"""Seconds for which what has ended by time alone stays where a check sees it: a longer grace in the configuration counts
at once, without rewriting anything."""

SESSION = b"session:"
"""Field of a subscription for each session that began it; its number lies beside it, with a `#` at the end."""


@dataclass(frozen=True, slots=True)
class CustomerClaims:
    """What an object's customer says of whose it is: an admin's link, its own claims, whether it was deleted, and by its
    other objects whose it is known to be (which counts for Stripe's Entitlements alone)."""

    customer: str
    link: str | None
    claims: OwnerClaims
    deleted_at: int | None
    known: str | None
    facts: bool = True
    """Whether Stripe has told of the customer at all."""


def about_customer(customer: StoredObject) -> CustomerClaims:
    """What a customer's record says to its belongings."""
    facts, mark = customer.facts, customer.mark
    gone = facts is not None and facts.deleted
    return CustomerClaims(
        customer=customer.ref.id,
        link=customer.link,
        claims=facts.claims if facts and not gone else OwnerClaims(),
        deleted_at=_moment(mark, customer) if gone else None,
        known=(customer.fields.get(b"known") or b"").decode() or None,
        facts=facts is not None or customer.number(b"applied") > 0,
    )


def _moment(mark: StateVersion | None, customer: StoredObject) -> int:
    return mark.created if mark and mark.created else customer.number(b"at") // 1000


def pack_about(about: CustomerClaims, *, whole: bool) -> bytes:
    """`whole`: with what only entitlements are told."""
    known = about.known if whole else None
    row = [about.customer, about.link, facts_codec.claims_row(about.claims), about.deleted_at, known, about.facts]
    return facts_codec.pack_row(row)


def customer_of(obj: StoredObject) -> CustomerClaims | None:
    """What the object was told of its customer last."""
    text = obj.fields.get(b"customer")
    if not text:
        return None
    customer, link, claims, deleted_at, known, facts = facts_codec.unpack_row(text)
    return CustomerClaims(customer, link, facts_codec.claims_from(claims), deleted_at, known, facts)


def sessions_of(obj: StoredObject) -> list[OwnerClaims]:
    """The claims of the sessions that began a subscription, the oldest first."""
    facts = [
        facts_codec.unpack_row(row) for name, row in obj.fields.items() if name.startswith(SESSION) and name[-1] != 35
    ]
    return [facts_codec.claims_from(claims) for _, claims in sorted(facts, key=lambda row: (row[0], str(row[1])))]


def seats_paid_for(facts: StripeFacts | None, catalogue: Catalogue) -> int | None:
    """The sum over items of plans with seats; `None` where there is no such plan."""
    if facts is None or not isinstance(facts.source, Subscription):
        return None
    plans = [(catalogue.plan_for(i.price, i.lookup_key, i.product), i.quantity) for i in facts.source.items]
    seats = [quantity for plan, quantity in plans if plan is not None and plan.seats]
    return sum(seats) if seats else None


def copies_of(obj: StoredObject, owner: Owner) -> dict[str, Source | None]:
    """Who holds what: `letter:reader` → the source (`None`: the customer itself, which gives nothing)."""
    facts = obj.facts
    if obj.ref.kind == "customer":
        return {f"c:{owner.reader}": None} if owner.reader else {}
    if facts is None:
        return {}
    source = facts.source
    if isinstance(source, Subscription):
        return _of_subscription(obj, _as_it_stands(source, obj), owner)
    if source is None or owner.reader is None:
        return {}
    if isinstance(source, Pass):
        return {f"p:{owner.reader}": _pass(obj, facts, source, owner)}
    gone = (about := customer_of(obj)) is not None and about.deleted_at is not None
    keys = () if gone else source.lookup_keys
    return {f"e:{owner.reader}": StripeEntitlements(source.customer, keys, obj.confirmed)}


def _of_subscription(obj: StoredObject, source: Subscription, owner: Owner) -> dict[str, Source | None]:
    held: dict[str, Source | None] = {}
    if owner.reader:
        own = replace(source, role="gift" if owner.as_gift else "subscription")
        held[f"{LETTERS[own.role]}:{owner.reader}"] = own
    for reader, since in obj.seats.items():
        held[f"t:{reader}"] = replace(source, role="seat", since=since // 1000)
    return held


def _as_it_stands(source: Subscription, obj: StoredObject) -> Subscription:
    """With the customer's end as its own: what belongs to a deleted customer is over, also if nobody says so."""
    about, facts = customer_of(obj), obj.facts
    if about is not None and about.deleted_at is not None and facts is not None and not facts.terminal:
        source = replace(source, status="canceled", ended_at=about.deleted_at)
    return replace(source, confirmed=obj.confirmed)


def paid_at_of(obj: StoredObject) -> int | None:
    """When the earliest event that says so told that a session is paid."""
    paid = obj.fields.get(b"paid")
    return int(paid) if paid else None


def _pass(obj: StoredObject, facts: StripeFacts, source: Pass, owner: Owner) -> Pass:
    payment = facts.payment
    if text := obj.fields.get(b"payment"):
        news = facts_codec.unpack_payment(text)
        payment = joined(payment, news) if payment else news
    paid_at = paid_at_of(obj)
    source = replace(source, paid_at=source.paid_at if paid_at is None else paid_at)
    return replace(with_payment(source, payment), confirmed=obj.confirmed, gift=owner.as_gift)


def is_past(source: Source, catalogue: Catalogue, now: float) -> bool:
    """Whether it can open nothing any more: ended by its own word, or long ago by time."""
    if isinstance(source, StripeEntitlements):
        return not source.lookup_keys
    holdings = source.holdings(catalogue)
    return all(
        holding.base is Standing.ENDED or (holding.until is not None and now >= holding.until + HOT_FOR)
        for holding in holdings
    )
