"""`/v1/passes`: admins give a story to everyone who has the link; and the public keys that verify such a link."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.bootstrap import Service
from service.domain.ids import read_id
from service.entrypoints.http import guards, lists
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.lists import private
from service.entrypoints.http.openapi_description import AFTER, IDEMPOTENCY_KEY, LIMIT, REASON, described
from service.entrypoints.responses.lists import PASSES, list_passes
from service.entrypoints.responses.shared_schemas import ReasonMaybeIn
from service.entrypoints.responses.story_passes import JwksOut, PassesOut, PassIn, PassOut, write_pass
from service.entrypoints.responses.validation import read_field
from service.use_cases.story_passes.passes import create_story_pass

KEYS_KEPT = 300
"""Seconds for which an edge may cache the public keys; after a rotation of secrets the old ones still verify."""


def blueprint(service: Service, repeated: IdempotencyStore) -> Blueprint:
    """Return the routes of story passes."""
    blp = Blueprint("passes", __name__)
    passes, tokens, pass_in, reason_in = service.passes, service.pass_tokens, PassIn(), ReasonMaybeIn()

    @blp.post("/v1/passes")
    @described(takes=PassIn, gives={201: PassOut}, refuses=(409,), parameters=(IDEMPOTENCY_KEY,), tag="passes")
    @guards.admin("granter")
    def make_pass() -> Response:
        """Give one story to everyone who has the link: to so many people, until an end."""
        data = bodies.load(pass_in)

        def create() -> Response:
            now = service.clock()
            made = create_story_pass(passes, data, guards.actor(), now, named=repeats.token())
            return private(write_pass(made, tokens, now), 201)

        return repeats.once(repeated, create)

    @blp.get("/v1/passes")
    @described(gives={200: lists.or_csv(PassesOut)}, parameters=(LIMIT, AFTER), tag="passes")
    @guards.admin("viewer")
    def show_passes() -> Response:
        """The story passes, newest first, also expired ones (for 90 days) and readers' gifts; CSV where Accept asks
        for text/csv."""
        return lists.answer(PASSES, list_passes(passes, tokens, lists.asked(PASSES), service.clock()))

    @blp.get("/v1/passes/<pass_id>")
    @described(gives={200: PassOut}, refuses=(404,), tag="passes")
    @guards.admin("viewer")
    def show_pass(pass_id: str) -> Response:
        """A story pass, with its link."""
        found = passes.find(read_field("id", read_id, pass_id))
        return private(write_pass(found, tokens, service.clock()))

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
        """Revoke a story pass at once, for everyone; one that is revoked already stays as it is."""
        name, now = read_field("id", read_id, pass_id), service.clock()
        revoked = passes.revoke(name, bodies.reason(reason_in), guards.actor(), now)
        return private(write_pass(revoked, tokens, now))

    @blp.get("/.well-known/jwks.json")
    @described(gives={200: JwksOut}, refuses=(503,), tag="service")
    @guards.open_to_all
    def jwks() -> Response:
        """The public keys of story passes, for an edge that rejects invented or expired links."""
        answer = jsonify(tokens.public_keys())
        answer.headers["Cache-Control"] = f"public, max-age={KEYS_KEPT}"
        return answer

    return blp
