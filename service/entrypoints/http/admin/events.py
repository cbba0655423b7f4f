"""Stripe events: what arrived, how it was processed, what it changed; and replay."""

from __future__ import annotations

from flask import Flask, Response, request, url_for

from service.domain.errors import UnknownEvent
from service.entrypoints.http.admin.page_context import PageContext, current_actor, render, requires, submit_once
from service.entrypoints.http.admin.request_inputs import (
    PAGE_SIZE,
    checked_id,
    filters_in_address,
    form_field,
    query_field,
    requested_page,
)
from service.entrypoints.http.api.events import LIST, event_told, listing
from service.entrypoints.http.errors import Problem


def register(app: Flask, context: PageContext) -> None:
    """Add the Stripe events."""
    ledger, admin = context.service.engine.ledger, context.service.stripe_admin

    @app.get("/events")
    @requires("viewer")
    def events() -> Response:
        page = requested_page(LIST, ("state",), limit=PAGE_SIZE)
        is_failed_only = "state" in page.filters
        found, following = listing(ledger, page)
        filters = filters_in_address()
        return render("events.html", events=found, following=following, is_failed_only=is_failed_only, filters=filters)

    @app.get("/event")
    @requires("viewer")
    def event() -> Response:
        found = ledger.find(checked_id(request.args.get("id"), "event"))
        if found is None:
            raise Problem(404, "No event with this ID in the last 35 days.")
        return render("event.html", event=event_told(found))

    @app.post("/event/replay")
    @requires("owner")
    def replay() -> Response:
        name = checked_id(form_field("id"), "event")

        def work() -> tuple[str, str]:
            try:
                admin.replay(name, current_actor(), context.now)
            except UnknownEvent:
                raise Problem(404, "No event with this ID in the last 35 days.") from None
            to = url_for("events", state="dead") if query_field("list") else url_for("event", id=name)
            return "Event queued. Its object is read from Stripe again.", to

        return submit_once(context, work)
