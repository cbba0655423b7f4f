"""`/v1/gifts`: the website gives a story away as a reader's gift, where a plan includes gifts (`gifts_per_month`)."""

from __future__ import annotations

from flask import Blueprint, Response

from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.bootstrap import Service
from service.entrypoints.http import guards
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.lists import private
from service.entrypoints.http.openapi_description import IDEMPOTENCY_KEY, described
from service.entrypoints.responses.story_passes import GiftIn, GiftOut, GiftsOut, write_gift, write_gifts
from service.entrypoints.responses.validation import reader_id


def blueprint(service: Service, repeated: IdempotencyStore) -> Blueprint:
    """Return the routes of gifts."""
    blp = Blueprint("gifts", __name__)
    gift_in, tokens = GiftIn(), service.pass_tokens

    @blp.post("/v1/gifts")
    @described(takes=GiftIn, gives={201: GiftOut}, refuses=(409,), parameters=(IDEMPOTENCY_KEY,), tag="website")
    @guards.site
    def give_gift() -> Response:
        """Give a story away as a reader's gift, as often a month as the reader's plan includes.

        `openings` is how many people may read by it (1 where it is left out), `until` its end (30 days).
        """
        data = bodies.load(gift_in)

        def create() -> Response:
            now = service.clock()
            made, allowance = service.gifts.create(data, guards.actor(), now)
            return private(write_gift(made, tokens, now, allowance), 201)

        return repeats.once(repeated, create)

    @blp.get("/v1/gifts/<reader>")
    @described(gives={200: GiftsOut}, tag="website")
    @guards.site
    def list_gifts(reader: str) -> Response:
        """What a reader may still give this month, and the gifts of this month; none for a stranger."""
        name, now = reader_id(reader), service.clock()
        allowance, given = service.gifts.list_gifts(name, now)
        return private(write_gifts(name, allowance, given, tokens, now))

    return blp
