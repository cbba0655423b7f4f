"""Stripe's events: what came, what became of it, what it changed; and once more."""

from __future__ import annotations

from flask import Flask, Response, request, url_for

from service.domain.errors import UnknownEvent
from service.entrypoints.http.admin.frame import Frame, actor, asked, form, needs, once, show
from service.entrypoints.http.admin.lists import SHOWN, page_of
from service.entrypoints.http.api.events import LIST, event_told, listing
from service.entrypoints.http.api.links_and_seats import path_id
from service.entrypoints.http.errors import Problem


def register(page: Flask, frame: Frame) -> None:
    """Adds the ledger."""
    ledger, admin = frame.service.engine.ledger, frame.service.stripe_admin

    @page.get("/events")
    @needs("viewer")
    def events() -> Response:
        wanted = page_of(LIST, ("state",), limit=SHOWN)
        wanted.filters.update({"state": "dead"} if "state" in wanted.filters else {})
        found, following = listing(ledger, wanted)
        return show("events.html", events=found, following=following, dead="state" in wanted.filters)

    @page.get("/event")
    @needs("viewer")
    def event() -> Response:
        found = ledger.find(path_id("event", request.args.get("id", "")))
        if found is None:
            raise Problem(404, "This event is not in the ledger; it keeps 35 days.")
        return show("event.html", event=event_told(found))

    @page.post("/event/replay")
    @needs("owner")
    def replay() -> Response:
        name = path_id("event", form("id") or "")

        def work() -> tuple[str, str]:
            try:
                admin.replay(name, actor(), frame.now)
            except UnknownEvent:
                raise Problem(404, "This event is not in the ledger.") from None
            return "Replayed: it is worked on again, and what it is about is read from Stripe anew.", back(name)

        return once(frame, work)

    def back(name: str) -> str:
        return url_for("events", state="dead") if asked("list") else url_for("event", id=name)
