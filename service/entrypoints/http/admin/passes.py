"""Gift links (story passes): links that open one story for whoever has them; create, list and revoke."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request, url_for

from service.entrypoints.http import idempotency
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.admin.page_context import PageContext, current_actor, render, requires, submit_once
from service.entrypoints.http.admin.request_inputs import (
    EXPIRIES,
    PAGE_SIZE,
    checked_id,
    filters_in_address,
    form_field,
    optional_reason,
    read_expiry,
    requested_page,
    submitted_fields,
)
from service.entrypoints.http.api.passes import LIST, link_of, listing, made, revoked, shown
from service.entrypoints.http.errors import Problem
from service.entrypoints.responses.pass_schemas import PassIn


def register(app: Flask, context: PageContext) -> None:
    """Add the gift links."""
    service = context.service
    catalogue = service.desk.catalogue

    @app.get("/passes")
    @requires("viewer")
    def passes() -> Response:
        return show_list()

    @app.get("/pass")
    @requires("viewer")
    def story_pass() -> Response:
        one = shown(service, checked_id(request.args.get("id"), "id"), context.now)
        return render("pass.html", one=one, link=link_of(catalogue, one))

    @app.post("/passes")
    @requires("granter")
    def create_pass() -> Response:
        def work() -> tuple[str, str]:
            openings = form_field("openings") or ""
            body: dict[str, Any] = {
                "story": form_field("story"),
                # 18 digits are refused as too large, like any longer number, which Python might refuse to convert.
                "openings": int(openings[:18]) if openings.isascii() and openings.isdigit() else openings,
                "until": read_expiry(context.now, catalogue.zone),
                "reason": request.form.get("reason", ""),
            }
            data = bodies.check(PassIn(), body)
            one = made(service, data, current_actor(), context.now, named=idempotency.token())
            return "Gift link created. Copy it below.", url_for("story_pass", id=one["id"])

        try:
            return submit_once(context, work)
        except Problem as problem:
            return show_list(problem)

    @app.post("/pass/revoke")
    @requires("granter")
    def revoke_pass() -> Response:
        name = checked_id(form_field("id"), "id")

        def work() -> tuple[str, str]:
            revoked(service, name, optional_reason(), current_actor(), context.now)
            return "Gift link revoked. It no longer opens the story.", url_for("story_pass", id=name)

        return submit_once(context, work)

    def show_list(problem: Problem | None = None) -> Response:
        found, following = listing(service, requested_page(LIST, limit=PAGE_SIZE), context.now)
        return render(
            "passes.html",
            status=problem.status if problem is not None else 200,
            passes=found,
            following=following,
            expiries=[choice for choice in EXPIRIES if choice[0] != "never"],
            problem=problem,
            fields=submitted_fields(),
            filters=filters_in_address(),
        )
