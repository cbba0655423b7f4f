"""Seats of group subscriptions: `/v1/subscriptions/{subscription}/seats`, `/v1/groups` and `/v1/invites/accept`."""

from __future__ import annotations

from marshmallow import fields

from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import RequestSchema, ResponseSchema


class SeatOut(ResponseSchema):
    reader = fields.String(required=True)
    since = types.UtcTime(required=True)


class GroupOut(ResponseSchema):
    """Written from a `SeatGroup`."""

    subscription = fields.String(required=True)
    quantity = fields.Integer(required=True)
    used = fields.Integer(required=True)
    seats = fields.List(fields.Nested(SeatOut), required=True)
    removed = fields.List(fields.Nested(SeatOut), required=True)


class OwnerIn(RequestSchema):
    owner = types.reader_id(required=True)


class InviteIn(OwnerIn):
    until = types.moment(required=True)


class AcceptIn(RequestSchema):
    invite = types.text(required=True)
    reader = types.reader_id(required=True)


class InviteOut(ResponseSchema):
    """Written from an `Invitation`."""

    id = fields.String(required=True)
    until = types.UtcTime(required=True)


class CreatedInviteOut(InviteOut):
    invite = fields.String(required=True)


class OwnedGroupOut(ResponseSchema):
    """Written from an `OwnedGroup`."""

    subscription = fields.String(required=True)
    plan = fields.String(required=True)
    quantity = fields.Integer(required=True)
    used = fields.Integer(required=True)
    seats = fields.List(fields.Nested(SeatOut), required=True)
    invites = fields.List(fields.Nested(InviteOut), required=True)


class GroupsOut(ResponseSchema):
    groups = fields.List(fields.Nested(OwnedGroupOut), required=True)


class AcceptedOut(ResponseSchema):
    subscription = fields.String(required=True)
    reader = fields.String(required=True)


class HeldSeatOut(ResponseSchema):
    """Written from a `HeldSeat`."""

    subscription = fields.String(required=True)
    since = types.UtcTime(required=True)
    invites = fields.List(fields.String(), required=True)
