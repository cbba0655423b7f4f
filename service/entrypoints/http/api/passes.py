"""`/v1/passes`: admins give a story to whoever has the link; and the keys by which anybody can check such a link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, jsonify

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.adapters.redis.story_passes.passes import PassRequest
from service.bootstrap import Service
from service.domain import ids
from service.domain.catalogue import Catalogue
from service.domain.errors import UnknownPass
from service.domain.story_passes import StoryPass
from service.domain.times import write_time
from service.entrypoints.http import csv_output as csv_out
from service.entrypoints.http import guards, paging
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.api.access import private
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.http.openapi_description import AFTER, IDEMPOTENCY_KEY, LIMIT, REASON, described
from service.entrypoints.responses.pass_schemas import JwksOut, PassesOut, PassIn, PassOut
from service.entrypoints.responses.schemas import ReasonMaybeIn

LIST = "passes"
COLUMNS = ("id", "story", "openings", "used", "until", "status", "actor", "pass")
KEYS_KEPT = 300
"""Seconds for which an edge may keep the public keys; when secrets are rotated, the old ones go on verifying."""


def blueprint(service: Service, repeated: IdempotencyStore, clock: Callable[[], float]) -> Blueprint:
    """Story passes."""
    blp = Blueprint("passes", __name__)
    pass_in, reason_in = PassIn(), ReasonMaybeIn()

    @blp.post("/v1/passes")
    @described(takes=PassIn, gives={201: PassOut}, refuses=(409,), parameters=(IDEMPOTENCY_KEY,), tag="passes")
    @guards.admin("granter")
    def make_pass() -> Response:
        """Gives one story to whoever has the link: to so many people, until an end."""
        data = bodies.load(pass_in)

        def make() -> Response:
            answer = private(made(service, data, guards.actor(), clock(), named=repeats.token()))
            answer.status_code = 201
            return answer

        return repeats.once(repeated, make)

    @blp.get("/v1/passes")
    @described(gives={200: csv_out.or_csv(PassesOut)}, parameters=(LIMIT, AFTER), tag="passes")
    @guards.admin("viewer")
    def list_passes() -> Response:
        """The story passes, newest first, also those that are over (for 90 days) and those that readers gave; CSV where
        Accept asks for text/csv."""
        found, following = listing(service, paging.asked(LIST), clock())
        if csv_out.wanted():
            return csv_out.answer(COLUMNS, found, LIST, following)
        return private(paging.listed(found, following))

    @blp.get("/v1/passes/<pass_id>")
    @described(gives={200: PassOut}, refuses=(404,), tag="passes")
    @guards.admin("viewer")
    def show_pass(pass_id: str) -> Response:
        """A story pass as it stands, with its link."""
        return private(shown(service, checked(pass_id), clock()))

    @blp.delete("/v1/passes/<pass_id>")
    @described(
        takes=ReasonMaybeIn,
        body_required=False,
        gives={200: PassOut},
        refuses=(404,),
        parameters=(REASON,),
        tag="passes",
    )
    @guards.admin("granter")
    def revoke_pass(pass_id: str) -> Response:
        """Takes a story pass back, at once, from everybody; one that is revoked already stays as it is."""
        name = checked(pass_id)
        return private(revoked(service, name, bodies.reason(reason_in), guards.actor(), clock()))

    @blp.get("/.well-known/jwks.json")
    @described(gives={200: JwksOut}, refuses=(503,), tag="service")
    @guards.open_to_all
    def jwks() -> Response:
        """The public keys of story passes, for an edge that turns away links that are made up or over."""
        answer = jsonify(service.pass_tokens.public_keys())
        answer.headers["Cache-Control"] = f"public, max-age={KEYS_KEPT}"
        return answer

    return blp


def checked(pass_id: str) -> str:
    """A pass's id in a path. `Problem` 422 if it is none."""
    try:
        return ids.read_id(pass_id)
    except ValueError as error:
        raise invalid([("id", str(error))]) from None


def made(
    service: Service, data: dict[str, Any], actor: Actor, now: float, *, named: str | None = None
) -> dict[str, Any]:
    """A new pass of loaded request data; `named` is the same for a repeat. `Problem` 422 where its end is not ahead."""
    until = int(data["until"])
    if until <= now:
        raise invalid([("until", "must lie ahead")])
    wanted = PassRequest(data["story"], data["openings"], until, data["reason"])
    return told_of(service, service.passes.create(wanted, actor, now, pass_id=f"sp_{named}" if named else None), now)


def listing(service: Service, page: paging.Page, now: float) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the passes, and the cursor of the next."""
    found, last = service.passes.load_page(page.limit, page.after)
    return [told_of(service, one, now) for one in found], paging.cursor(LIST, last) if last is not None else None


def shown(service: Service, pass_id: str, now: float) -> dict[str, Any]:
    """A pass. `Problem` 404."""
    try:
        return told_of(service, service.passes.find(pass_id), now)
    except UnknownPass:
        raise Problem(404, "There is no such pass.") from None


def revoked(service: Service, pass_id: str, reason: str | None, actor: Actor, now: float) -> dict[str, Any]:
    """A pass after it was taken back. `Problem` 404."""
    try:
        return told_of(service, service.passes.revoke(pass_id, reason, actor, now), now)
    except UnknownPass:
        raise Problem(404, "There is no such pass.") from None


def link_of(catalogue: Catalogue, told: dict[str, Any]) -> str | None:
    """The address that opens the story of a pass; `None` where paywall.toml does not say where stories are."""
    if catalogue.story_url is None:
        return None
    address = catalogue.story_url.replace("{story}", quote(told["story"], safe=""))
    return f"{address}{'&' if '?' in address else '?'}pass={quote(told['pass'], safe='')}"


def told_of(service: Service, story_pass: StoryPass, now: float) -> dict[str, Any]:
    """A pass as admins see it, with its link's token."""
    return {
        "id": story_pass.id,
        "pass": service.pass_tokens.sign(story_pass),
        "story": story_pass.story,
        "openings": story_pass.openings,
        "used": story_pass.used,
        "until": write_time(story_pass.until),
        "status": story_pass.status_at(now),
        "actor": story_pass.actor,
    }
