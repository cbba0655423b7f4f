"""`/v1/keys`: an owner creates and ends admin keys at run time. A key is shown once; the store keeps a hash of it."""

from __future__ import annotations

from flask import Response

from service.adapters.redis.staff.admin_keys import AdminKeyCache
from service.bootstrap import Service
from service.entrypoints.http import guards, lists
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.administration import KeyIn, KeyOut, NewKeyOut
from service.entrypoints.responses.fields import JsonObject, ReasonMaybeIn
from service.entrypoints.responses.lists import KEYS


def register(routes: ApiRoutes, service: Service, cache: AdminKeyCache) -> None:
    """Add the routes of keys. `cache`: this process's copy of them, which forgets what changes here."""
    keys = service.admin_keys

    @routes.add("POST /v1/keys", "owner", {201: NewKeyOut}, body=KeyIn, repeatable=True)
    def make_key(data: JsonObject) -> tuple[JsonObject, int]:
        """Create an admin key. It is shown only in this answer."""
        name, role = data["name"], data["role"]
        secret = keys.create(name, role, data.get("reason"), guards.actor(), service.clock())
        cache.invalidate()
        return NewKeyOut.write({"name": name, "role": role, "key": secret}), 201

    @lists.add(routes, "GET /v1/keys", KEYS)
    def show_keys() -> Response:
        """List the keys that owners created, the newest first, without their secrets."""
        return lists.respond(KEYS, service)

    @routes.add("DELETE /v1/keys/<name>", "owner", KeyOut, reason=ReasonMaybeIn, refuses=(409,))
    def end_key(name: str, reason: str | None) -> JsonObject:
        """Revoke a key. Within two seconds, no process accepts it."""
        ended = keys.end(name, reason, guards.actor(), service.clock())
        cache.invalidate()
        return KeyOut.write(ended)
