"""A reader's page: what she holds and from what, what she has read, what happened, and what can be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from flask import Flask, Response, redirect, request, url_for

from service.domain import ids
from service.domain.catalogue import Catalogue
from service.domain.times import write_time
from service.entrypoints.http.admin import time_inputs as moments
from service.entrypoints.http.admin import timeline
from service.entrypoints.http.admin.frame import Frame, asked, needs, show
from service.entrypoints.http.api.readers import tell
from service.entrypoints.http.errors import Problem, invalid


@dataclass(frozen=True, slots=True)
class Failed:
    """A form that was refused: which one, why, and what stood in it."""

    form: str
    problem: Problem
    given: dict[str, str]


def register(page: Flask, frame: Frame) -> None:
    """Adds the reader's page."""

    @page.get("/reader")
    @needs("viewer")
    def reader() -> Response:
        if asked("id") is None:
            return cast(Response, redirect(url_for("readers"), 303))
        zone = frame.service.desk.catalogue.zone
        at = moments.moment(asked("at"), asked("zone"), zone, "at")
        return shown(frame, the_reader(request.args.get("id")), at=at, all_entries=asked("all") is not None)


def the_reader(given: str | None, field: str = "reader") -> str:
    """A reader's id, as it was typed or linked to. `Problem` 422."""
    try:
        return ids.read_reader((given or "").strip())
    except ValueError as error:
        raise invalid([(field, str(error))]) from None


def link(reader: str) -> str:
    """The page of a reader."""
    return url_for("reader", id=reader)


def shown(
    frame: Frame, reader: str, *, at: float | None = None, all_entries: bool = False, failed: Failed | None = None
) -> Response:
    """The reader's page, now or at another moment; with the form that was refused still open."""
    service, now, catalogue = frame.service, frame.now, frame.service.desk.catalogue
    resolved = service.readers.resolve(reader)
    log, every = service.audit_log, all_entries or at is not None
    entries = timeline.of(service.readers, log, catalogue, reader, resolved, every=every)
    told, erased_at = tell(service.profiles, reader, at, now), service.readers.erased_at(reader, resolved)
    met = told["sources"] or told["customers"] or any(meter["used"] for meter in told["meters"])
    entries = entries if at is None else [entry for entry in entries if entry.at <= at]
    return show(
        "reader.html",
        status=failed.problem.status if failed is not None else 200,
        reader=reader,
        resolved=resolved,
        told=told,
        erased_at=erased_at,
        unknown=at is None and not (met or entries or erased_at or resolved != reader),
        at=write_time(at),
        ahead=at is not None and at > now,
        entries=entries if all_entries else entries[: timeline.SHOWN],
        more=0 if all_entries else max(0, len(entries) - timeline.SHOWN),
        plans=grantable(catalogue),
        features=[] if catalogue.grants.plans is not None else list(catalogue.features),
        groups={plan.id for plan in catalogue.plans.values() if plan.seats},
        tiers=list(catalogue.tiers),
        ends=ends(catalogue),
        failed=failed,
    )


def grantable(catalogue: Catalogue) -> list[tuple[str, str]]:
    """The plans that an admin may grant: id and name."""
    allowed = catalogue.grants.plans
    return [(plan.id, plan.name) for plan in catalogue.plans.values() if allowed is None or plan.id in allowed]


def ends(catalogue: Catalogue) -> list[tuple[str, str]]:
    """The ends that a form offers, without those that `[grants]` refuses to everybody."""
    longest = catalogue.grants.longest
    return [
        (value, label)
        for value, label in moments.ENDS
        if longest is None or not (value == "never" or (value.isdigit() and int(value) * 86_400 > longest))
    ]


def given() -> dict[str, Any]:
    """What stands in the form that was sent, to be shown again; never the token."""
    return {name: value for name, value in request.form.items() if name not in ("token", "once")}
