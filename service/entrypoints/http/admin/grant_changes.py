"""Change many grants: the ones that were ticked in the list, or all that match its filters.

The first form only counts. The second, on the page with the counts, makes the change; if more or other grants would change by
then, it counts again.
"""

from __future__ import annotations

from typing import Any

from flask import Response, request

from service.domain.errors import DomainError, InvalidFields
from service.domain.times import read_time, write_time
from service.entrypoints.http import guards, idempotency
from service.entrypoints.http.admin.imports import outcome_of
from service.entrypoints.http.admin.page_context import Outcome, PageContext, refusal_of, render, submit_once
from service.entrypoints.http.admin.request_inputs import form_field, read_expiry, requested_page, required_reason
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.grant_changes import choose_grants
from service.entrypoints.responses.imports import write_dry_run
from service.entrypoints.responses.lists import GRANT_TABLE
from service.use_cases.grants.imports.grant_change_kind import GRANT_CHANGES, GrantChangeEntry, WantedChange
from service.use_cases.imports.csv_file import ImportSheet
from service.use_cases.imports.pacing import Pace


def register(context: PageContext) -> None:
    """Add the page."""
    service = context.service

    @context.page("POST /grants/change", "granter")
    def change_grants() -> Response:
        try:
            change, ids = _wanted(context), request.form.getlist("grant")
            filters = requested_page(context, GRANT_TABLE, field=lambda name: form_field(f"f.{name}")).filters
            if not ids and form_field("all") is None:
                raise InvalidFields([("grants", "tick at least one grant, or choose all that match the filters")])
            sheet = choose_grants(service, change, filters, None if form_field("all") else ids, context.now)
            found = service.imports.dry_run(GRANT_CHANGES, sheet, context.now, Pace(), **change.about())
            counts = write_dry_run(GRANT_CHANGES, sheet, found)
            total = str(counts["changed"] + counts["revoked"])
            if form_field("go") == total and not counts["errors"]:
                return submit_once(context, lambda: start(change, sheet))
            return show(change, counts, total=total, is_other=form_field("go") not in (None, total))
        except (DomainError, Problem) as error:
            return render("grant_change.html", problem=refusal_of(error), fields=_kept())

    def show(change: WantedChange, counts: dict[str, Any], *, total: str, is_other: bool) -> Response:
        return render(
            "grant_change.html",
            counts=counts,
            total=total,
            revoke=change.revoke,
            until=write_time(change.until),
            is_other=is_other,
            reason=required_reason(),
            fields=_kept(until=write_time(change.until) or ""),
        )

    def start(change: WantedChange, sheet: ImportSheet[GrantChangeEntry]) -> Outcome:
        actor, named, reason = guards.actor(), idempotency.token(), required_reason()
        done = service.imports.submit(
            GRANT_CHANGES, sheet, actor, context.now, Pace(), named=named, reason=reason, **change.about()
        )
        return outcome_of(done, "The change has started.")


def _wanted(context: PageContext) -> WantedChange:
    """Return the change that the form chose. Raises: InvalidFields."""
    required_reason()
    if form_field("ends") == "revoke":
        return WantedChange(None, revoke=True)
    until = read_expiry(context)
    return WantedChange(None if until is None else int(read_time(until)), revoke=False)


def _kept(until: str | None = None) -> list[tuple[str, str]]:
    """Return the fields of the form, for the one that follows; there the end is a time, or "" for none."""
    kept = [
        (name, value) for name, value in request.form.items(multi=True) if name not in ("token", "once", "go", "zone")
    ]
    if until is None or dict(kept).get("ends") == "revoke":
        return kept
    rest = [(name, value) for name, value in kept if name not in ("ends", "until")]
    return [*rest, ("ends", "date" if until else "never"), ("until", until)]
