"""Who holds what of an object: its facts, its owner and its seats → a source for each holder, and when that changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from service.adapters.redis.readers.source_codec import LETTERS
from service.adapters.redis.stripe_objects import facts_codec
from service.adapters.redis.stripe_objects.objects import StoredObject
from service.domain.catalogue import DAY, HOUR, Catalogue
from service.domain.ownership import Owner
from service.domain.payments import apply_payment, merge_payments
from service.domain.sources import Holding, Pass, Source, Standing, StripeEntitlements, Subscription
from service.domain.stripe_facts import OwnerClaims, StripeFacts

HOT_FOR = 30 * DAY
"""Seconds for which a source that has expired stays in the hot record, so that a longer grace in the configuration
counts at once, without a rewrite."""

NEVER = float("inf")
AFTER_PERIOD = 300
"""Seconds after a period, a trial or a scheduled end: by then Stripe has renewed or ended the subscription."""
BEFORE_END = HOUR
"""Seconds before access would end: a last read, should the renewal's event be lost."""

LINKED = b"linked:"
"""The field of a customer for each of its objects with a link of its own: the reader; empty when unlinked again."""

SESSION = b"session:"
"""The field of a subscription for each session that started it; the field's number has the same name with a `#`."""


@dataclass(frozen=True, slots=True)
class CustomerClaims:
    """What a customer reports to its objects. The owners, as its other objects know them, are for entitlements alone."""

    customer: str
    link: str | None
    claims: OwnerClaims
    deleted_at: int | None
    known_owner: str | None
    """The owner of its youngest object, without links."""
    is_read: bool = True
    """Whether Stripe has reported the customer at all."""
    linked_owner: str | None = None
    """The reader to whom its youngest object is linked, if no younger one has an owner."""


def claims_for_objects(customer: StoredObject) -> CustomerClaims:
    """Return what a stored customer reports to its objects."""
    facts, version = customer.facts, customer.version
    moment = version.created if version and version.created else customer.number(b"at") // 1000
    return CustomerClaims(
        customer=customer.ref.id,
        link=customer.link,
        claims=facts.claims if facts else OwnerClaims(),
        deleted_at=moment if customer.is_deleted else None,
        known_owner=(customer.fields.get(b"known") or b"").decode() or None,
        is_read=facts is not None or customer.number(b"applied") > 0,
        linked_owner=_linked_owner(customer),
    )


def _linked_owner(customer: StoredObject) -> str | None:
    """Return the reader to whom the youngest linked object of a customer is linked, unless a younger object counts."""
    found = [
        (customer.number(name + b"#") // 1_000_000, name, reader.decode())
        for name, reader in customer.fields.items()
        if name.startswith(LINKED) and not name.endswith(b"#") and reader
    ]
    known = customer.number(b"known#") // 1_000_000 if customer.fields.get(b"known") else 0
    created, _, reader = max(found, default=(-1, b"", ""))
    return reader if created >= known else None


def pack_customer_claims(claims: CustomerClaims, *, with_owner: bool) -> bytes:
    """Return the claims as stored with an object; `with_owner`: with the known owner, for entitlements."""
    known, linked = (claims.known_owner, claims.linked_owner) if with_owner else (None, None)
    packed = facts_codec.claims_row(claims.claims)
    row = [claims.customer, claims.link, packed, claims.deleted_at, known, claims.is_read]
    return facts_codec.pack_row([*row, linked] if linked else row)


def customer_claims_of(obj: StoredObject) -> CustomerClaims | None:
    """Return what the object's customer reported last."""
    text = obj.fields.get(b"customer")
    return _unpack_customer_claims(text) if text else None


@lru_cache(maxsize=1_024)
def _unpack_customer_claims(text: bytes) -> CustomerClaims:
    customer, link, claims, *rest = facts_codec.unpack_row(text)
    return CustomerClaims(customer, link, facts_codec.claims_from(claims), *rest)


def session_claims_of(obj: StoredObject) -> list[OwnerClaims]:
    """Return the claims of the sessions that started a subscription, the oldest first."""
    found = [
        facts_codec.unpack_row(row)
        for name, row in obj.fields.items()
        if name.startswith(SESSION) and not name.endswith(b"#")
    ]
    return [facts_codec.claims_from(claims) for _, claims in sorted(found, key=lambda row: (row[0], str(row[1])))]


def seats_paid_for(facts: StripeFacts | None, catalogue: Catalogue) -> int | None:
    """Return the sum over items of plans with seats; `None` if there is no such plan."""
    if facts is None or not isinstance(facts.source, Subscription):
        return None
    plans = [(catalogue.plan_for(i.price, i.lookup_key, i.product), i.quantity) for i in facts.source.items]
    seats = [quantity for plan, quantity in plans if plan is not None and plan.seats]
    return sum(seats) if seats else None


def _current_state(obj: StoredObject, facts: StripeFacts, source: Subscription) -> Subscription:
    """Return a subscription as it counts: that of a deleted customer has ended, even if no event of its own reports that."""
    claims = customer_claims_of(obj)
    if claims is not None and claims.deleted_at is not None and not facts.terminal:
        source = replace(source, status="canceled", ended_at=claims.deleted_at)
    return source if source.confirmed == obj.confirmed else replace(source, confirmed=obj.confirmed)


def group_holdings(obj: StoredObject, catalogue: Catalogue) -> list[Holding]:
    """Return what a subscription gives by its plans with seats."""
    facts = obj.facts
    if facts is None or not isinstance(facts.source, Subscription):
        return []
    holdings = _current_state(obj, facts, facts.source).holdings(catalogue)
    return [one for one in holdings if one.plan and catalogue.plans[one.plan].seats]


def copies_by_holder(obj: StoredObject, owner: Owner) -> dict[str, Source | None]:
    """Return the copies of an object: `letter:reader` → source (`None`: the customer itself, which grants nothing)."""
    facts = obj.facts
    if obj.ref.kind == "customer":
        return {f"c:{owner.reader}": None} if owner.reader else {}
    if facts is None:
        return {}
    source = facts.source
    if isinstance(source, Subscription):
        return _subscription_copies(obj, _current_state(obj, facts, source), owner)
    if source is None or owner.reader is None:
        return {}
    if isinstance(source, Pass):
        return {f"p:{owner.reader}": _pass(obj, facts, source, owner)}
    deleted = (claims := customer_claims_of(obj)) is not None and claims.deleted_at is not None
    keys = () if deleted else source.lookup_keys
    return {f"e:{owner.reader}": StripeEntitlements(source.customer, keys, obj.confirmed)}


def _subscription_copies(obj: StoredObject, source: Subscription, owner: Owner) -> dict[str, Source | None]:
    copies: dict[str, Source | None] = {}
    if owner.reader:
        own = replace(source, role="gift") if owner.as_gift else source
        copies[f"{LETTERS[own.role]}:{owner.reader}"] = own
    for reader, since in obj.seats.items():
        copies[f"t:{reader}"] = replace(source, role="seat", since=since // 1000)
    return copies


def paid_at_of(obj: StoredObject) -> int | None:
    """Return when a session was paid, by the earliest event that reported it (epoch seconds)."""
    paid = obj.fields.get(b"paid")
    return int(paid) if paid else None


def _pass(obj: StoredObject, facts: StripeFacts, source: Pass, owner: Owner) -> Pass:
    payment = facts.payment
    if text := obj.fields.get(b"payment"):
        reported = facts_codec.unpack_payment(text)
        payment = merge_payments(payment, reported) if payment else reported
    paid_at = paid_at_of(obj)
    source = replace(source, paid_at=source.paid_at if paid_at is None else paid_at)
    return replace(apply_payment(source, payment), confirmed=obj.confirmed, gift=owner.as_gift)


def is_expired(source: Source, catalogue: Catalogue, now: float) -> bool:
    """Return whether a source can open nothing any more: it has ended, or it expired more than `HOT_FOR` ago."""
    if isinstance(source, StripeEntitlements):
        return not source.lookup_keys
    holdings = source.holdings(catalogue)
    return all(
        holding.base is Standing.ENDED or (holding.until is not None and now >= holding.until + HOT_FOR)
        for holding in holdings
    )


def next_recheck(facts: StripeFacts, catalogue: Catalogue, now: float) -> float:
    """Return the next moment at which the object changes by itself and is read again; `NEVER` if there is none.

    An expired source is read once more, when it leaves the hot record.
    """
    source = facts.source
    if not isinstance(source, Subscription | Pass):
        return NEVER
    holdings = source.holdings(catalogue)
    ends = [holding.until for holding in holdings if holding.until is not None]
    moments = [end + HOT_FOR for end in ends]
    if isinstance(source, Subscription) and any(h.base is not Standing.ENDED for h in holdings):
        turns = [item.end for item in source.items] + [source.trial_end, source.scheduled_end]
        moments += [turn + AFTER_PERIOD for turn in turns if turn is not None]
        moments += [end - BEFORE_END for end in ends]
    return min((moment for moment in moments if moment > now), default=NEVER)
