"""What answers about figures and about what needs a hand look like."""

from __future__ import annotations

from marshmallow import fields

from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import ResponseSchema


class CheckCountOut(ResponseSchema):
    show = fields.String(required=True)
    reason = fields.String(required=True)
    count = fields.Integer(required=True)


class PlanCountOut(ResponseSchema):
    plan = fields.String(required=True, allow_none=True)
    count = fields.Integer(required=True)


class OutcomeCountOut(ResponseSchema):
    outcome = fields.String(required=True)
    count = fields.Integer(required=True)


class DelayOut(ResponseSchema):
    events = fields.Integer(required=True)
    mean = fields.Float(required=True, allow_none=True)
    half_within = fields.Integer(required=True, allow_none=True)
    most_within = fields.Integer(required=True, allow_none=True)


class PointOut(ResponseSchema):
    when = fields.String(required=True)
    checks = fields.List(fields.Nested(CheckCountOut), required=True)
    upsells = fields.Integer(required=True)
    upsell_readers = fields.Integer(required=True)
    begun = fields.Integer(required=True)
    entitlements = fields.List(fields.Nested(PlanCountOut), required=True)
    webhooks = fields.List(fields.Nested(OutcomeCountOut), required=True)
    delay = fields.Nested(DelayOut, required=True)


class ShareOut(ResponseSchema):
    begun = fields.Integer(required=True)
    readers = fields.Integer(required=True)
    share = fields.Float(required=True, allow_none=True)
    low = fields.Float(required=True, allow_none=True)
    high = fields.Float(required=True, allow_none=True)
    within_days = fields.Integer(required=True)


class ActivityOut(ResponseSchema):
    zone = fields.String(required=True)
    days = fields.List(fields.Nested(PointOut), required=True)
    hours = fields.List(fields.Nested(PointOut), required=True)
    upsell = fields.Nested(ShareOut, required=True)


class ExampleOut(ResponseSchema):
    id = fields.String(required=True)
    reader = fields.String(required=True, allow_none=True)
    at = types.moment(required=True, allow_none=True)
    text = fields.String(required=True)


class ItemOut(ResponseSchema):
    kind = fields.String(required=True)
    count = fields.Integer(required=True)
    needs_hand = fields.Boolean(required=True)
    title = fields.String(required=True)
    mend = fields.String(required=True)
    where = fields.String(required=True)
    examples = fields.List(fields.Nested(ExampleOut), required=True)


class AttentionOut(ResponseSchema):
    at = types.moment(required=True)
    needs_hand = fields.Boolean(required=True)
    items = fields.List(fields.Nested(ItemOut), required=True)
