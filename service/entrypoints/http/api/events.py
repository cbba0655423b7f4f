"""`/v1/events`: what Stripe sent, how it was processed, what it changed; and a replay."""

from __future__ import annotations

from flask import Blueprint, Response

from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.bootstrap import Service
from service.domain.ids import read_id
from service.entrypoints.http import guards, lists
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.openapi_description import AFTER, IDEMPOTENCY_KEY, LIMIT, described, query
from service.entrypoints.responses.lists import EVENTS, list_events
from service.entrypoints.responses.shared_schemas import NothingIn
from service.entrypoints.responses.stripe_objects import EventOut, EventsOut, write_event
from service.entrypoints.responses.validation import read_field

STATE = query("state", "`dead`: only those that were given up.", {"type": "string", "enum": ["dead"]})


def blueprint(service: Service, repeated: IdempotencyStore) -> Blueprint:
    """Return the routes of the ledger."""
    blp = Blueprint("events", __name__)
    admin, nothing_in = service.subscription_admin, NothingIn()

    @blp.get("/v1/events")
    @described(gives={200: lists.or_csv(EventsOut)}, parameters=(LIMIT, AFTER, STATE), tag="events")
    @guards.admin("viewer")
    def show_events() -> Response:
        """Stripe's events, newest first; CSV where Accept asks for text/csv."""
        return lists.answer(EVENTS, list_events(service.event_processor.ledger, lists.asked(EVENTS)))

    @blp.get("/v1/events/<event>")
    @described(gives={200: EventOut}, refuses=(404,), tag="events")
    @guards.admin("viewer")
    def show_event(event: str) -> Response:
        """One event of Stripe's, with the entitlements that it changed."""
        return lists.private(write_event(admin.find_event(read_field("event", read_id, event))))

    @blp.post("/v1/events/<event>/replay")
    @described(
        takes=NothingIn,
        body_required=False,
        gives={202: EventOut},
        refuses=(404, 409),
        parameters=(IDEMPOTENCY_KEY,),
        tag="events",
    )
    @guards.admin("owner")
    def replay_event(event: str) -> Response:
        """Put an event back into the inbox, to be processed again."""
        name = read_field("event", read_id, event)
        bodies.load(nothing_in, optional=True)

        def replay() -> Response:
            return lists.answered(write_event(admin.replay_event(name, guards.actor(), service.clock())), 202)

        return repeats.once(repeated, replay)

    return blp
