"""`/v1/gifts`: the website gives a story away in a reader's name, where her plan lets her (`gifts_per_month`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response

from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.adapters.redis.story_passes.passes import PassRequest
from service.bootstrap import Service
from service.domain.errors import GiftsUsed, NoGifts
from service.domain.times import write_time
from service.entrypoints.http import guards
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.api.access import private
from service.entrypoints.http.api.passes import told_of
from service.entrypoints.http.api.readers import path_reader
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.http.openapi_description import IDEMPOTENCY_KEY, described
from service.entrypoints.responses.pass_schemas import GiftIn, GiftOut, GiftsOut
from service.use_cases.story_passes.gifts import REASON, Allowance

DAY = 86_400
USUAL, LONGEST = 30 * DAY, 90 * DAY
"""Seconds for which a gift opens its story, where the website names no end, and at most."""


def blueprint(service: Service, repeated: IdempotencyStore, clock: Callable[[], float]) -> Blueprint:
    """Gifts of readers."""
    blp = Blueprint("gifts", __name__)
    gift_in = GiftIn()

    @blp.post("/v1/gifts")
    @described(takes=GiftIn, gives={201: GiftOut}, refuses=(409,), parameters=(IDEMPOTENCY_KEY,), tag="website")
    @guards.site
    def give_gift() -> Response:
        """Gives a story away in a reader's name, as often a month as her plan says.

        `openings` is how many people may read by it (1 where it is left out), `until` its end (30 days).
        """
        data = bodies.load(gift_in)

        def give() -> Response:
            answer = private(_given(service, data, clock()))
            answer.status_code = 201
            return answer

        return repeats.once(repeated, give)

    @blp.get("/v1/gifts/<reader>")
    @described(gives={200: GiftsOut}, tag="website")
    @guards.site
    def list_gifts(reader: str) -> Response:
        """What a reader may still give this month, and what she gave in it; none for a stranger."""
        name, now = path_reader(reader), clock()
        allowance, given = service.gifts.of(name, now)
        return private({"reader": name, **_told(allowance), "items": [told_of(service, one, now) for one in given]})

    return blp


def _given(service: Service, data: dict[str, Any], now: float) -> dict[str, Any]:
    until = int(now) + USUAL if data.get("until") is None else int(data["until"])
    if not now < until <= now + LONGEST:
        raise invalid([("until", f"must lie ahead, at most {LONGEST // DAY} days")])
    wanted = PassRequest(data["story"], data.get("openings") or 1, until, REASON)
    try:
        made, allowance = service.gifts.give(data["reader"], wanted, guards.actor(), now)
    except NoGifts:
        detail = "No plan that this reader holds now gives stories away (gifts_per_month)."
        raise Problem(409, detail, kind="no-gifts", title="This reader has no gifts") from None
    except GiftsUsed as used:
        resets_at = write_time(used.resets_at)
        detail = f"All {used.limit} gifts of this month are used; the next month begins at {resets_at}."
        raise Problem(409, detail, kind="gifts-used", title="This month's gifts are used") from None
    return {**told_of(service, made, now), "gifts": _told(allowance)}


def _told(allowance: Allowance) -> dict[str, Any]:
    return {
        "limit": allowance.limit,
        "used": allowance.used,
        "left": allowance.left,
        "resets_at": write_time(allowance.resets_at),
    }
