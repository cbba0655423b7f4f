"""API keys for staff and scripts: list, create and revoke. A key is shown once, when it is created."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request, url_for

from service.domain.roles import ADMIN_ROLES
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.admin.page_context import PageContext, current_actor, render, requires, submit_once
from service.entrypoints.http.admin.request_inputs import form_field, optional_reason, submitted_fields
from service.entrypoints.http.api.keys import ended_key, made, told_of
from service.entrypoints.http.errors import Problem
from service.entrypoints.responses.governance_schemas import KeyIn


def register(app: Flask, context: PageContext) -> None:
    """Add the API keys."""
    admin_keys = context.service.admin_keys

    @app.get("/keys")
    @requires("viewer")
    def keys() -> Response:
        return show_list()

    @app.post("/keys")
    @requires("owner")
    def create_key() -> Response:
        """Create a key and show it. No other page shows a key."""
        body: dict[str, Any] = {name: form_field(name) for name in ("name", "role", "reason")}
        try:
            data = bodies.check(KeyIn(), body)
            key = made(admin_keys, data["name"], data["role"], data.get("reason"), current_actor(), context.now)
        except Problem as problem:
            return show_list(problem)
        context.on_keys_changed()
        return render("key.html", key=key)

    @app.post("/keys/end")
    @requires("owner")
    def revoke_key() -> Response:
        name = request.form.get("name", "")

        def work() -> tuple[str, str]:
            ended_key(admin_keys, name, optional_reason(), current_actor(), context.now)
            context.on_keys_changed()
            return "API key revoked. Everyone who signed in with it is signed out.", url_for("keys")

        try:
            return submit_once(context, work)
        except Problem as problem:
            return show_list(problem)

    def show_list(problem: Problem | None = None) -> Response:
        found = [told_of(key) for key in admin_keys.list_all()]
        status = problem.status if problem is not None else 200
        return render(
            "keys.html", status=status, keys=found, roles=ADMIN_ROLES, problem=problem, fields=submitted_fields()
        )
