"""`/v1/grants/import`: grants for many readers from a CSV; how far one is; undoing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from flask import Blueprint, Response, jsonify, request
from marshmallow import fields

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.grants.imports import Action, ImportManifest
from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.domain.catalogue import Catalogue
from service.domain.errors import UndoneImport, UnknownImport
from service.entrypoints.http import errors, guards
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.api.access import private
from service.entrypoints.http.api.approvals import told_of as told_approval
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.http.openapi_description import IDEMPOTENCY_KEY, REASON, described, query
from service.entrypoints.http.query_parameters import taken
from service.entrypoints.responses.schemas import Answer, ReasonIn
from service.use_cases.grants.imports import csv_file as import_sheet
from service.use_cases.grants.imports.grant_imports import GrantImports, Waiting
from service.use_cases.grants.imports.pacing import Pace, short_turns
from service.use_cases.grants.imports.progress import told_of
from service.use_cases.grants.imports.rows import Mistake, Sheet, TooManyRows
from service.use_cases.grants.imports.staging import WrongRows

DRY_RUN = query("dry_run", "Only say what the import would do.", {"type": "boolean", "default": False})
_CSV = {
    "text/csv": {"schema": {"type": "string"}, "example": "reader,plan,until,reason\nr-1042,vip,never,press card\n"}
}
_REST = 1.0
"""A request rests as long as it works: the same process answers checks."""


class MistakeOut(Answer):
    line = fields.Integer(required=True)
    field = fields.String(required=True)
    message = fields.String(required=True)


class ProgressOut(Answer):
    done = fields.Integer(required=True)
    of = fields.Integer(required=True)


class UndoOut(Answer):
    taken_back = fields.Integer(required=True)
    left_alone = fields.Integer(required=True)


class ImportOut(Answer):
    id = fields.String(required=True, allow_none=True)
    state = fields.String(required=True)
    rows = fields.Integer(required=True)
    new = fields.Integer(required=True)
    extended = fields.Integer(required=True)
    unchanged = fields.Integer(required=True)
    skipped = fields.Integer()
    errors = fields.List(fields.Nested(MistakeOut), required=True)
    actor = fields.String()
    created_at = fields.String(metadata={"format": "date-time"})
    approval = fields.String(allow_none=True)
    progress = fields.Nested(ProgressOut)
    undo = fields.Nested(UndoOut, allow_none=True)


def blueprint(
    imports: GrantImports, catalogue: Catalogue, repeated: IdempotencyStore, clock: Callable[[], float]
) -> Blueprint:
    """Imports of grants."""
    blp = Blueprint("imports", __name__)
    reason_in = ReasonIn()

    @blp.post("/v1/grants/import")
    @described(takes=_CSV, gives={200: ImportOut, 202: ImportOut}, parameters=(IDEMPOTENCY_KEY, DRY_RUN), tag="grants")
    @guards.admin("granter")
    def import_grants() -> Response:
        """Gives grants to many readers, all or none: `reader,plan,until,reason`, at most 50 000 rows and 16 MiB.

        `until` is a time with an offset, or `never`. Wrong rows are named with line and field, and nothing is taken then.
        """
        only_say = _dry_run()
        _must_be_csv()
        body = bodies.raw(import_sheet.MOST_BYTES)

        def work() -> Response:
            now, pace = clock(), Pace(_REST)
            with short_turns():
                sheet = sheet_of(body, catalogue, now, pace)
                if only_say:
                    return jsonify(checked(imports, sheet, now, pace))
                return _taken(imports, sheet, guards.actor(), now, pace)

        return repeats.once(repeated, work, most=import_sheet.MOST_BYTES)

    @blp.get("/v1/grants/import/<import_id>")
    @described(gives={200: ImportOut}, refuses=(404,), tag="grants")
    @guards.admin("viewer")
    def show_import(import_id: str) -> Response:
        """How far an import is, or its undoing."""
        return private(told_of(known(lambda: imports.find(import_id))))

    @blp.delete("/v1/grants/import/<import_id>")
    @described(
        takes=ReasonIn,
        body_required=False,
        gives={202: ImportOut},
        refuses=(404, 409),
        parameters=(REASON,),
        tag="grants",
    )
    @guards.admin("granter")
    def undo_import(import_id: str) -> Response:
        """Undoes an import: takes back what it gave, and puts back the ends that it changed.

        What somebody changed or revoked since by hand is left alone.
        """
        reason = bodies.reason(reason_in) or ""
        answer = jsonify(told_of(known(lambda: imports.undo(import_id, reason, guards.actor(), clock()))))
        answer.status_code = 202
        return answer

    return blp


def sheet_of(body: bytes, catalogue: Catalogue, now: float, pace: Pace) -> Sheet:
    """The sheet in a file. `Problem` 413."""
    try:
        return import_sheet.read(body, catalogue, now, pace)
    except TooManyRows:
        raise Problem(413, f"The file has more than {import_sheet.MOST_ROWS} rows; send it in parts.") from None


def checked(
    imports: GrantImports, sheet: Sheet, now: float, pace: Pace, actions: dict[int, Action] | None = None
) -> dict[str, Any]:
    """What a dry run tells: what is wrong, and what the rest would do; `actions` as `GrantImports.dry_run` has it."""
    counts = imports.dry_run(sheet, now, pace, actions)
    return {"id": None, "state": "staged", "rows": sheet.rows, **counts, "errors": mistakes(sheet.mistakes)}


def known(find: Callable[[], ImportManifest]) -> ImportManifest:
    """The import. `Problem` 404, 409."""
    try:
        return find()
    except UnknownImport:
        raise Problem(404, "There is no import of this id, or it is no longer kept.") from None
    except UndoneImport:
        detail = "This import was undone, and stays so; import the file again."
        raise Problem(409, detail, kind="import-undone", title="The import was undone") from None


def mistakes(found: Sequence[Mistake]) -> list[dict[str, Any]]:
    """Mistakes as they are told, by line."""
    ordered = sorted(found, key=lambda mistake: mistake.line)
    return [{"line": mistake.line, "field": mistake.field, "message": mistake.message} for mistake in ordered]


def _taken(imports: GrantImports, sheet: Sheet, actor: Actor, now: float, pace: Pace) -> Response:
    try:
        found = imports.submit(sheet, actor, now, pace, named=repeats.token())
    except WrongRows as wrong:
        return _refused(mistakes(wrong.mistakes))
    answer = jsonify(waiting(found) if isinstance(found, Waiting) else told_of(found))
    answer.status_code = 202
    return answer


def waiting(found: Waiting) -> dict[str, Any]:
    """An import that a second admin has to confirm: the approval's own words come first."""
    return {**told_of(found.manifest), **told_approval(found.approval)}


def _refused(wrong: list[dict[str, Any]]) -> Response:
    """422 with the line of each mistake, which other problems do not have."""
    lines = len({mistake["line"] for mistake in wrong})
    first = wrong[0]
    detail = f"{lines} lines are wrong; nothing was taken. Line {first['line']}, {first['field']}: {first['message']}"
    answer = errors.response(Problem(422, detail, kind="wrong-rows", title="Rows are wrong"))
    answer.set_data(orjson.dumps({**orjson.loads(answer.get_data()), "errors": wrong}))
    return answer


def _dry_run() -> bool:
    given = taken("dry_run").get("dry_run", "false")
    if given not in ("true", "false"):
        raise invalid([("dry_run", "must be true or false")])
    return given == "true"


def _must_be_csv() -> None:
    kind = request.mimetype.lower()
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if kind != "text/csv" or charset not in ("utf-8", "utf8"):
        raise Problem(
            415,
            "Send the file as text/csv, in UTF-8 (a missing Content-Type is refused too).",
            kind="not-csv-type",
            title="The body must be text/csv",
        )
