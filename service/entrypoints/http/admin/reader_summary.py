"""The line on top of a reader's page: each plan they hold and until when, in a few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from service.domain.catalogue import DAY, Catalogue
from service.entrypoints.http.admin.formatting import format_day, format_text
from service.entrypoints.responses.labels import SOURCES

_ORDER = ("subscription", "external", "seat", "gift", "pass", "grant")

_CUT_SHORT = ("revoked", "refunded", "disputed", "unpaid", "paused")
"""Statuses that end a source before its end, which can still be ahead."""


def summarize(profile: Mapping[str, Any], catalogue: Catalogue) -> Markup:
    """Return the sources of a reader's answer that give access or will, in one line; else what ended last."""
    sources = sorted(profile["sources"], key=lambda s: _ORDER.index(s["type"]) if s["type"] in _ORDER else len(_ORDER))
    giving = [s for s in sources if gives_something(s, catalogue)]
    held = [s for s in giving if s["standing"] in ("good", "grace") or s["status"] == "scheduled"]
    parts = list(dict.fromkeys(_describe(source, catalogue) for source in _latest_of_each_plan(held)))
    if parts:
        return Markup(" · ").join(parts)
    ended = [s for s in sources if s["standing"] == "ended" and (s["until"] or s["status"] in _CUT_SHORT)]
    if not ended:
        return escape("No plan, pass or grant")
    last = max(ended, key=_end_order)
    how = last["status"] if last["status"] in _CUT_SHORT else Markup("ended {}").format(format_day(last["until"]))
    return Markup("Nothing now · {} {}").format(_name(last, catalogue), how)


def gives_something(source: Mapping[str, Any], catalogue: Catalogue) -> bool:
    """Return whether a source has features, or a plan with limits of meters. The buyer of a group has neither by it."""
    plan = catalogue.plans.get(source["plan"] or "")
    buys_group = plan is not None and plan.seats and source["type"] in ("subscription", "gift")
    return bool(source["features"] or (plan is not None and plan.meters and not buys_group))


def _latest_of_each_plan(held: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out a grant, pass, seat or gift where another of the same kind gives the same plan for longer."""
    lasting = [s for s in held if s["type"] != "subscription" and s["standing"] == "good" and s["plan"]]
    best = {(source["type"], source["plan"]): source for source in sorted(lasting, key=_end_order)}
    return [source for source in held if source not in lasting or source in best.values()]


def _end_order(source: Mapping[str, Any]) -> tuple[bool, str]:
    return source["until"] is None, source["until"] or ""


def _describe(source: Mapping[str, Any], catalogue: Catalogue) -> Markup:
    name, until = _name(source, catalogue), source["until"]
    if source["status"] == "scheduled":
        return Markup("{} from {}").format(name, format_day(source["from"]))
    if source["standing"] == "grace":
        return Markup("{} · past due{}, in grace until {}").format(name, _since(source, catalogue), format_day(until))
    if source["type"] == "subscription" and source["status"] == "active" and not source["ending"]:
        return Markup("{} · renews by itself").format(name)
    trial = " on trial" if source["status"] == "trialing" else ""
    return Markup("{}{} {}").format(name, trial, _end(until))


def _since(source: Mapping[str, Any], catalogue: Catalogue) -> Markup:
    """Return when the unpaid period began, which is `grace_days` before the grace ends, unless a cancellation ends it."""
    plan = catalogue.plans.get(source["plan"] or "")
    if source["ending"] or plan is None:
        return Markup()
    began = datetime.fromisoformat(source["until"]).timestamp() - plan.grace_days * DAY
    return Markup(" since {}").format(format_day(began))


def _end(until: str | None) -> Markup:
    return Markup("until {}").format(format_day(until)) if until else escape("without end")


def _name(source: Mapping[str, Any], catalogue: Catalogue) -> Markup:
    plan = catalogue.plans.get(source["plan"] or "")
    if plan is not None:
        return format_text(plan.name)
    return format_text(source["plan"] or SOURCES.get(source["type"], source["type"]))
