"""Keys: who may sign in here and ask the API, with which role; an owner makes and ends them."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request, url_for

from service.domain.roles import ADMIN_ROLES
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.admin.frame import Frame, actor, form, needs, once, reason, show
from service.entrypoints.http.admin.reader import given
from service.entrypoints.http.api.keys import ended_key, made, told_of
from service.entrypoints.http.errors import Problem
from service.entrypoints.responses.governance_schemas import KeyIn


def register(page: Flask, frame: Frame) -> None:
    """Adds them."""
    admin_keys = frame.service.admin_keys

    @page.get("/keys")
    @needs("viewer")
    def keys() -> Response:
        return _listed()

    @page.post("/keys")
    @needs("owner")
    def make_key() -> Response:
        """Makes a key and shows it: the only page that ever does."""
        told: dict[str, Any] = {"name": form("name"), "role": form("role"), "reason": form("reason")}
        try:
            data = bodies.check(KeyIn(), told)
            key = made(admin_keys, data["name"], data["role"], data.get("reason"), actor(), frame.now)
        except Problem as problem:
            return _listed(problem=problem)
        frame.keys_changed()
        return show("key.html", key=key)

    @page.post("/keys/end")
    @needs("owner")
    def end_key() -> Response:
        name = request.form.get("name", "")

        def work() -> tuple[str, str]:
            ended_key(admin_keys, name, reason(), actor(), frame.now)
            frame.keys_changed()
            return "The key is ended: it opens nothing any more, and whoever signed in by it is signed out.", url_for(
                "keys"
            )

        try:
            return once(frame, work)
        except Problem as problem:
            return _listed(problem=problem)

    def _listed(problem: Problem | None = None) -> Response:
        found = [told_of(key) for key in admin_keys.all()]
        status = problem.status if problem is not None else 200
        return show("keys.html", status=status, keys=found, roles=ADMIN_ROLES, problem=problem, given=given())
