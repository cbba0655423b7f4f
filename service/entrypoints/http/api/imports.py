"""`/v1/grants/import` and `/v1/links/import`: many rows from a CSV; the progress of an import; its undoing."""

from __future__ import annotations

from typing import Any

from service.adapters.redis.imports.import_store import GRANT_IMPORT
from service.adapters.redis.stripe_objects.link_imports import LINK_IMPORT
from service.bootstrap import Service
from service.entrypoints.http import guards, idempotency
from service.entrypoints.http.routes import ApiRoutes, flag
from service.entrypoints.responses.administration import write_submitted_import
from service.entrypoints.responses.fields import JsonObject, ReasonIn
from service.entrypoints.responses.imports import (
    GrantDryRunOut,
    GrantImportOut,
    LinkDryRunOut,
    LinkImportOut,
    write_dry_run,
    write_import,
)
from service.use_cases.grants.imports import grant_file
from service.use_cases.imports.csv_file import ImportSheet
from service.use_cases.imports.pacing import Pace
from service.use_cases.subscriptions import link_imports

DRY_RUN = flag("dry_run", "Only say what the import would do.")
GRANT_CSV = {
    "text/csv": {"schema": {"type": "string"}, "example": "reader,plan,until,reason\nr-1042,vip,never,press card\n"}
}
LINK_CSV = {"text/csv": {"schema": {"type": "string"}, "example": "reader,customer\nr-1042,cus_PmNq4Zx2\n"}}


def register_grants(routes: ApiRoutes, service: Service) -> None:
    catalogue = service.settings.catalogue

    @routes.add(
        "POST /v1/grants/import",
        "granter",
        {200: GrantDryRunOut, 202: GrantImportOut},
        flags=(DRY_RUN,),
        takes=GRANT_CSV,
        most_bytes=grant_file.FORMAT.most_bytes,
        repeatable=True,
    )
    def import_grants(dry_run: bool, file: bytes) -> idempotency.Reply:
        """Give grants to many readers, all or none: `reader,plan,until,reason`, at most 50 000 rows and 16 MiB.

        Cells are separated by `,` or `;`. `until` is a date, a span such as `30d`, a time with an offset, or `never`.
        Wrong rows are named with line and field, and nothing is imported then.
        """
        now, pace = service.clock(), Pace()
        return _import_sheet(service, GRANT_IMPORT, grant_file.read(file, catalogue, now, pace), now, pace, dry_run)

    @routes.add("GET /v1/grants/import/<import_id>", "viewer", GrantImportOut)
    def show_import(import_id: str) -> JsonObject:
        """Return the progress of an import, or of its undo."""
        return write_import(service.imports.find(import_id, GRANT_IMPORT))

    @routes.add(
        "DELETE /v1/grants/import/<import_id>", "granter", {202: GrantImportOut}, reason=ReasonIn, refuses=(409,)
    )
    def undo_import(import_id: str, reason: str) -> tuple[JsonObject, int]:
        """Undo an import: revoke what it gave, and restore the ends that it changed.

        What an admin changed or revoked since is left as it is.
        """
        return write_import(service.imports.undo(import_id, reason, guards.actor(), service.clock(), GRANT_IMPORT)), 202


def register_links(routes: ApiRoutes, service: Service) -> None:
    @routes.add(
        "POST /v1/links/import",
        "granter",
        {200: LinkDryRunOut, 202: LinkImportOut},
        flags=(DRY_RUN,),
        takes=LINK_CSV,
        most_bytes=link_imports.FORMAT.most_bytes,
        repeatable=True,
    )
    def import_links(dry_run: bool, file: bytes) -> idempotency.Reply:
        """Link many customers or subscriptions of Stripe's, all or none: `reader,customer` or `reader,subscription`.

        At most 500 000 rows and 64 MiB; cells are separated by `,` or `;`. IDs are not looked up at Stripe. `changed`
        counts rows that replace a link. Wrong rows are named with line and field, and nothing is imported then.
        """
        now, pace = service.clock(), Pace()
        return _import_sheet(service, LINK_IMPORT, link_imports.read(file, pace), now, pace, dry_run)

    @routes.add("GET /v1/links/import/<import_id>", "viewer", LinkImportOut)
    def show_link_import(import_id: str) -> JsonObject:
        """Return the progress of an import of links, or of its undo."""
        return write_import(service.imports.find(import_id, LINK_IMPORT))

    @routes.add("DELETE /v1/links/import/<import_id>", "granter", {202: LinkImportOut}, reason=ReasonIn, refuses=(409,))
    def undo_link_import(import_id: str, reason: str) -> tuple[JsonObject, int]:
        """Undo an import of links: each object has the link that it would have without the import.

        What an admin linked or unlinked since is left as it is.
        """
        return write_import(service.imports.undo(import_id, reason, guards.actor(), service.clock(), LINK_IMPORT)), 202


def _import_sheet(
    service: Service, kind: str, sheet: ImportSheet[Any], now: float, pace: Pace, dry_run: bool
) -> idempotency.Reply:
    """Import a sheet, or answer what the import would do."""
    if dry_run:
        return write_dry_run(kind, sheet, service.imports.dry_run(kind, sheet, now, pace))
    done = service.imports.submit(kind, sheet, guards.actor(), now, pace, named=idempotency.token())
    return write_submitted_import(done), 202
