"""API keys for staff and scripts: list, create and revoke. A key is shown once, when it is created."""

from __future__ import annotations

from typing import Any

from flask import Response, request, url_for

from service.domain.errors import DomainError
from service.domain.roles import ADMIN_ROLES
from service.entrypoints.http import guards
from service.entrypoints.http.admin.page_context import Outcome, PageContext, refusal_of, render
from service.entrypoints.http.admin.request_inputs import (
    form_field,
    optional_reason,
    require_confirmation,
    submitted_fields,
)
from service.entrypoints.responses.administration import KeyIn, KeyOut
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.fields import check


def register(context: PageContext) -> None:
    admin_keys = context.service.admin_keys

    @context.page("GET /keys", "viewer")
    def keys(problem: Problem | None = None) -> Response:
        found = [KeyOut.write(key) for key in admin_keys.list_all()]
        return render("keys.html", keys=found, roles=ADMIN_ROLES, problem=problem, fields=submitted_fields())

    @context.page("POST /keys", "owner")
    def create_key() -> Response:
        """Create a key and show it. No other page shows a key."""
        body: dict[str, Any] = {name: form_field(name) for name in ("name", "role", "reason")}
        try:
            data = check(KeyIn, body)
            name, role = data["name"], data["role"]
            secret = admin_keys.create(name, role, data.get("reason"), guards.actor(), context.now)
        except DomainError as error:
            return keys(refusal_of(error))
        context.on_keys_changed()
        return render("key.html", key={"name": name, "role": role, "key": secret})

    @context.form("POST /keys/end", "owner", keys)
    def revoke_key() -> Outcome:
        require_confirmation("everyone who uses the key loses access at once")
        admin_keys.end(request.form.get("name", ""), optional_reason(), guards.actor(), context.now)
        context.on_keys_changed()
        return "API key revoked. Everyone who signed in with it is signed out.", url_for("keys")
