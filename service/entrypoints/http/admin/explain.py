"""Check access: why a reader sees the full story or the paywall, now or at another time; and a decision by its ID."""

from __future__ import annotations

from typing import Any, cast

from flask import Response, redirect, request, url_for

from service.domain.catalogue import Story
from service.domain.errors import InvalidFields
from service.domain.reader_sentences import reader_sentence
from service.entrypoints.http.admin.page_context import PageContext, is_htmx, render
from service.entrypoints.http.admin.request_inputs import checked_id, query_field, read_time, reader_id
from service.entrypoints.responses.access import DecisionOut
from service.use_cases.access.explain import Explanation


def register(context: PageContext) -> None:
    catalogue, explanations = context.catalogue, context.service.explainer

    @context.page("GET /why", "viewer")
    def check_access() -> Response:
        reader = reader_id(request.args.get("id"))
        now, at = context.now, read_time(query_field("at"), query_field("zone"), catalogue.zone, "at")
        tier = query_field("tier")
        if tier is not None and tier not in catalogue.tiers:
            raise InvalidFields([("tier", "is not a tier of the configuration")])
        story = Story(checked_id(query_field("story"), "story"), tier=tier)
        return show(explanations.explain_access(reader, story, at, now), reader)

    @context.page("GET /decision", "viewer")
    def decision() -> Response:
        """Show a decision of the last seven days as it was returned."""
        if query_field("id") is None:
            return cast(Response, redirect(url_for("readers"), 303))
        found = explanations.explain_decision(query_field("id") or "", context.now)
        return show(found, found.reader)

    def show(found: Explanation, reader: str | None) -> Response:
        values: dict[str, Any] = {
            "decision": DecisionOut.write(found),
            "reader": reader,
            "at": query_field("at"),
            "tier": query_field("tier"),
            "tiers": list(catalogue.tiers),
            "sentence": reader_sentence(found.decision, catalogue) if found.reason is not None else None,
        }
        return render("why_part.html" if is_htmx() else "why.html", **values)
