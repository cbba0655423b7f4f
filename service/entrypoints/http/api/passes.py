"""`/v1/passes`: admins give a story to everyone who has the link. `/v1/gifts`: readers give stories away."""

from __future__ import annotations

from flask import Response

from service.bootstrap import Service
from service.entrypoints.http import guards, idempotency, lists
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.fields import JsonObject, ReasonMaybeIn
from service.entrypoints.responses.lists import PASSES
from service.entrypoints.responses.story_passes import (
    GiftIn,
    GiftOut,
    GiftsOut,
    PassIn,
    PassOut,
    write_gift,
    write_gifts,
    write_pass,
)
from service.use_cases.story_passes.passes import create_story_pass


def register(routes: ApiRoutes, service: Service) -> None:
    """Add the routes of story passes."""
    passes, tokens = service.passes, service.pass_tokens

    @routes.add("POST /v1/passes", "granter", {201: PassOut}, body=PassIn, repeatable=True)
    def make_pass(data: JsonObject) -> tuple[JsonObject, int]:
        """Create a gift link: it opens one story for everyone who has it, until it is used up or expires."""
        now = service.clock()
        made = create_story_pass(passes, data, guards.actor(), now, named=idempotency.token())
        return write_pass(made, tokens, now), 201

    @lists.add(routes, "GET /v1/passes", PASSES)
    def show_passes() -> Response:
        """List the gift links, the newest first, also expired ones (for 90 days) and those of readers."""
        return lists.respond(PASSES, service)

    @routes.add("GET /v1/passes/<pass_id>", "viewer", PassOut)
    def show_pass(pass_id: str) -> JsonObject:
        """Return a gift link, with its token."""
        return write_pass(passes.find(pass_id), tokens, service.clock())

    @routes.add("DELETE /v1/passes/<pass_id>", "granter", PassOut, reason=ReasonMaybeIn)
    def revoke_pass(pass_id: str, reason: str | None) -> JsonObject:
        """Revoke a gift link at once, for everyone; one that is revoked already stays as it is."""
        now = service.clock()
        return write_pass(passes.revoke(pass_id, reason, guards.actor(), now), tokens, now)


def register_gifts(routes: ApiRoutes, service: Service) -> None:
    """Add the routes of gifts: the website gives a story away for a reader whose plan includes gifts (`gifts_per_month`)."""
    tokens = service.pass_tokens

    @routes.add("POST /v1/gifts", "site", {201: GiftOut}, body=GiftIn, repeatable=True)
    def give_gift(data: JsonObject) -> tuple[JsonObject, int]:
        """Create a gift link for a reader whose plan includes gifts.

        A reader can give as many a month as their plans include (`gifts_per_month`).
        """
        now = service.clock()
        made, allowance = service.gifts.create(data, guards.actor(), now)
        return write_gift(made, tokens, now, allowance), 201

    @routes.add("GET /v1/gifts/<reader>", "site", GiftsOut)
    def list_gifts(reader: str) -> JsonObject:
        """Return what a reader can still give this month, and what they gave."""
        now = service.clock()
        allowance, given = service.gifts.list_gifts(reader, now)
        return write_gifts(reader, allowance, given, tokens, now)
