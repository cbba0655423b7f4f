"""`/v1/grants/import`: grants for many readers from a CSV; its progress; its undoing."""

from __future__ import annotations

from flask import Response, request

from service.adapters.redis.imports.import_store import GRANT_IMPORT
from service.bootstrap import Service
from service.entrypoints.http import guards, idempotency, inputs
from service.entrypoints.http.routes import ApiRoutes, query
from service.entrypoints.responses.administration import write_submitted_import
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.fields import JsonObject, ReasonIn
from service.entrypoints.responses.imports import GrantDryRunOut, GrantImportOut, write_dry_run, write_import
from service.use_cases.grants.imports import grant_file
from service.use_cases.imports.pacing import Pace

DRY_RUN = query("dry_run", "Only say what the import would do.", {"type": "boolean", "default": False})
_CSV = {
    "text/csv": {"schema": {"type": "string"}, "example": "reader,plan,until,reason\nr-1042,vip,never,press card\n"}
}


def register(routes: ApiRoutes, service: Service) -> None:
    imports = service.imports

    @routes.add(
        "POST /v1/grants/import",
        "granter",
        {200: GrantDryRunOut, 202: GrantImportOut},
        takes=_CSV,
        parameters=(DRY_RUN,),
        repeatable=True,
    )
    def import_grants() -> Response:
        """Give grants to many readers, all or none: `reader,plan,until,reason`, at most 50 000 rows and 16 MiB.

        Cells are separated by `,` or `;`. `until` is a date, a span such as `30d`, a time with an offset, or `never`.
        Wrong rows are named with line and field, and nothing is imported then.
        """
        dry_run = inputs.flag("dry_run")
        require_csv()
        body = inputs.raw(grant_file.FORMAT.most_bytes)

        def work() -> idempotency.Reply:
            now, pace = service.clock(), Pace()
            sheet = grant_file.read(body, service.settings.catalogue, now, pace)
            if dry_run:
                return write_dry_run(GRANT_IMPORT, sheet, imports.dry_run(GRANT_IMPORT, sheet, now, pace))
            done = imports.submit(GRANT_IMPORT, sheet, guards.actor(), now, pace, named=idempotency.token())
            return write_submitted_import(done), 202

        return routes.once(work, most=grant_file.FORMAT.most_bytes)

    @routes.add("GET /v1/grants/import/<import_id>", "viewer", GrantImportOut, refuses=(404,))
    def show_import(import_id: str) -> JsonObject:
        """Return the progress of an import, or of its undo."""
        return write_import(imports.find(import_id, GRANT_IMPORT))

    @routes.add(
        "DELETE /v1/grants/import/<import_id>", "granter", {202: GrantImportOut}, reason=ReasonIn, refuses=(404, 409)
    )
    def undo_import(import_id: str) -> tuple[JsonObject, int]:
        """Undo an import: revoke what it gave, and restore the ends that it changed.

        What an admin changed or revoked since is left as it is.
        """
        reason = inputs.reason(ReasonIn) or ""
        return write_import(imports.undo(import_id, reason, guards.actor(), service.clock(), GRANT_IMPORT)), 202


def require_csv() -> None:
    """Check the type of a body that is a file. Raises: `Problem` 415."""
    kind = request.mimetype.lower()
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if kind != "text/csv" or charset not in ("utf-8", "utf8"):
        raise Problem(
            415,
            "Send the file as text/csv, in UTF-8 (a missing Content-Type is refused too).",
            kind="not-csv-type",
            title="The body must be text/csv",
        )
