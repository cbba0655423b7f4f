"""`/v1/events`: the ledger of what Stripe sent, what became of it, what it changed; and once more, please."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify

from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.adapters.redis.stripe_objects.ledger import BadCursor, Ledger, LedgerEntry
from service.domain.errors import UnknownEvent
from service.domain.times import write_time
from service.entrypoints.http import csv_output as csv_out
from service.entrypoints.http import guards, paging
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.api.access import private
from service.entrypoints.http.api.links_and_seats import path_id
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.http.openapi_description import AFTER, IDEMPOTENCY_KEY, LIMIT, described, query
from service.entrypoints.responses.stripe_schemas import EventOut, EventsOut, NoFieldsIn
from service.use_cases.subscriptions.administration import Admin

LIST = "events"
COLUMNS = ("id", "type", "object", "created", "received_at", "state", "why", "attempts", "duplicates", "changes")
STATE = query("state", "`dead`: only those that were given up.", {"type": "string", "enum": ["dead"]})


def blueprint(ledger: Ledger, admin: Admin, repeated: IdempotencyStore, clock: Callable[[], float]) -> Blueprint:
    """The ledger."""
    blp = Blueprint("events", __name__)
    nothing_in = NoFieldsIn()

    @blp.get("/v1/events")
    @described(gives={200: csv_out.or_csv(EventsOut)}, parameters=(LIMIT, AFTER, STATE), tag="events")
    @guards.admin("viewer")
    def list_events() -> Response:
        """Stripe's events, newest first; CSV where Accept asks for text/csv."""
        page = paging.asked(LIST, ("state",))
        if page.filters.get("state", "dead") != "dead":
            raise invalid([("state", "only dead can be asked for")])
        found, following = listing(ledger, page)
        if csv_out.wanted():
            return csv_out.answer(COLUMNS, found, LIST, following)
        return private(paging.listed(found, following))

    @blp.get("/v1/events/<event>")
    @described(gives={200: EventOut}, refuses=(404,), tag="events")
    @guards.admin("viewer")
    def show_event(event: str) -> Response:
        """One event of Stripe's, with the entitlements that it changed."""
        found = ledger.find(path_id("event", event))
        if found is None:
            raise Problem(404, "This event is not in the ledger.")
        return private(event_told(found))

    @blp.post("/v1/events/<event>/replay")
    @described(
        takes=NoFieldsIn,
        body_required=False,
        gives={202: EventOut},
        refuses=(404, 409),
        parameters=(IDEMPOTENCY_KEY,),
        tag="events",
    )
    @guards.admin("owner")
    def replay_event(event: str) -> Response:
        """Puts an event back into the inbox, to be worked on again."""
        name = path_id("event", event)
        bodies.load(nothing_in, optional=True)

        def replay() -> Response:
            try:
                admin.replay(name, guards.actor(), clock())
            except UnknownEvent:
                raise Problem(404, "This event is not in the ledger.") from None
            found = ledger.find(name)
            answer = jsonify(event_told(found) if found else {})
            answer.status_code = 202
            return answer

        return repeats.once(repeated, replay)

    return blp


def listing(ledger: Ledger, page: paging.Page) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the ledger. `Problem` 422 for an `after` that is none of its own."""
    try:
        found, last = ledger.load_page(page.limit, page.after, dead="state" in page.filters)
    except BadCursor:
        raise invalid([("after", "is not a `next` of this list")]) from None
    return [event_told(entry) for entry in found], paging.cursor(LIST, last) if last is not None else None


def event_told(entry: LedgerEntry) -> dict[str, Any]:
    """An event as admins see it."""
    return {
        "id": entry.id,
        "type": entry.type,
        "object": entry.object,
        "created": write_time(entry.created),
        "received_at": write_time(entry.received_at),
        "state": entry.state,
        "why": entry.why,
        "attempts": entry.attempts,
        "duplicates": entry.duplicates,
        "changes": [
            {"reader": change.reader, "before": _held(change.before), "after": _held(change.after)}
            for change in entry.changes
        ],
    }


def _held(rows: list[list[Any]]) -> list[dict[str, Any]]:
    return [{"feature": feature, "until": write_time(until), "source": source} for feature, until, source in rows]
