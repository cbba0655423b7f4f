"""`/v1/events`: what Stripe sent, how it was processed, what it changed; and a replay."""

from __future__ import annotations

from flask import Response

from service.bootstrap import Service
from service.entrypoints.http import guards, lists
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.fields import JsonObject, NothingIn
from service.entrypoints.responses.lists import EVENTS
from service.entrypoints.responses.stripe_objects import EventOut


def register(routes: ApiRoutes, service: Service) -> None:
    admin = service.subscription_admin

    @lists.add(routes, "GET /v1/events", EVENTS)
    def show_events() -> Response:
        """List the events that Stripe sent, the newest first."""
        return lists.respond(EVENTS, service)

    @routes.add("GET /v1/events/<event>", "viewer", EventOut)
    def show_event(event: str) -> JsonObject:
        """Return one event, with the features that it changed."""
        return EventOut.write(admin.find_event(event))

    @routes.add("POST /v1/events/<event>/replay", "owner", {202: EventOut}, body=NothingIn, repeatable=True)
    def replay_event(event: str) -> tuple[JsonObject, int]:
        """Process an event again."""
        return EventOut.write(admin.replay_event(event, guards.actor(), service.clock())), 202
