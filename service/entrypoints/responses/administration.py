"""What admins govern: `/v1/keys`, `/v1/audit` and `/v1/approvals`."""

from __future__ import annotations

from marshmallow import fields, validate

from service.adapters.redis.imports.import_store import ImportManifest
from service.adapters.redis.staff.approvals import Approval
from service.domain.ids import read_key_name
from service.domain.roles import ADMIN_ROLES
from service.domain.sources import Grant
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import JsonObject, ReasonMaybeIn, ResponseSchema
from service.entrypoints.responses.imports import write_import
from service.entrypoints.responses.readers import write_grant
from service.use_cases.approvals.approval_workflow import Outcome
from service.use_cases.imports.bulk_imports import PendingImport

# ------------------------------------------------------------------------------------------------------------- keys


def read_role(value: object) -> str:
    """Return a role that a key created at run time can have."""
    if type(value) is not str or value not in ADMIN_ROLES:
        raise ValueError(f"must be one of {', '.join(ADMIN_ROLES)}")
    return value


class KeyIn(ReasonMaybeIn):
    name = types.Read(
        read_key_name, {"type": "string", "minLength": 1, "maxLength": 128, "example": "newsroom-desk"}, required=True
    )
    role = types.Read(read_role, {"type": "string", "enum": list(ADMIN_ROLES)}, required=True)


class KeyOut(ResponseSchema):
    """Written from an `AdminKey`, without its secret."""

    name = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(ADMIN_ROLES))
    created_at = types.UtcTime(required=True)
    actor = fields.String(required=True)


class NewKeyOut(ResponseSchema):
    name = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(ADMIN_ROLES))
    key = fields.String(required=True)


# -------------------------------------------------------------------------------------------------------- audit log


class AuditRecordOut(ResponseSchema):
    """Written from a record of the audit log, which holds its time as text: the chain's hash covers it."""

    seq = fields.Integer(required=True)
    at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
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


# -------------------------------------------------------------------------------------------------------- approvals


class ApprovalOut(ResponseSchema):
    approval = fields.String(attribute="asked.id", required=True)
    state = fields.String(required=True, validate=validate.OneOf(["waiting", "confirmed", "refused"]))
    kind = fields.String(attribute="asked.kind", required=True)
    reader = fields.String(attribute="asked.reader", required=True, allow_none=True)
    wants = fields.Dict(attribute="asked.wants", required=True)
    reason = fields.String(attribute="asked.reason", required=True, allow_none=True)
    asked_by = fields.String(attribute="asked.asked_by", required=True)
    asked_at = types.UtcTime(attribute="asked.asked_at", required=True)
    expires_at = types.UtcTime(attribute="asked.expires_at", required=True)
    settled_by = fields.String(attribute="asked.settled_by", required=True, allow_none=True)
    outcome = fields.Dict(required=True, allow_none=True)


def write_approval(
    asked: Approval, state: str = "waiting", outcome: Outcome | None = None, now: float = 0.0
) -> JsonObject:
    """Return an approval; `outcome` is the result of confirmed work, at `now`."""
    result: JsonObject | None = None
    if isinstance(outcome, Grant):
        result = {"grant": write_grant(outcome, asked.reader or "", now)}
    elif outcome is not None:
        result = {"import": write_import(outcome)}
    return ApprovalOut.write({"asked": asked, "state": state, "outcome": result})


def write_submitted_import(done: ImportManifest | PendingImport) -> JsonObject:
    """Return an import that has begun, or one that waits for an approval: then the approval's fields take precedence."""
    if isinstance(done, PendingImport):
        return {**write_import(done.manifest), **write_approval(done.approval)}
    return write_import(done)
