"""Gift links (story passes): links that open one story for whoever has them; create, list and revoke."""

from __future__ import annotations

from flask import Response, request, url_for

from service.entrypoints.http import guards, idempotency
from service.entrypoints.http.admin.page_context import Outcome, PageContext, render
from service.entrypoints.http.admin.request_inputs import (
    EXPIRIES,
    checked_id,
    form_field,
    optional_reason,
    read_expiry,
    requested_page,
    require_confirmation,
    submitted_fields,
)
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.fields import check
from service.entrypoints.responses.lists import PASSES
from service.entrypoints.responses.story_passes import PassIn, pass_link, write_pass
from service.use_cases.story_passes.passes import create_story_pass


def register(context: PageContext) -> None:
    """Add the gift links."""
    service, catalogue = context.service, context.catalogue

    @context.page("GET /passes", "viewer")
    def passes(problem: Problem | None = None) -> Response:
        found = PASSES.load(service, requested_page(context, PASSES))
        return render(
            "passes.html",
            passes=found.items,
            following=found.next,
            expiries=[choice for choice in EXPIRIES if choice[0] != "never"],
            problem=problem,
            fields=submitted_fields(),
        )

    @context.page("GET /pass", "viewer")
    def story_pass() -> Response:
        found = service.passes.find(checked_id(request.args.get("id"), "id"))
        one = write_pass(found, service.pass_tokens, context.now)
        return render("pass.html", one=one, link=pass_link(catalogue, one))

    @context.form("POST /passes", "granter", passes)
    def create_pass() -> Outcome:
        openings = form_field("openings") or ""
        body = {
            "story": form_field("story"),
            # 18 digits are refused as too large, like any longer number, which Python might refuse to convert.
            "openings": int(openings[:18]) if openings.isascii() and openings.isdigit() else openings,
            "until": read_expiry(context),
            "reason": request.form.get("reason", ""),
        }
        data, token = check(PassIn, body), idempotency.token()
        created = create_story_pass(service.passes, data, guards.actor(), context.now, named=token)
        return "Gift link created. Copy it below.", url_for("story_pass", id=created.id)

    @context.form("POST /pass/revoke", "granter")
    def revoke_pass() -> Outcome:
        name = checked_id(form_field("id"), "id")
        require_confirmation("the link then opens the story for nobody")
        service.passes.revoke(name, optional_reason(), guards.actor(), context.now)
        return "Gift link revoked. It no longer opens the story.", url_for("story_pass", id=name)
