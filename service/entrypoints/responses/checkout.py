"""Buying a plan: `/v1/checkout`, `/v1/checkout/returned` and `/v1/portal`."""

from __future__ import annotations

from marshmallow import fields, validate

from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import RequestSchema, ResponseSchema


class CheckoutIn(RequestSchema):
    reader = types.reader_id(required=True)
    plan = types.identifier(allow_none=True)
    price = types.identifier(allow_none=True)
    return_url = types.text(required=True)


class PortalIn(RequestSchema):
    reader = types.reader_id(required=True)
    return_url = types.text(required=True)


class UrlOut(ResponseSchema):
    url = fields.String(required=True, metadata={"format": "uri"})


class ReturnedIn(RequestSchema):
    session = fields.String(required=True, validate=validate.Regexp(r"cs_[A-Za-z0-9_]{1,120}\Z"))


class ReturnedOut(ResponseSchema):
    session = fields.String(required=True)
    settled = fields.Boolean(required=True)
