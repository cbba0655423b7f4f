"""Imports: how far one is, what a dry run found, and the mistakes in a file. Each kind counts results of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from marshmallow import fields

from service.adapters.redis.imports.import_store import GRANT_IMPORT, ImportManifest
from service.adapters.redis.stripe_objects.link_imports import LINK_IMPORT
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.errors import largest_drop_text
from service.entrypoints.responses.fields import JsonObject, ResponseSchema
from service.use_cases.grants.imports.grant_change_kind import GRANT_CHANGES, GrantChangeImports
from service.use_cases.grants.imports.grant_kind import GrantImports
from service.use_cases.imports.bulk_imports import DryRun
from service.use_cases.imports.csv_file import ImportSheet
from service.use_cases.imports.kinds import AnyKind
from service.use_cases.providers.snapshot_file import SnapshotSheet
from service.use_cases.providers.snapshot_kind import SNAPSHOT, ProviderSnapshots
from service.use_cases.providers.snapshots import SnapshotDryRun
from service.use_cases.subscriptions.link_imports import LinkImports
from service.use_cases.takeover.takeover_import import TAKEOVER_IMPORT, TakeoverImports


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
    """What the answers of all kinds have in common."""

    id = fields.String(attribute="manifest.id", required=True)
    state = fields.String(attribute="manifest.public_state", required=True)
    rows = fields.Integer(attribute="manifest.rows", required=True)
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
    errors = fields.List(fields.Nested(MistakeOut), required=True)


def _counting(name: str, base: type[ResponseSchema], kind: type[AnyKind], **more: fields.Field[Any]) -> Any:
    """Return a schema that has a count for each result of a kind of import, and the fields `more`."""
    counts = {result: fields.Integer(attribute=f"counts.{result}", required=True) for result in kind.results}
    return type(name, (base,), {**counts, **more})


GrantImportOut = _counting("GrantImportOut", ImportOut, GrantImports)
GrantDryRunOut = _counting("GrantDryRunOut", DryRunOut, GrantImports)
GrantChangesOut = _counting("GrantChangesOut", ImportOut, GrantChangeImports)
GrantChangesDryRunOut = _counting("GrantChangesDryRunOut", DryRunOut, GrantChangeImports)
LinkImportOut = _counting("LinkImportOut", ImportOut, LinkImports)
LinkDryRunOut = _counting("LinkDryRunOut", DryRunOut, LinkImports)
SnapshotOut = _counting(
    "SnapshotOut",
    ImportOut,
    ProviderSnapshots,
    provider=fields.String(attribute="manifest.about.provider", required=True),
)
SnapshotDryRunOut = _counting(
    "SnapshotDryRunOut",
    DryRunOut,
    ProviderSnapshots,
    refused=fields.String(required=True, allow_none=True),
    message=fields.String(required=True, allow_none=True),
)
"""`refused` is why the snapshot would be refused, and `message` says it in words."""

IMPORT_SCHEMAS: Mapping[str, type[ResponseSchema]] = {
    GRANT_IMPORT: GrantImportOut,
    GRANT_CHANGES: GrantChangesOut,
    LINK_IMPORT: LinkImportOut,
    SNAPSHOT: SnapshotOut,
    TAKEOVER_IMPORT: _counting("TakeoverImportOut", ImportOut, TakeoverImports),
}
"""Kind → the schema of its imports; only an approval shows a take-over."""

DRY_RUN_SCHEMAS: Mapping[str, type[ResponseSchema]] = {
    GRANT_IMPORT: GrantDryRunOut,
    GRANT_CHANGES: GrantChangesDryRunOut,
    LINK_IMPORT: LinkDryRunOut,
    SNAPSHOT: SnapshotDryRunOut,
}
"""Kind → the schema of what an import would do; a take-over reports that in a form of its own."""


def write_import(manifest: ImportManifest) -> JsonObject:
    """Return an import: its plan until it is done, then what was done."""
    is_planned = manifest.state in ("staged", "applying")
    counts = dict.fromkeys(manifest.planned, 0) | (manifest.planned if is_planned else manifest.counted)
    undo = manifest.counted if manifest.undo is not None else None
    skipped = manifest.counted.get("skipped", 0)
    row = {"manifest": manifest, "counts": counts, "skipped": skipped, "errors": (), "undo": undo}
    return IMPORT_SCHEMAS[manifest.kind].write(row)


def write_dry_run(kind: str, sheet: ImportSheet[Any], found: DryRun, **more: Any) -> JsonObject:
    """Return what an import would do, and the mistakes in its file; `more` is what the kind's answer has besides."""
    errors = sorted(sheet.mistakes, key=attrgetter("line"))
    row = {"id": None, "state": "staged", "sheet": sheet, "counts": found.counts, "errors": errors, **more}
    return DRY_RUN_SCHEMAS[kind].write(row)


def write_snapshot_dry_run(sheet: SnapshotSheet, done: SnapshotDryRun) -> JsonObject:
    """Return what a snapshot would do, and whether it would be refused."""
    refused = "largest_drop" if done.refused is not None else None
    message = largest_drop_text(done.refused) if done.refused is not None else None
    return write_dry_run(SNAPSHOT, sheet, done.found, refused=refused, message=message)


def write_mistakes(rows: Sequence[tuple[int, str, str]]) -> list[JsonObject]:
    """Return the mistakes in a file."""
    return [{"line": line, "field": field, "message": message} for line, field, message in rows]
