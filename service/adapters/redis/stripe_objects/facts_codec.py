"""The stored form of Stripe's facts: compact JSON arrays with the schema's number first.

facts      [1, field, source, customer, claims, created, subscription, payment, deleted, terminal, partial, quantity, facts]
           field and source as in `source_codec` (empty for an object that grants nothing)
claims     [gift_recipient, gift_pending, reader_id, client_reference_id]
payment    [intent, amount, refunds, disputes, charged_back]
mark       [created, type, facts, previous, terminal]
owner      [reader, how, as_gift]
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from service.adapters.redis.readers import source_codec
from service.adapters.redis.records import decode_list
from service.domain.errors import NewerSchema
from service.domain.event_order import StateVersion
from service.domain.ownership import UNASSIGNED, Owner
from service.domain.payments import Payment, PaymentUpdate, with_totals
from service.domain.stripe_facts import ObjectRef, OwnerClaims, StripeFacts

SCHEMA = 1

_encoder = msgspec.json.Encoder(order="sorted")


def pack_facts(facts: StripeFacts) -> bytes:
    """Return facts as stored; equal facts have equal bytes, so bytes show whether anything has changed."""
    field = source_codec.field_of(facts.source).decode() if facts.source else ""
    record = source_codec.encode(facts.source, 0).decode() if facts.source else ""
    rest = [facts.customer, claims_row(facts.claims), facts.created, facts.subscription, payment_row(facts.payment)]
    flags = [facts.deleted, facts.terminal, facts.partial, facts.quantity]
    return _encoder.encode([SCHEMA, field, record, *rest, *flags, facts.fingerprint])


def unpack_facts(ref: ObjectRef, text: bytes) -> StripeFacts:
    """Return the facts of an object. Raises: NewerSchema if a newer service wrote them."""
    field, record, customer, claims, created, subscription, payment, *rest = unpack_row(text)
    source = cast(Any, source_codec.decode(field.encode(), record.encode())) if field else None
    known = (ref, source, customer, claims_from(claims), created, subscription, payment_from(payment))
    return StripeFacts(*known, *rest)  # In the order of the fields of `StripeFacts`.


def claims_row(claims: OwnerClaims) -> list[Any]:
    return [claims.gift_recipient, claims.gift_pending, claims.reader_id, claims.client_reference_id]


def claims_from(row: list[Any]) -> OwnerClaims:
    return OwnerClaims(*row)


def payment_row(payment: Payment | None) -> list[Any] | None:
    if payment is None:
        return None
    return [payment.intent, payment.amount, payment.refunds, payment.disputes, payment.charged_back]


def payment_from(row: list[Any] | None) -> Payment | None:
    if row is None:
        return None
    intent, amount, refunds, disputes, charged_back = row
    sums = {name: (int(sum_), str(status)) for name, (sum_, status) in refunds.items()}
    return with_totals(Payment(intent, amount, refunds=sums, disputes=disputes, charged_back=charged_back))


def pack_payment(payment: Payment) -> bytes:
    return _encoder.encode([SCHEMA, payment_row(payment)])


def unpack_payment(text: bytes) -> Payment:
    found = payment_from(unpack_row(text)[0])
    assert found is not None
    return found


def pack_version(version: StateVersion) -> bytes:
    return _encoder.encode(
        [SCHEMA, version.created, version.type, version.fingerprint, version.previous, version.terminal]
    )


def unpack_version(text: bytes) -> StateVersion:
    return StateVersion(*unpack_row(text))


def payment_update_row(update: PaymentUpdate | None) -> list[Any] | None:
    if update is None:
        return None
    return [update.kind, update.id, update.intent, update.charge, update.amount, update.status]


def payment_update_from(row: list[Any] | None) -> PaymentUpdate | None:
    return PaymentUpdate(*row) if row else None


def pack_row(values: list[Any]) -> bytes:
    """Return any other row, behind the schema's number."""
    return _encoder.encode([SCHEMA, *values])


def unpack_row(text: bytes) -> list[Any]:
    values = decode_list(text)
    if values[0] != SCHEMA:
        raise NewerSchema(f"a record of schema {values[0]}, this service knows {SCHEMA}")
    return values[1:]


def unpack_owner(text: bytes) -> Owner:
    return Owner(*unpack_row(text)) if text else UNASSIGNED


def pack_owner(owner: Owner) -> bytes:
    return pack_row([owner.reader, owner.how, owner.as_gift])
