"""Imports from a CSV file, of grants, links and providers' subscriptions: validate, import, progress and undo.

Only a validated file can be imported: the form carries a signature of the file that the validation returned.
"""

from __future__ import annotations

import csv
import hmac
import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from flask import Response, request, url_for

from service.adapters.redis.audit.chain import AuditFilter
from service.adapters.redis.imports.import_store import GRANT_IMPORT, ImportManifest
from service.adapters.redis.stripe_objects.link_imports import LINK_IMPORT
from service.domain.catalogue import Catalogue
from service.domain.errors import DomainError, InvalidFields
from service.entrypoints.http import guards, idempotency
from service.entrypoints.http.admin.page_context import (
    Outcome,
    PageContext,
    current_session,
    is_htmx,
    refusal_of,
    render,
    submit_once,
)
from service.entrypoints.http.admin.request_inputs import (
    checked_id,
    form_field,
    query_field,
    require_confirmation,
    required_reason,
)
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.imports import write_dry_run, write_import, write_snapshot_dry_run
from service.entrypoints.responses.labels import APPROVAL_REQUESTED, FIELDS, label
from service.use_cases.grants.imports import grant_file
from service.use_cases.imports.bulk_imports import DryRun, PendingImport
from service.use_cases.imports.csv_file import CsvFormat, ImportSheet, find_delimiter, short_lines
from service.use_cases.imports.pacing import Pace
from service.use_cases.providers import snapshot_file
from service.use_cases.providers.snapshot_file import SnapshotSheet
from service.use_cases.providers.snapshot_kind import SNAPSHOT
from service.use_cases.subscriptions import link_imports

PREVIEW_LINES = 50
"""Lines of a file that the validation shows, those with errors first."""
RECENT_IMPORTS = 5
MOST_COLUMNS = 4


class FileKind(NamedTuple):
    """What a file can hold: the label of the choice, its format, how it is read, and for a snapshot the provider."""

    label: str
    import_kind: str
    format: CsvFormat
    read: Callable[[bytes, float, Pace], ImportSheet[Any]]
    provider: str = ""


def file_kinds(catalogue: Catalogue) -> dict[str, FileKind]:
    """Return the choices of the form."""
    kinds = {
        GRANT_IMPORT: FileKind(
            "Grants",
            GRANT_IMPORT,
            grant_file.FORMAT,
            lambda body, now, pace: grant_file.read(body, catalogue, now, pace),
        ),
        LINK_IMPORT: FileKind(
            "Links to Stripe", LINK_IMPORT, link_imports.FORMAT, lambda body, now, pace: link_imports.read(body, pace)
        ),
    }
    for one in catalogue.providers.values():
        kinds[f"{SNAPSHOT}:{one.id}"] = FileKind(
            f"{one.name}: all subscriptions",
            SNAPSHOT,
            snapshot_file.FORMAT,
            lambda body, now, pace: snapshot_file.read(body, catalogue, now, pace),
            one.id,
        )
    return kinds


LARGEST_FILE = max(one.FORMAT.most_bytes for one in (grant_file, link_imports, snapshot_file))


def register(context: PageContext) -> None:
    _register_upload(context)
    _register_progress(context)


def _register_upload(context: PageContext) -> None:
    imports, kinds = context.service.imports, file_kinds(context.catalogue)

    @context.page("GET /imports", "granter")
    def imports_form() -> Response:
        return _show_form(context)

    @context.page("POST /imports", "granter")
    def upload_file() -> Response:
        """Validate a file; import it if it is the one that was validated."""
        try:
            kind = form_field("kind") or GRANT_IMPORT
            if kind not in kinds:
                raise InvalidFields([("kind", "choose what the file holds")])
            body = _read_file(kinds[kind].format)
            # The signature shows that this session has had this file validated.
            signed = b":".join((b"file", kind.encode(), current_session().id.encode(), body))
            signature = context.service.secrets.signer("session").sign(signed)
            if form_field("go") is not None and hmac.compare_digest(
                (form_field("mark") or "").encode(), signature.encode()
            ):
                return submit_once(context, lambda: start_import(kind, body))
            return show_validation(kind, body, signature)
        except (DomainError, Problem) as error:
            return _show_form(context, problem=refusal_of(error))

    def show_validation(kind: str, body: bytes, signature: str) -> Response:
        chosen, now, pace = kinds[kind], context.now, Pace()
        planned, found = _dry_run(context, chosen, chosen.read(body, now, pace), pace)
        columns, lines = _preview(body, found["errors"], planned.actions)
        shown = {
            "can_undo": imports.kinds[chosen.import_kind].can_undo,
            "signature": signature,
            "columns": [label(FIELDS, name) for name in columns],
            "lines": lines,
            "is_changed": form_field("go") is not None,
        }
        return _show_form(context, validation={**found, **shown})

    def start_import(kind: str, body: bytes) -> Outcome:
        chosen, now, pace = kinds[kind], context.now, Pace()
        done = _submit(context, chosen, chosen.read(body, now, pace), pace)
        return outcome_of(done, "The import has started.")


def outcome_of(done: ImportManifest | PendingImport, message: str) -> Outcome:
    """Return the message after a submitted import, and the page with its progress."""
    if isinstance(done, PendingImport):
        return APPROVAL_REQUESTED, url_for("import_progress", id=done.manifest.id)
    return message, url_for("import_progress", id=done.id)


def _dry_run(
    context: PageContext, chosen: FileKind, sheet: ImportSheet[Any], pace: Pace
) -> tuple[DryRun, dict[str, Any]]:
    """Return what an import would do, and the same as the API answers it."""
    if isinstance(sheet, SnapshotSheet):
        compared = context.service.snapshots.dry_run(chosen.provider, sheet, context.now, pace)
        return compared.found, write_snapshot_dry_run(sheet, compared)
    found = context.service.imports.dry_run(chosen.import_kind, sheet, context.now, pace)
    return found, write_dry_run(chosen.import_kind, sheet, found)


def _submit(
    context: PageContext, chosen: FileKind, sheet: ImportSheet[Any], pace: Pace
) -> ImportManifest | PendingImport:
    actor, now = guards.actor(), context.now
    if isinstance(sheet, SnapshotSheet):
        force = form_field("force") is not None
        return context.service.snapshots.submit(chosen.provider, sheet, actor, now, pace, force=force)
    named = idempotency.token()
    return context.service.imports.submit(chosen.import_kind, sheet, actor, now, pace, named=named)


def _show_form(
    context: PageContext, *, validation: Mapping[str, Any] | None = None, problem: Problem | None = None
) -> Response:
    """Render the form with the recent imports; for htmx, only the validation or the error."""
    if is_htmx():
        return render("imports_part.html", validation=validation, problem=problem)
    log = context.service.audit_log
    recent, _ = log.load_page(AuditFilter(action="import.apply"), limit=RECENT_IMPORTS, after=None)
    chosen = form_field("kind") or query_field("kind") or GRANT_IMPORT
    return render(
        "imports.html",
        recent=recent,
        validation=validation,
        problem=problem,
        kinds=file_kinds(context.catalogue),
        chosen=chosen,
    )


def _register_progress(context: PageContext) -> None:
    imports = context.service.imports

    @context.page("GET /import", "viewer")
    def import_progress(problem: Problem | None = None) -> Response:
        manifest = imports.find(checked_id(request.values.get("id"), "import"))
        template = "import_part.html" if is_htmx() else "import.html"
        can_undo = imports.kinds[manifest.kind].can_undo
        return render(template, progress=write_import(manifest), kind=manifest.kind, can_undo=can_undo, problem=problem)

    @context.form("POST /import/undo", "granter", import_progress)
    def undo_import() -> Outcome:
        name = checked_id(form_field("id"), "import")
        require_confirmation("readers can lose access")
        imports.undo(name, required_reason(), guards.actor(), context.now)
        return "The undo has started. It takes back only what this import did.", url_for("import_progress", id=name)


def _read_file(form: CsvFormat) -> bytes:
    """Return the uploaded file. Raises: `InvalidFields`."""
    upload = request.files.get("file")
    body = upload.stream.read(form.most_bytes + 1) if upload is not None else b""
    if not body:
        raise InvalidFields([("file", "choose a file that is not empty")])
    return body


def _preview(
    body: bytes, errors: list[dict[str, Any]], actions: Mapping[int, str]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns, and lines with their errors or the action that an import would take; those with errors first."""
    errors_of_line: dict[int, list[dict[str, Any]]] = {}
    for error in errors:
        errors_of_line.setdefault(error["line"], []).append(error)
    text = io.StringIO(body.decode("utf-8-sig", "replace"), newline="")
    rows = csv.reader(short_lines(text), delimiter=find_delimiter(body))
    faulty: list[dict[str, Any]] = []
    valid: list[dict[str, Any]] = []
    columns: list[str] = []
    with suppress(csv.Error):  # The validation has already reported it.
        columns = next(rows, [])[:MOST_COLUMNS]
        line = rows.line_num + 1
        for cells in rows:
            found = errors_of_line.get(line, [])
            kept = faulty if found else valid
            if cells and len(kept) < PREVIEW_LINES:
                cells = (cells + [""] * len(columns))[: len(columns)]
                kept.append({"line": line, "cells": cells, "errors": found, "action": actions.get(line)})
            line = rows.line_num + 1
            if len(valid) >= PREVIEW_LINES and len(faulty) >= min(PREVIEW_LINES, len(errors_of_line)):
                break
    return columns, [*faulty, *valid][:PREVIEW_LINES]
