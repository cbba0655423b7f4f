"""Stripe objects: links, merges, `/v1/events` and webhooks."""

from __future__ import annotations

from marshmallow import fields, validate

from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import ReasonMaybeIn, ResponseSchema

STATES = ("pending", "applied", "stale", "ignored", "dead")


class LinkIn(ReasonMaybeIn):
    customer = types.customer_id(allow_none=True)
    subscription = types.subscription_id(allow_none=True)


class UnlinkedOut(ResponseSchema):
    reader = fields.String(required=True)
    customer = fields.String()
    subscription = fields.String()


class LinkedOut(UnlinkedOut):
    was = fields.String(required=True, allow_none=True)


class MergeIn(ReasonMaybeIn):
    from_ = types.reader_id(required=True, data_key="from")


class MergedOut(ResponseSchema):
    reader = fields.String(required=True)
    from_ = fields.String(required=True, data_key="from")


class HeldOut(ResponseSchema):
    feature = fields.String(required=True)
    until = types.UtcTime(required=True, allow_none=True)
    source = fields.String(required=True)


class ChangeOut(ResponseSchema):
    reader = fields.String(required=True, allow_none=True)
    before = types.Rows(HeldOut, required=True)
    after = types.Rows(HeldOut, required=True)


class EventOut(ResponseSchema):
    """Written from a `LedgerEntry`."""

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


class ReceiptOut(ResponseSchema):
    id = fields.String(required=True)
    state = fields.String(required=True)
