"""What requests and answers about proof and power look like: audit records, keys, approvals, decisions."""

from __future__ import annotations

from marshmallow import fields, validate

from service.domain.ids import read_key_name
from service.domain.roles import ADMIN_ROLES
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import RequestSchema, ResponseSchema
from service.entrypoints.responses.schemas import ReasonMaybeIn


def read_role(value: object) -> str:
    """A role that a key made at run time may have."""
    if type(value) is not str or value not in ADMIN_ROLES:
        raise ValueError(f"must be one of {', '.join(ADMIN_ROLES)}")
    return value


class KeyIn(ReasonMaybeIn):
    name = types.Read(
        read_key_name, {"type": "string", "minLength": 1, "maxLength": 128, "example": "newsroom-desk"}, required=True
    )
    role = types.Read(read_role, {"type": "string", "enum": list(ADMIN_ROLES)}, required=True)


class NothingIn(RequestSchema):
    """A body that may be left out; nothing may stand in it."""


class KeyOut(ResponseSchema):
    name = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(ADMIN_ROLES))
    created_at = types.moment(required=True)
    actor = fields.String(required=True)


class NewKeyOut(ResponseSchema):
    name = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(ADMIN_ROLES))
    key = fields.String(required=True)


class KeysOut(ResponseSchema):
    items = fields.List(fields.Nested(KeyOut), required=True)
    next = fields.String(required=True, allow_none=True)


class AuditRecordOut(ResponseSchema):
    seq = fields.Integer(required=True)
    at = types.moment(required=True, allow_none=True)
    actor = fields.String(required=True, allow_none=True)
    from_ip = fields.String(required=True, allow_none=True)
    action = fields.String(required=True, allow_none=True)
    reader = fields.String(required=True, allow_none=True)
    target = fields.String(required=True, allow_none=True)
    before = fields.Dict(required=True, allow_none=True)
    after = fields.Dict(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)
    digest = fields.String(required=True)
    prev = fields.String(required=True)
    hash = fields.String(required=True)


class AuditOut(ResponseSchema):
    items = fields.List(fields.Nested(AuditRecordOut), required=True)
    next = fields.String(required=True, allow_none=True)


class ApprovalOut(ResponseSchema):
    approval = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(["waiting", "confirmed", "refused"]))
    kind = fields.String(required=True)
    reader = fields.String(required=True, allow_none=True)
    wants = fields.Dict(required=True)
    reason = fields.String(required=True, allow_none=True)
    asked_by = fields.String(required=True)
    asked_at = types.moment(required=True)
    expires_at = types.moment(required=True)
    settled_by = fields.String(required=True, allow_none=True)
    outcome = fields.Dict(required=True, allow_none=True)


class ApprovalsOut(ResponseSchema):
    items = fields.List(fields.Nested(ApprovalOut), required=True)
    next = fields.String(required=True, allow_none=True)
