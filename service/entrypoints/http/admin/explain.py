"""Check access: why a reader sees the full story or the paywall, now or at another time; and a decision by its ID."""

from __future__ import annotations

from typing import Any

from flask import Response, request, url_for

from service.domain.errors import InvalidFields, UnknownStory
from service.domain.reader_sentences import reader_sentence
from service.entrypoints.http.admin.page_context import PageContext, is_htmx, render, see_other
from service.entrypoints.http.admin.reader import is_known
from service.entrypoints.http.admin.request_inputs import query_field, read_time, reader_id
from service.entrypoints.responses.access import DecisionOut
from service.entrypoints.responses.errors import problem_of
from service.entrypoints.responses.stories import origin_text
from service.use_cases.access.explain import Explanation


def register(context: PageContext) -> None:
    """Add the two pages."""
    catalogue, explanations = context.catalogue, context.service.explainer

    @context.page("GET /why", "viewer")
    def check_access() -> Response:
        reader = reader_id(request.args.get("id"))
        at = read_time(context, "at", query_field("at"), query_field("zone"))
        tier, story = query_field("tier"), query_field("story") or ""
        if tier is not None and tier not in catalogue.tiers:
            raise InvalidFields([("tier", "is not a tier of the configuration")])
        try:
            found = explanations.explain_access(reader, story, at, context.now, tier=tier, verified=verified())
        except UnknownStory as unknown:
            return render_answer(reader, story=unknown.story, unknown=problem_of(unknown).detail)
        return show(found, reader, is_new=not is_known(context, reader))

    @context.page("GET /decision", "viewer")
    def decision() -> Response:
        """Show a decision of the last seven days as it was returned."""
        if query_field("id") is None:
            return see_other(url_for("readers"))
        found = explanations.explain_decision(query_field("id") or "", context.now)
        return show(found, found.reader)

    def show(found: Explanation, reader: str | None, *, is_new: bool = False) -> Response:
        return render_answer(
            reader,
            story=found.story,
            decision=DecisionOut.write(found),
            is_new=is_new,
            known=found.known,
            origin=origin_text(found.origin),
            sentence=reader_sentence(found.decision, catalogue) if found.reason is not None else None,
        )

    def verified() -> bool:
        return query_field("verified") == "yes"

    def render_answer(reader: str | None, **values: Any) -> Response:
        values |= {"reader": reader, "at": query_field("at"), "zone_typed": query_field("zone")}
        values |= {"tier": query_field("tier"), "tiers": list(catalogue.tiers), "verified": verified()}
        return render("why_part.html" if is_htmx() else "why.html", **values)
