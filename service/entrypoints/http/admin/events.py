"""Stripe events: what arrived, how it was processed, what it changed; and replay."""

from __future__ import annotations

from flask import Response, request, url_for

from service.entrypoints.http import guards
from service.entrypoints.http.admin.page_context import Outcome, PageContext, render
from service.entrypoints.http.admin.request_inputs import checked_id, form_field, query_field, requested_page
from service.entrypoints.responses.lists import EVENTS
from service.entrypoints.responses.stripe_objects import EventOut


def register(context: PageContext) -> None:
    service = context.service

    @context.page("GET /events", "viewer")
    def events() -> Response:
        page = requested_page(context, EVENTS)
        is_failed_only = "state" in page.filters
        found = EVENTS.load(service, page)
        return render("events.html", events=found.items, following=found.next, is_failed_only=is_failed_only)

    @context.page("GET /event", "viewer")
    def event() -> Response:
        found = service.subscription_admin.find_event(checked_id(request.args.get("id"), "event"))
        return render("event.html", event=EventOut.write(found))

    @context.form("POST /event/replay", "owner")
    def replay() -> Outcome:
        name = checked_id(form_field("id"), "event")
        service.subscription_admin.replay_event(name, guards.actor(), context.now)
        to = url_for("events", state="dead") if query_field("list") else url_for("event", id=name)
        return "Event queued. Its object is read from Stripe again.", to
