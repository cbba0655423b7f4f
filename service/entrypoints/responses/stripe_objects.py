"""Stripe objects: links, merges, seats, `/v1/events` and webhooks."""

from __future__ import annotations

from collections.abc import Mapping

from marshmallow import fields, validate

from service.adapters.redis.stripe_objects.ledger import LedgerEntry
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import JsonObject, ResponseSchema
from service.entrypoints.responses.shared_schemas import ReasonMaybeIn
from service.use_cases.subscriptions.event_processor import DeliveryResult
from service.use_cases.subscriptions.subscription_admin import SeatGroup

STATES = ("pending", "applied", "stale", "ignored", "dead")


class LinkIn(ReasonMaybeIn):
    customer = types.identifier(allow_none=True)
    subscription = types.identifier(allow_none=True)


class LinkedOut(ResponseSchema):
    reader = fields.String(required=True)
    customer = fields.String()
    subscription = fields.String()
    was = fields.String(required=True, allow_none=True)


class MergeIn(ReasonMaybeIn):
    from_ = types.reader_id(required=True, data_key="from")


class MergedOut(ResponseSchema):
    reader = fields.String(required=True)
    from_ = fields.String(required=True, data_key="from")


class SeatOut(ResponseSchema):
    reader = fields.String(required=True)
    since = types.UtcTime(required=True)


class GroupOut(ResponseSchema):
    subscription = fields.String(required=True)
    quantity = fields.Integer(required=True)
    used = fields.Integer(required=True)
    seats = fields.List(fields.Nested(SeatOut), required=True)
    removed = fields.List(fields.Nested(SeatOut), required=True)


class HeldOut(ResponseSchema):
    feature = fields.String(required=True)
    until = types.UtcTime(required=True, allow_none=True)
    source = fields.String(required=True)


class ChangeOut(ResponseSchema):
    reader = fields.String(required=True, allow_none=True)
    before = types.Rows(HeldOut, required=True)
    after = types.Rows(HeldOut, required=True)


class EventOut(ResponseSchema):
    id = fields.String(required=True)
    type = fields.String(required=True)
    object = fields.String(required=True, allow_none=True)
    created = types.UtcTime(required=True)
    received_at = types.UtcTime(required=True)
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    why = fields.String(required=True, allow_none=True)
    attempts = fields.Integer(required=True)
    duplicates = fields.Integer(required=True)
    changes = fields.List(fields.Nested(ChangeOut), required=True)


class EventsOut(ResponseSchema):
    items = fields.List(fields.Nested(EventOut), required=True)
    next = fields.String(required=True, allow_none=True)


class ReceiptOut(ResponseSchema):
    id = fields.String(required=True)
    state = fields.String(required=True)


_linked, _merged, _group, _event, _receipt = LinkedOut(), MergedOut(), GroupOut(), EventOut(), ReceiptOut()


def write_link(reader: str, target: Mapping[str, str], was: str | None) -> JsonObject:
    """Return a link; `target` is the linked customer or subscription, `was` the reader that it belonged to."""
    return _linked.write({"reader": reader, **target, "was": was})


def write_merge(reader: str, merged: str) -> JsonObject:
    """Return a merge of the reader `merged` into `reader`."""
    return _merged.write({"reader": reader, "from_": merged})


def write_group(group: SeatGroup) -> JsonObject:
    """Return the seats of a subscription."""
    return _group.write(group)


def write_event(event: LedgerEntry) -> JsonObject:
    """Return a Stripe event, with the entitlements that it changed."""
    return _event.write(event)


def write_receipt(receipt: DeliveryResult) -> JsonObject:
    """Return what became of a delivery."""
    return _receipt.write(receipt)
