"""Translate Stripe's objects into `StripeFacts`: of old API versions (before 2025-03-31.basil) and new, expanded or not.

The shape of an object depends on the API version of the webhook endpoint that sent it, not on `API_VERSION`. Any field
may be missing, null, of another type, an ID, or the expanded object. Nothing here raises: what cannot be read is
unknown (`None`, or empty), and an object without an ID has no facts (`None`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from service.adapters.crypto import claim_digest
from service.domain.catalogue import READER_METADATA
from service.domain.ownership import is_reader_id
from service.domain.payments import Payment, PaymentUpdate, apply_payment
from service.domain.sources import TERMINAL, Item, Pass, StripeEntitlements, Subscription
from service.domain.stripe_facts import Fingerprint, ObjectRef, OwnerClaims, StripeFacts
from service.domain.times import LAST_SECOND

Json = Mapping[str, Any]

PAID = frozenset({"paid", "no_payment_required"})
"""`payment_status` of a session that may be fulfilled."""

LARGEST = 1 << 53
"""Beyond it a number is no longer exact in JSON; no time, amount or quantity comes near."""


# ------------------------------------------------------------------------------------------------- single fields


def text(value: Any) -> str | None:
    """Return a text that is not empty and that UTF-8 can encode (half surrogates cannot), or `None`."""
    if not isinstance(value, str) or not value:
        return None
    return value if value.isascii() or _is_unicode(value) else None


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def id_of(value: Any) -> str | None:
    """Return an ID, whether the field holds it or the expanded object."""
    return text(value.get("id")) if isinstance(value, Mapping) else text(value)


def integer(value: Any) -> int | None:
    """Return a whole number: an amount, a quantity, a time."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    return int(value) if -LARGEST < value < LARGEST else None


def timestamp(value: Any) -> int | None:
    """Return a time in epoch seconds: at most the calendar's last second; `None` for a time before 1970."""
    found = integer(value)
    return None if found is None or found < 0 else min(found, LAST_SECOND)


def mapping(value: Any) -> Json:
    """Return an object's fields; empty where there is no object."""
    return value if isinstance(value, Mapping) else {}


def rows(value: Any) -> list[Json]:
    """Return the objects in a list, embedded (`{"object": "list", "data": […]}`) or plain."""
    found = mapping(value).get("data", value)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list | tuple) else []


def is_cut_off(value: Any) -> bool:
    """Return whether an embedded list goes on beyond what it holds."""
    return mapping(value).get("has_more") is True


def with_reader_id(obj: Json, keys: Sequence[str]) -> Json:
    """Return an object whose metadata names the reader as `reader_id`: of these keys, the first that holds a valid ID."""
    if tuple(keys) == READER_METADATA:
        return obj
    metadata = mapping(obj.get("metadata"))
    rest = {name: value for name, value in metadata.items() if name not in READER_METADATA}
    reader = _reader_in(metadata, keys)
    return {**obj, "metadata": {**rest, "reader_id": reader} if reader else rest}


def with_former_reader_id(previous: Json, obj: Json, keys: Sequence[str]) -> Json:
    """Return `previous_attributes` of an object likewise; they hold only the metadata that changed."""
    changed = mapping(previous.get("metadata"))
    if tuple(keys) == READER_METADATA or "metadata" not in previous:
        return previous
    rest = {name: value for name, value in changed.items() if name not in READER_METADATA}
    if not any(key in changed for key in keys):
        return {**previous, "metadata": rest}
    former = _reader_in({**mapping(obj.get("metadata")), **changed}, keys)
    return {**previous, "metadata": {**rest, "reader_id": former}}


def _reader_in(metadata: Json, keys: Sequence[str]) -> str | None:
    """Return the first valid ID; where none is valid, the first text, which names nobody."""
    values = [value for key in keys if (value := text(metadata.get(key)))]
    return next((value for value in values if is_reader_id(value)), next(iter(values), None))


def owner_claims(obj: Json) -> OwnerClaims:
    """Return everything in an object that names its owner; never an email address."""
    metadata = mapping(obj.get("metadata"))
    return OwnerClaims(
        gift_recipient=text(metadata.get("gift_recipient")),
        gift_pending=metadata.get("gift") == "pending",
        reader_id=text(metadata.get("reader_id")),
        client_reference_id=text(obj.get("client_reference_id")),
    )


def customer_of(obj: Json) -> str | None:
    """Return the ID of the customer; under Accounts v2 that of the account that stands in for one."""
    return id_of(obj.get("customer")) or id_of(obj.get("customer_account"))


def subscription_billed_by(invoice: Json) -> str | None:
    """Return the subscription that an invoice bills, if any: in `parent` since basil, at the top before."""
    details = mapping(mapping(invoice.get("parent")).get("subscription_details"))
    return id_of(details.get("subscription")) or id_of(invoice.get("subscription"))


# --------------------------------------------------------------------------------------------------- whole objects


def subscription_facts(obj: Json, items: Sequence[Json] | None = None) -> StripeFacts | None:
    """Return the facts of a subscription. `items`: all of them, where the embedded list is cut off and was read on."""
    name = id_of(obj)
    if name is None:
        return None
    status = text(obj.get("status")) or "unknown"
    created = timestamp(obj.get("created")) or 0
    found = tuple(item for row in (rows(obj.get("items")) if items is None else items) if (item := _item(row, obj)))
    source = Subscription(
        id=name,
        status=status,
        items=found or _only_item(obj),
        created=created,
        trial_end=timestamp(obj.get("trial_end")),
        cancel_at=timestamp(obj.get("cancel_at")),
        cancel_at_period_end=obj.get("cancel_at_period_end") is True,
        ended_at=timestamp(obj.get("ended_at")),
    )
    return StripeFacts(
        ref=ObjectRef("subscription", name),
        source=source,
        customer=customer_of(obj),
        claims=owner_claims(obj),
        created=created,
        terminal=status in TERMINAL,
        partial=items is None and is_cut_off(obj.get("items")),
        quantity=sum(item.quantity for item in source.items),
        fingerprint=_subscription_fingerprint(obj),
    )


def _item(row: Json, obj: Json) -> Item | None:
    """Return an item, with a period of its own since basil and its subscription's before. A price was once a plan."""
    price = row.get("price") or row.get("plan")
    name = id_of(price)
    if name is None or row.get("deleted") is True:
        return None
    start, end = _period(row, obj)
    quantity = integer(row.get("quantity"))
    return Item(
        price=name,
        lookup_key=text(mapping(price).get("lookup_key")),
        product=id_of(mapping(price).get("product")),
        quantity=1 if quantity is None else max(quantity, 0),  # A metered price has none.
        start=start,
        end=end,
    )


def _period(row: Json, obj: Json) -> tuple[int, int]:
    """Return start and end of the paid period. An unknown end is the start: a reader never gains by missing data."""
    start, end = (
        timestamp(row.get(f"current_period_{edge}")) or timestamp(obj.get(f"current_period_{edge}"))
        for edge in ("start", "end")
    )
    start = start or timestamp(obj.get("start_date")) or timestamp(obj.get("created")) or 0
    return start, start if end is None else end


def _only_item(obj: Json) -> tuple[Item, ...]:
    """Return the one price that very old versions name at the top."""
    item = _item({"plan": obj.get("plan"), "quantity": obj.get("quantity")}, obj)
    return (item,) if item else ()


def session_facts(
    obj: Json, *, paid_at: int | None = None, payment: Payment | None = None, lines: Sequence[Json] | None = None
) -> StripeFacts | None:
    """Return the facts of a Checkout session.

    In mode payment its source is a pass once it is paid. In mode subscription it has only claims, in mode setup nothing.

    `paid_at` is `created` of the event that first reported the payment; without it the pass starts with the session.
    `payment` and `lines` come from requests to Stripe, since a webhook carries neither.
    """
    name = id_of(obj)
    if name is None:
        return None
    mode, created = text(obj.get("mode")), timestamp(obj.get("created")) or 0
    paid = text(obj.get("payment_status")) in PAID and obj.get("status") in ("complete", None)
    if mode == "payment" and payment is None:
        payment = Payment(intent=id_of(obj.get("payment_intent")), amount=integer(obj.get("amount_total")) or 0)
    source = None
    if mode == "payment" and paid:
        first, *others = _bought(obj, lines) or [(None, None, None)]
        starts_at = created if paid_at is None else paid_at
        source = apply_payment(Pass(name, *first, paid_at=starts_at, others=tuple(others)), payment)
    return StripeFacts(
        ref=ObjectRef("session", name),
        source=source,
        customer=customer_of(obj),
        claims=owner_claims(obj),
        created=created,
        subscription=id_of(obj.get("subscription")),
        payment=payment if mode == "payment" else None,
        terminal=source is not None,
        fingerprint=_named_values(obj, _SESSION_FIELDS),
    )


def _bought(obj: Json, lines: Sequence[Json] | None) -> list[tuple[str | None, str | None, str | None]]:
    """Return price, lookup key and product: of the price that our checkout named, else of every line that has one."""
    named = text(mapping(obj.get("metadata")).get("price_id"))
    prices = [mapping(row.get("price")) for row in (rows(obj.get("line_items")) if lines is None else lines)]
    bought = [(id_of(one), text(one.get("lookup_key")), id_of(one.get("product"))) for one in prices if id_of(one)]
    if named is None:
        return [*bought]
    return [line for line in bought if named in line[:2]][:1] or [(named, None, None)]


def customer_facts(obj: Json) -> StripeFacts | None:
    """Return the facts of a customer, who holds nothing themselves: their claims, and whether they are deleted."""
    name = id_of(obj)
    if name is None:
        return None
    deleted = obj.get("deleted") is True
    return StripeFacts(
        ref=ObjectRef("customer", name),
        source=None,
        customer=name,
        claims=owner_claims(obj),
        created=timestamp(obj.get("created")) or 0,
        deleted=deleted,
        terminal=deleted,
        fingerprint=_named_values(obj, {"deleted": bool}),
    )


def summary_facts(obj: Json) -> StripeFacts | None:
    """Return the facts of an entitlement summary; an event carries at most ten, so it may be cut off."""
    name, held = customer_of(obj), obj.get("entitlements")
    return entitlements_facts(name, rows(held), partial=is_cut_off(held)) if name else None


def entitlements_facts(customer: str, held: Sequence[Json], partial: bool = False) -> StripeFacts:
    """Return the facts of a customer's active entitlements."""
    keys = tuple(dict.fromkeys(key for row in held if (key := text(row.get("lookup_key")))))
    return StripeFacts(
        ref=ObjectRef("entitlements", customer),
        source=StripeEntitlements(customer, keys),
        customer=customer,
        claims=OwnerClaims(),
        created=0,
        partial=partial,
        fingerprint=_entitlements_fingerprint(held),
    )


def payment_update(obj: Json) -> PaymentUpdate | None:
    """Return what a charge, a refund or a dispute reports about its payment; `None` for other objects."""
    kind, name = obj.get("object"), id_of(obj)
    if name is None or kind not in ("charge", "refund", "dispute"):
        return None
    amount = {"charge": "amount_refunded", "refund": "amount"}.get(kind)
    return PaymentUpdate(
        kind=kind,
        id=name,
        intent=id_of(obj.get("payment_intent")),
        charge=name if kind == "charge" else id_of(obj.get("charge")),
        amount=max(integer(obj.get(amount)) or 0, 0) if amount else 0,
        status=text(obj.get("status")) or "unknown",
    )


TRANSLATORS: dict[str, Callable[[Any], StripeFacts | None]] = {
    "subscription": subscription_facts,
    "checkout.session": session_facts,
    "customer": customer_facts,
    "entitlements.active_entitlement_summary": summary_facts,
}
"""By the word in an object's `object` field. Other objects are not stored."""


# -------------------------------------------------------------------------------------------------- fingerprints
# `service.domain.event_order` compares fingerprints with each other and with `previous_attributes`, which go through the
# same functions: a field that an event does not name is absent. Reader IDs are hashed, so that erasing a reader need not
# search here.

_SUBSCRIPTION_FIELDS: dict[str, Callable[[Any], object]] = {
    "status": text,
    "cancel_at": integer,
    "cancel_at_period_end": bool,
    "canceled_at": integer,
    "ended_at": integer,
    "trial_end": integer,
    "latest_invoice": id_of,
    "pause_collection": bool,
    "quantity": integer,
    "current_period_start": integer,
    "current_period_end": integer,
}
_SESSION_FIELDS: dict[str, Callable[[Any], object]] = {"status": text, "payment_status": text, "customer": id_of}
_CLAIMS = (*READER_METADATA, "gift_recipient", "gift")


def previous_fingerprint(kind: str, attributes: Json) -> Fingerprint:
    """Return the fingerprint of `previous_attributes` of an object of this kind."""
    if kind == "subscription":
        return _subscription_fingerprint(attributes)
    if kind == "entitlements":
        held = attributes.get("entitlements")
        return _entitlements_fingerprint(rows(held)) if "entitlements" in attributes else {}
    return _named_values(attributes, _SESSION_FIELDS if kind == "session" else {"deleted": bool})


def _subscription_fingerprint(obj: Json) -> Fingerprint:
    found = _named_values(obj, _SUBSCRIPTION_FIELDS)
    if "items" in obj:
        found["items"] = [_item_fingerprint(row) for row in rows(obj["items"])]
    return found


def _item_fingerprint(row: Json) -> list[object]:
    price = id_of(row.get("price")) or id_of(row.get("plan"))
    period = (integer(row.get("current_period_start")), integer(row.get("current_period_end")))
    return [id_of(row), price, integer(row.get("quantity")), *period]


def _entitlements_fingerprint(held: Sequence[Json]) -> Fingerprint:
    return {"lookup_keys": sorted({key for row in held if (key := text(row.get("lookup_key")))})}


def _named_values(obj: Json, wanted: Mapping[str, Callable[[Any], object]]) -> dict[str, object]:
    found = {name: read(obj[name]) for name, read in wanted.items() if name in obj}
    metadata = mapping(obj.get("metadata"))
    for name in _CLAIMS:
        if name in metadata:
            value = text(metadata[name])
            found[f"metadata.{name}"] = claim_digest(value) if value else None
    return found
