"""Requests and answers that several resources share, and those of checkout and webhooks."""

from __future__ import annotations

from marshmallow import fields, validate

from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import RequestSchema, ResponseSchema


class ReasonIn(RequestSchema):
    reason = types.reason(required=True)


class ReasonMaybeIn(RequestSchema):
    reason = types.reason(allow_none=True)


class CheckoutIn(RequestSchema):
    reader = types.reader_id(required=True)
    plan = types.identifier(allow_none=True)
    price = types.identifier(allow_none=True)
    return_url = types.text(required=True)


class PortalIn(RequestSchema):
    reader = types.reader_id(required=True)
    return_url = types.text(required=True)


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


class ReturnedIn(RequestSchema):
    session = fields.String(required=True, validate=validate.Regexp(r"cs_[A-Za-z0-9_]{1,120}\Z"))


class ReturnedOut(ResponseSchema):
    session = fields.String(required=True)
    settled = fields.Boolean(required=True)


class UrlOut(ResponseSchema):
    url = fields.String(required=True, metadata={"format": "uri"})


class ReceiptOut(ResponseSchema):
    id = fields.String(required=True)
    state = fields.String(required=True)
