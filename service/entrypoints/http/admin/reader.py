"""A reader's page: entitlements and their sources, free stories, activity, and the forms of `reader_actions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import Response, redirect, request, url_for

from service.domain.catalogue import DAY, Catalogue
from service.domain.times import write_time
from service.entrypoints.http.admin import timeline
from service.entrypoints.http.admin.page_context import PageContext, render
from service.entrypoints.http.admin.request_inputs import EXPIRIES, query_field, read_time, reader_id
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.readers import ReaderOut


@dataclass(frozen=True, slots=True)
class RejectedForm:
    """A form that was refused: its name, why, and the fields that were filled in."""

    form: str
    problem: Problem
    fields: dict[str, str]


def register(context: PageContext) -> None:
    @context.page("GET /reader", "viewer")
    def reader() -> Response:
        if query_field("id") is None:
            return cast(Response, redirect(url_for("readers"), 303))
        at = read_time(query_field("at"), query_field("zone"), context.service.access_check.catalogue.zone, "at")
        name = reader_id(request.args.get("id"))
        return render_reader(context, name, at=at, all_entries=query_field("all") is not None)


def render_reader(
    context: PageContext,
    reader: str,
    *,
    at: float | None = None,
    all_entries: bool = False,
    rejected: RejectedForm | None = None,
) -> Response:
    """Render a reader's page, now or at another time; with a rejected form still open and filled in."""
    service, now, catalogue = context.service, context.now, context.service.access_check.catalogue
    resolved = service.readers.resolve_merged(reader)
    entries = timeline.read_timeline(service, reader, resolved, complete=all_entries or at is not None)
    profile, erased_at = (
        ReaderOut.write(service.profiles.load_profile(reader, at, now)),
        service.readers.erased_at(reader, resolved),
    )
    has_data = profile["sources"] or profile["customers"] or any(meter["used"] for meter in profile["meters"])
    entries = entries if at is None else [entry for entry in entries if entry.at <= at]
    return render(
        "reader.html",
        status=rejected.problem.status if rejected is not None else 200,
        reader=reader,
        resolved=resolved,
        profile=profile,
        erased_at=erased_at,
        is_unknown=at is None and not (has_data or entries or erased_at or resolved != reader),
        at=write_time(at),
        is_future=at is not None and at > now,
        entries=entries if all_entries else entries[: timeline.FIRST_ENTRIES],
        hidden_entries=0 if all_entries else max(0, len(entries) - timeline.FIRST_ENTRIES),
        plans=_grantable_plans(catalogue),
        features=[] if catalogue.grants.plans is not None else list(catalogue.features),
        groups={plan.id for plan in catalogue.plans.values() if plan.seats},
        tiers=list(catalogue.tiers),
        expiries=_allowed_expiries(catalogue),
        rejected=rejected,
    )


def _grantable_plans(catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return ID and name of the plans that `[grants]` lets admins grant."""
    allowed = catalogue.grants.plans
    return [(plan.id, plan.name) for plan in catalogue.plans.values() if allowed is None or plan.id in allowed]


def _allowed_expiries(catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return the choices for an expiry without those that are longer than `[grants]` allows."""
    longest = catalogue.grants.longest
    return [
        (value, label)
        for value, label in EXPIRIES
        if longest is None or not (value == "never" or (value.isdigit() and int(value) * DAY > longest))
    ]
