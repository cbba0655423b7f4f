"""`/v1/grants` and `/v1/readers/{reader}/grants`: admins list, create and revoke grants, and change their end.

`/v1/grants/changes` does so with many: its progress, and the undo.
"""

from __future__ import annotations

from typing import Any

from flask import Response, request

from service.adapters.redis.staff.approvals import Approval
from service.bootstrap import Service
from service.domain import grant_rules
from service.domain.catalogue import Catalogue
from service.domain.sources import Grant
from service.entrypoints.http import guards, idempotency, lists
from service.entrypoints.http.api.imports import DRY_RUN
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.administration import ApprovalOut, write_approval, write_submitted_import
from service.entrypoints.responses.fields import JsonObject, ReasonIn
from service.entrypoints.responses.grant_changes import choose_grants, read_change
from service.entrypoints.responses.imports import GrantChangesDryRunOut, GrantChangesOut, write_dry_run, write_import
from service.entrypoints.responses.lists import GRANTS
from service.entrypoints.responses.readers import GrantChangeIn, GrantChangesIn, GrantIn, GrantOut, write_grant
from service.use_cases.grants.grant_changes import to_grant_request
from service.use_cases.grants.imports.grant_change_kind import GRANT_CHANGES
from service.use_cases.imports.pacing import Pace

CHANGES = "/v1/grants/changes/<import_id>"


def register(routes: ApiRoutes, service: Service) -> None:
    """Add the list of grants, and the routes of one reader's."""
    changes, catalogue = service.grant_changes, service.settings.catalogue

    @lists.add(routes, "GET /v1/grants", GRANTS)
    def list_grants() -> Response:
        """List every grant, the newest first, also expired and revoked ones."""
        return lists.respond(GRANTS, service)

    @routes.add(
        "POST /v1/readers/<reader>/grants",
        "granter",
        {201: GrantOut, 202: ApprovalOut},
        body=GrantIn,
        check=lambda body: _not_grantable(body, catalogue),
        repeatable=True,
    )
    def give_grant(reader: str, data: JsonObject) -> tuple[JsonObject, int]:
        """Grant a reader a plan or single features, with a reason and an end."""
        now = service.clock()
        done = changes.create(reader, to_grant_request(data, now), guards.actor(), now, named=idempotency.token())
        return _answer(done, reader, now, 201)

    @routes.add(
        "PATCH /v1/readers/<reader>/grants/<grant>",
        "granter",
        {200: GrantOut, 202: ApprovalOut},
        body=GrantChangeIn,
        refuses=(409,),
    )
    def change_grant(reader: str, grant: str, data: JsonObject) -> tuple[JsonObject, int]:
        """Change the end of a grant."""
        now = service.clock()
        done = changes.change(reader, grant, data["until"], data["reason"], guards.actor(), now)
        return _answer(done, reader, now)

    @routes.add("DELETE /v1/readers/<reader>/grants/<grant>", "granter", GrantOut, reason=ReasonIn)
    def revoke_grant(reader: str, grant: str, reason: str) -> tuple[JsonObject, int]:
        """Revoke a grant at once. One that is revoked already stays as it is."""
        now = service.clock()
        return _answer(changes.revoke(reader, grant, reason, guards.actor(), now), reader, now)


def register_changes(routes: ApiRoutes, service: Service) -> None:
    """Add the routes that change many grants at once."""
    imports = service.imports

    @routes.add(
        "POST /v1/grants/changes",
        "granter",
        {200: GrantChangesDryRunOut, 202: GrantChangesOut},
        body=GrantChangesIn,
        flags=(DRY_RUN,),
        parameters=lists.filters_of(GRANTS),
        repeatable=True,
    )
    def change_grants(dry_run: bool, data: JsonObject) -> idempotency.Reply:
        """Give many grants another end, or revoke them: those in `grants`, or all that match the filters of the list.

        Revoked grants stay as they are. It is all or nothing, like an import, and can be undone.
        """
        filters = GRANTS.read_page({name: request.args.get(name) for name in GRANTS.filters}).filters
        now, pace, change = service.clock(), Pace(), read_change(data)
        sheet, about = choose_grants(service, change, filters, data.get("grants"), now), change.about()
        if dry_run:
            return write_dry_run(GRANT_CHANGES, sheet, imports.dry_run(GRANT_CHANGES, sheet, now, pace, **about))
        named, reason = idempotency.token(), data["reason"]
        done = imports.submit(GRANT_CHANGES, sheet, guards.actor(), now, pace, named=named, reason=reason, **about)
        return write_submitted_import(done), 202

    @routes.add(f"GET {CHANGES}", "viewer", GrantChangesOut)
    def show_grant_changes(import_id: str) -> JsonObject:
        """Return the progress of a change of many grants, or of its undo."""
        return write_import(imports.find(import_id, GRANT_CHANGES))

    @routes.add(f"DELETE {CHANGES}", "granter", {202: GrantChangesOut}, reason=ReasonIn, refuses=(409,))
    def undo_grant_changes(import_id: str, reason: str) -> tuple[JsonObject, int]:
        """Undo a change of many grants: each has the end that it would have without it, and is active again.

        What an admin changed or revoked since is left as it is.
        """
        return write_import(imports.undo(import_id, reason, guards.actor(), service.clock(), GRANT_CHANGES)), 202


def _not_grantable(body: dict[str, Any], catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return why the plan or features of a body, as it came, cannot be granted; the schema refuses what is no name."""
    plan, features = body.get("plan"), body.get("features")
    if not isinstance(plan, str | None) or not isinstance(features, list | None) or features == []:
        return []
    names = tuple(name if isinstance(name, str) else "" for name in features or ())
    return grant_rules.find_plan_mistakes(catalogue, plan, names)


def _answer(done: Grant | Approval, reader: str, now: float, status: int = 200) -> tuple[JsonObject, int]:
    if isinstance(done, Approval):
        return write_approval(done), 202
    return write_grant(done, reader, now), status
