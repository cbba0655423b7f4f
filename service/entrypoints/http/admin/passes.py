"""Story passes: a link that opens one story for whoever has it; made, listed, taken back."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request, url_for

from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.admin import time_inputs as moments
from service.entrypoints.http.admin.frame import Frame, actor, form, needs, once, reason, show
from service.entrypoints.http.admin.lists import SHOWN, page_of, without_after
from service.entrypoints.http.admin.reader import given
from service.entrypoints.http.api.passes import LIST, checked, link_of, listing, made, revoked, shown
from service.entrypoints.http.errors import Problem
from service.entrypoints.responses.pass_schemas import PassIn

ENDS = tuple(pair for pair in moments.ENDS if pair[0] != "never")


def register(page: Flask, frame: Frame) -> None:
    """Adds them."""
    service, zone = frame.service, frame.service.desk.catalogue.zone

    @page.get("/passes")
    @needs("viewer")
    def passes() -> Response:
        return _listed()

    @page.get("/pass")
    @needs("viewer")
    def story_pass() -> Response:
        one = shown(service, checked(request.args.get("id", "")), frame.now)
        return show("pass.html", one=one, link=link_of(frame.service.desk.catalogue, one))

    @page.post("/passes")
    @needs("granter")
    def make_pass() -> Response:
        def work() -> tuple[str, str]:
            openings = form("openings") or ""
            told: dict[str, Any] = {
                "story": form("story"),
                # More digits than Python reads are too many people, too.
                "openings": int(openings[:18]) if openings.isascii() and openings.isdigit() else openings,
                "until": moments.end(frame.now, zone),
                "reason": request.form.get("reason", ""),
            }
            one = made(service, bodies.check(PassIn(), told), actor(), frame.now, named=repeats.token())
            return "The pass is made; its link is below.", url_for("story_pass", id=one["id"])

        try:
            return once(frame, work)
        except Problem as problem:
            return _listed(problem)

    @page.post("/pass/revoke")
    @needs("granter")
    def revoke_pass() -> Response:
        name = checked(form("id") or "")

        def work() -> tuple[str, str]:
            revoked(service, name, reason(), actor(), frame.now)
            return "The pass is revoked: its link opens nothing any more.", url_for("story_pass", id=name)

        return once(frame, work)

    def _listed(problem: Problem | None = None) -> Response:
        found, following = listing(service, page_of(LIST, limit=SHOWN), frame.now)
        return show(
            "passes.html",
            status=problem.status if problem is not None else 200,
            passes=found,
            following=following,
            ends=ENDS,
            problem=problem,
            given=given(),
            without_after=without_after(),
        )
