"""`/v1/grants/changes`: give many grants another end, or revoke them; the progress; the undo."""

from __future__ import annotations

from flask import request

from service.bootstrap import Service
from service.entrypoints.http import guards, idempotency
from service.entrypoints.http.api.grants import FILTERS
from service.entrypoints.http.api.imports import DRY_RUN
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.administration import write_submitted_import
from service.entrypoints.responses.fields import JsonObject, ReasonIn
from service.entrypoints.responses.grant_changes import choose_grants, read_change
from service.entrypoints.responses.imports import GrantChangesDryRunOut, GrantChangesOut, write_dry_run, write_import
from service.entrypoints.responses.lists import GRANTS
from service.entrypoints.responses.paging import read_page
from service.entrypoints.responses.readers import GrantChangesIn
from service.use_cases.grants.imports.grant_change_kind import GRANT_CHANGES
from service.use_cases.imports.pacing import Pace

ONE = "/v1/grants/changes/<import_id>"


def register(routes: ApiRoutes, service: Service) -> None:
    """Add the routes."""
    imports = service.imports

    @routes.add(
        "POST /v1/grants/changes",
        "granter",
        {200: GrantChangesDryRunOut, 202: GrantChangesOut},
        body=GrantChangesIn,
        flags=(DRY_RUN,),
        parameters=FILTERS,
        repeatable=True,
    )
    def change_grants(dry_run: bool, data: JsonObject) -> idempotency.Reply:
        """Give many grants another end, or revoke them: those in `grants`, or all that match the filters of the list.

        Revoked grants stay as they are. It is all or nothing, like an import, and can be undone.
        """
        filters = read_page(
            GRANTS.name, {name: request.args.get(name) for name in GRANTS.filters}, GRANTS.filters
        ).filters
        now, pace, change = service.clock(), Pace(), read_change(data)
        sheet, about = choose_grants(service, change, filters, data.get("grants"), now), change.about()
        if dry_run:
            return write_dry_run(GRANT_CHANGES, sheet, imports.dry_run(GRANT_CHANGES, sheet, now, pace, **about))
        named, reason = idempotency.token(), data["reason"]
        done = imports.submit(GRANT_CHANGES, sheet, guards.actor(), now, pace, named=named, reason=reason, **about)
        return write_submitted_import(done), 202

    @routes.add(f"GET {ONE}", "viewer", GrantChangesOut, refuses=(404,))
    def show_grant_changes(import_id: str) -> JsonObject:
        """Return the progress of a change of many grants, or of its undo."""
        return write_import(imports.find(import_id, GRANT_CHANGES))

    @routes.add(f"DELETE {ONE}", "granter", {202: GrantChangesOut}, reason=ReasonIn, refuses=(404, 409))
    def undo_grant_changes(import_id: str, reason: str) -> tuple[JsonObject, int]:
        """Undo a change of many grants: each has the end that it would have without it, and is active again.

        What an admin changed or revoked since is left as it is.
        """
        return write_import(imports.undo(import_id, reason, guards.actor(), service.clock(), GRANT_CHANGES)), 202
