"""What requests and answers about story passes and gifts look like."""

from __future__ import annotations

from marshmallow import fields, validate

from service.domain.story_passes import MOST_OPENINGS
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import RequestSchema, ResponseSchema

MOST_OPENINGS_OF_A_GIFT = 100


def _whole(value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"must be a whole number from 1 to {most}")
    return value


def read_openings(value: object) -> int:
    """How many people a pass lets in."""
    return _whole(value, MOST_OPENINGS)


def read_openings_of_a_gift(value: object) -> int:
    """How many people a reader's gift lets in."""
    return _whole(value, MOST_OPENINGS_OF_A_GIFT)


class PassIn(RequestSchema):
    story = types.identifier(required=True)
    openings = types.Read(
        read_openings, {"type": "integer", "minimum": 1, "maximum": MOST_OPENINGS, "example": 500}, required=True
    )
    until = types.moment(required=True)
    reason = types.reason(required=True)


class GiftIn(RequestSchema):
    reader = types.reader_id(required=True)
    story = types.identifier(required=True)
    openings = types.Read(
        read_openings_of_a_gift,
        {"type": "integer", "minimum": 1, "maximum": MOST_OPENINGS_OF_A_GIFT, "example": 1},
        allow_none=True,
    )
    until = types.moment(allow_none=True)


class PassOut(ResponseSchema):
    id = fields.String(required=True)
    pass_ = fields.String(required=True, data_key="pass")
    story = fields.String(required=True)
    openings = fields.Integer(required=True)
    used = fields.Integer(required=True)
    until = types.moment(required=True)
    status = fields.String(required=True, validate=validate.OneOf(["active", "used_up", "expired", "revoked"]))
    actor = fields.String(required=True)


class PassesOut(ResponseSchema):
    items = fields.List(fields.Nested(PassOut), required=True)
    next = fields.String(required=True, allow_none=True)


class AllowanceOut(ResponseSchema):
    limit = fields.Integer(required=True)
    used = fields.Integer(required=True)
    left = fields.Integer(required=True)
    resets_at = types.moment(required=True)


class GiftOut(PassOut):
    gifts = fields.Nested(AllowanceOut, required=True)


class GiftsOut(AllowanceOut):
    reader = fields.String(required=True)
    items = fields.List(fields.Nested(PassOut), required=True)


class JwkOut(ResponseSchema):
    kty = fields.String(required=True)
    crv = fields.String(required=True)
    x = fields.String(required=True)
    kid = fields.String(required=True)
    use = fields.String(required=True)
    alg = fields.String(required=True)


class JwksOut(ResponseSchema):
    keys = fields.List(fields.Nested(JwkOut), required=True)
