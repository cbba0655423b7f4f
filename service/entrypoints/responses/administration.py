"""What admins govern: `/v1/keys`, `/v1/audit`, `/v1/approvals` and `/v1/grants/import`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter

from marshmallow import fields, validate

from service.adapters.redis.grants.imports import Action, ImportManifest
from service.adapters.redis.staff.approvals import Approval
from service.domain.ids import read_key_name
from service.domain.roles import ADMIN_ROLES
from service.domain.sources import Grant
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import JsonObject, ReasonMaybeIn, ResponseSchema
from service.entrypoints.responses.readers import write_grant
from service.use_cases.grants.approvals import Outcome
from service.use_cases.grants.imports.csv_file import ImportSheet, RowMistake
from service.use_cases.grants.imports.grant_imports import PendingImport
from service.use_cases.grants.imports.plan import PLANNED

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


# ---------------------------------------------------------------------------------------------------------- imports


class MistakeOut(ResponseSchema):
    line = fields.Integer(required=True)
    field = fields.String(required=True)
    message = fields.String(required=True)


class ProgressOut(ResponseSchema):
    done = fields.Integer(attribute="cursor", required=True)
    of = fields.Integer(attribute="chunks", required=True)


class UndoOut(ResponseSchema):
    taken_back = fields.Integer(required=True)
    left_alone = fields.Integer(required=True)


class ImportOut(ResponseSchema):
    id = fields.String(attribute="manifest.id", required=True)
    state = fields.String(attribute="manifest.public_state", required=True)
    rows = fields.Integer(attribute="manifest.rows", required=True)
    new = fields.Integer(attribute="counts.new", required=True)
    extended = fields.Integer(attribute="counts.extended", required=True)
    unchanged = fields.Integer(attribute="counts.unchanged", required=True)
    skipped = fields.Integer(required=True)
    errors = fields.List(fields.Nested(MistakeOut), required=True)
    actor = fields.String(attribute="manifest.actor.name", required=True)
    created_at = types.UtcTime(attribute="manifest.created_at", required=True)
    approval = fields.String(attribute="manifest.approval", required=True, allow_none=True)
    progress = fields.Nested(ProgressOut, attribute="manifest", required=True)
    undo = fields.Nested(UndoOut, required=True, allow_none=True)


class DryRunOut(ResponseSchema):
    id = fields.String(required=True, allow_none=True)
    state = fields.String(required=True)
    rows = fields.Integer(attribute="sheet.rows", required=True)
    new = fields.Integer(attribute="counts.new", required=True)
    extended = fields.Integer(attribute="counts.extended", required=True)
    unchanged = fields.Integer(attribute="counts.unchanged", required=True)
    errors = fields.List(fields.Nested(MistakeOut), required=True)


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


def write_import(manifest: ImportManifest) -> JsonObject:
    """Return an import: its plan until it is done, then what was done."""
    counts = manifest.planned if manifest.state in ("staged", "applying") else manifest.counted
    undo = manifest.counted if manifest.undo is not None else None
    skipped = manifest.counted.get("skipped", 0)
    row = {"manifest": manifest, "counts": _NONE | counts, "skipped": skipped, "errors": (), "undo": undo}
    return ImportOut.write(row)


def write_submitted_import(done: ImportManifest | PendingImport) -> JsonObject:
    """Return an import that has begun, or one that waits for an approval: then the approval's fields take precedence."""
    if isinstance(done, PendingImport):
        return {**write_import(done.manifest), **write_approval(done.approval)}
    return write_import(done)


def write_dry_run(sheet: ImportSheet, actions: Mapping[int, Action]) -> JsonObject:
    """Return what an import would do (`actions` by line), and the mistakes in its file."""
    taken: list[str] = list(actions.values())
    counts = {name: taken.count(name) for name in PLANNED}
    row = {"id": None, "state": "staged", "sheet": sheet, "counts": counts, "errors": sorted(sheet.mistakes, key=_LINE)}
    return DryRunOut.write(row)


def write_mistakes(rows: Sequence[tuple[int, str, str]]) -> list[JsonObject]:
    """Return the mistakes in a file, by line."""
    return [MistakeOut.write(RowMistake(*row)) for row in sorted(rows, key=_LINE)]


_LINE = itemgetter(0)
_NONE = dict.fromkeys(PLANNED, 0)
