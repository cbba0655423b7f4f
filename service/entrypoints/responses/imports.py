"""Imports: how far one is, what a dry run found, and the mistakes in a file. Each kind counts results of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from marshmallow import fields

from service.adapters.redis.imports.import_store import GRANT_IMPORT, ImportManifest
from service.adapters.redis.stripe_objects.link_imports import LINK_IMPORT
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.errors import largest_drop_text
from service.entrypoints.responses.fields import JsonObject, ResponseSchema
from service.use_cases.grants.imports.grant_change_kind import GRANT_CHANGES
from service.use_cases.imports.bulk_imports import DryRun
from service.use_cases.imports.csv_file import ImportSheet, RowMistake
from service.use_cases.providers.snapshot_file import SnapshotSheet
from service.use_cases.providers.snapshot_kind import SNAPSHOT
from service.use_cases.providers.snapshots import SnapshotDryRun
from service.use_cases.takeover.takeover_import import TAKEOVER_IMPORT


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


class GrantCounts(ResponseSchema):
    new = fields.Integer(attribute="counts.new", required=True)
    extended = fields.Integer(attribute="counts.extended", required=True)
    unchanged = fields.Integer(attribute="counts.unchanged", required=True)


class GrantImportOut(GrantCounts, ImportOut):
    """An import of grants."""


class GrantDryRunOut(GrantCounts, DryRunOut):
    """What an import of grants would do."""


class SnapshotCounts(ResponseSchema):
    new = fields.Integer(attribute="counts.new", required=True)
    changed = fields.Integer(attribute="counts.changed", required=True)
    ended = fields.Integer(attribute="counts.ended", required=True)
    unchanged = fields.Integer(attribute="counts.unchanged", required=True)


class SnapshotOut(SnapshotCounts, ImportOut):
    """A snapshot of a provider."""

    provider = fields.String(attribute="manifest.about.provider", required=True)


class SnapshotDryRunOut(SnapshotCounts, DryRunOut):
    """What a snapshot would do. `refused` says why it would be refused, and `message` in words."""

    refused = fields.String(required=True, allow_none=True)
    message = fields.String(required=True, allow_none=True)


class GrantChangeCounts(ResponseSchema):
    changed = fields.Integer(attribute="counts.changed", required=True)
    revoked = fields.Integer(attribute="counts.revoked", required=True)
    unchanged = fields.Integer(attribute="counts.unchanged", required=True)


class GrantChangesOut(GrantChangeCounts, ImportOut):
    """A change of many grants."""


class GrantChangesDryRunOut(GrantChangeCounts, DryRunOut):
    """What a change of many grants would do."""


class LinkCounts(ResponseSchema):
    new = fields.Integer(attribute="counts.new", required=True)
    changed = fields.Integer(attribute="counts.changed", required=True)
    unchanged = fields.Integer(attribute="counts.unchanged", required=True)


class LinkImportOut(LinkCounts, ImportOut):
    """An import of links."""


class LinkDryRunOut(LinkCounts, DryRunOut):
    """What an import of links would do."""


class TakeoverCounts(ResponseSchema):
    links = fields.Integer(attribute="counts.links", required=True)
    grants = fields.Integer(attribute="counts.grants", required=True)
    seats = fields.Integer(attribute="counts.seats", required=True)


class TakeoverImportOut(TakeoverCounts, ImportOut):
    """A take-over, as an approval shows it."""


class TakeoverDryRunOut(TakeoverCounts, DryRunOut):
    """What a take-over would do."""


SCHEMAS: Mapping[str, tuple[type[ImportOut], type[DryRunOut]]] = {
    GRANT_IMPORT: (GrantImportOut, GrantDryRunOut),
    SNAPSHOT: (SnapshotOut, SnapshotDryRunOut),
    GRANT_CHANGES: (GrantChangesOut, GrantChangesDryRunOut),
    LINK_IMPORT: (LinkImportOut, LinkDryRunOut),
    TAKEOVER_IMPORT: (TakeoverImportOut, TakeoverDryRunOut),
}
"""The schemas of each kind of import and of its dry run."""


def write_import(manifest: ImportManifest) -> JsonObject:
    """Return an import: its plan until it is done, then what was done."""
    is_planned = manifest.state in ("staged", "applying")
    counts = dict.fromkeys(manifest.planned, 0) | (manifest.planned if is_planned else manifest.counted)
    undo = manifest.counted if manifest.undo is not None else None
    skipped = manifest.counted.get("skipped", 0)
    row = {"manifest": manifest, "counts": counts, "skipped": skipped, "errors": (), "undo": undo}
    return SCHEMAS[manifest.kind][0].write(row)


def write_dry_run(kind: str, sheet: ImportSheet[Any], found: DryRun, **more: Any) -> JsonObject:
    """Return what an import would do, and the mistakes in its file; `more` is what the kind's answer has besides."""
    errors = sorted(sheet.mistakes, key=_LINE)
    row = {"id": None, "state": "staged", "sheet": sheet, "counts": found.counts, "errors": errors, **more}
    return SCHEMAS[kind][1].write(row)


def write_snapshot_dry_run(sheet: SnapshotSheet, done: SnapshotDryRun) -> JsonObject:
    """Return what a snapshot would do, and whether it would be refused."""
    refused = "largest_drop" if done.refused is not None else None
    message = largest_drop_text(done.refused) if done.refused is not None else None
    return write_dry_run(SNAPSHOT, sheet, done.found, refused=refused, message=message)


def write_mistakes(rows: Sequence[tuple[int, str, str]]) -> list[JsonObject]:
    """Return the mistakes in a file, by line."""
    return [MistakeOut.write(RowMistake(*row)) for row in sorted(rows, key=_LINE)]


_LINE = itemgetter(0)
