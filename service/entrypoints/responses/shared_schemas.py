"""Requests and answers that several resources share."""

from __future__ import annotations

from marshmallow import fields

from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import JsonObject, RequestSchema, ResponseSchema


class ReasonIn(RequestSchema):
    reason = types.reason(required=True)


class ReasonMaybeIn(RequestSchema):
    reason = types.reason(allow_none=True)


class NothingIn(RequestSchema):
    """A body without fields, which can be left out."""


class FieldErrorOut(ResponseSchema):
    field = fields.String(required=True)
    message = fields.String(required=True)


class ProblemOut(ResponseSchema):
    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(FieldErrorOut), required=True)


class StatusOut(ResponseSchema):
    status = fields.String(required=True)


_status = StatusOut()


def write_status(status: str) -> JsonObject:
    """Return the status of the service."""
    return _status.write({"status": status})
