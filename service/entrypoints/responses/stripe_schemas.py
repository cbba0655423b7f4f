"""What requests and answers about Stripe's facts look like: links, merges, seats, the ledger of events."""

from __future__ import annotations

from marshmallow import fields, validate

from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import RequestSchema, ResponseSchema
from service.entrypoints.responses.schemas import ReasonMaybeIn

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


class NoFieldsIn(RequestSchema):
    """A body that may be left out; no field may stand in it."""


class SeatOut(ResponseSchema):
    reader = fields.String(required=True)
    since = types.moment(required=True)


class GroupOut(ResponseSchema):
    subscription = fields.String(required=True)
    quantity = fields.Integer(required=True)
    used = fields.Integer(required=True)
    seats = fields.List(fields.Nested(SeatOut), required=True)
    removed = fields.List(fields.Nested(SeatOut), required=True)


class HeldOut(ResponseSchema):
    feature = fields.String(required=True)
    until = types.moment(required=True, allow_none=True)
    source = fields.String(required=True)


class ChangeOut(ResponseSchema):
    reader = fields.String(required=True, allow_none=True)
    before = fields.List(fields.Nested(HeldOut), required=True)
    after = fields.List(fields.Nested(HeldOut), required=True)


class EventOut(ResponseSchema):
    id = fields.String(required=True)
    type = fields.String(required=True)
    object = fields.String(required=True, allow_none=True)
    created = types.moment(required=True)
    received_at = types.moment(required=True)
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    why = fields.String(required=True, allow_none=True)
    attempts = fields.Integer(required=True)
    duplicates = fields.Integer(required=True)
    changes = fields.List(fields.Nested(ChangeOut), required=True)


class EventsOut(ResponseSchema):
    items = fields.List(fields.Nested(EventOut), required=True)
    next = fields.String(required=True, allow_none=True)
