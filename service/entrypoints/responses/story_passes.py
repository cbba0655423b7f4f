"""Story passes and gifts: `/v1/passes`, `/v1/gifts` and the public keys of their links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from marshmallow import fields, validate

from service.adapters.signed_tokens import PassTokens
from service.domain.catalogue import Catalogue
from service.domain.story_passes import MOST_OPENINGS, StoryPass
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import JsonObject, RequestSchema, ResponseSchema
from service.use_cases.story_passes.passes import Allowance

MOST_OPENINGS_OF_A_GIFT = 100


class PassIn(RequestSchema):
    story = types.identifier(required=True)
    openings = types.whole_number(MOST_OPENINGS, example=500, required=True)
    until = types.moment(required=True)
    reason = types.reason(required=True)


class GiftIn(RequestSchema):
    reader = types.reader_id(required=True)
    story = types.identifier(required=True)
    openings = types.whole_number(MOST_OPENINGS_OF_A_GIFT, example=1, allow_none=True)
    until = types.moment(allow_none=True)


class PassOut(ResponseSchema):
    id = fields.String(attribute="story_pass.id", required=True)
    pass_ = fields.String(attribute="token", required=True, data_key="pass")
    story = fields.String(attribute="story_pass.story", required=True)
    openings = fields.Integer(attribute="story_pass.openings", required=True)
    used = fields.Integer(attribute="story_pass.used", required=True)
    until = types.UtcTime(attribute="story_pass.until", required=True)
    status = fields.String(required=True, validate=validate.OneOf(["active", "used_up", "expired", "revoked"]))
    actor = fields.String(attribute="story_pass.actor", required=True)


class AllowanceOut(ResponseSchema):
    limit = fields.Integer(required=True)
    used = fields.Integer(required=True)
    left = fields.Integer(required=True)
    resets_at = types.UtcTime(required=True)


class GiftOut(PassOut):
    gifts = fields.Nested(AllowanceOut, required=True)


class GiftsOut(ResponseSchema):
    reader = fields.String(required=True)
    limit = fields.Integer(attribute="allowance.limit", required=True)
    used = fields.Integer(attribute="allowance.used", required=True)
    left = fields.Integer(attribute="allowance.left", required=True)
    resets_at = types.UtcTime(attribute="allowance.resets_at", required=True)
    items = fields.List(fields.Nested(PassOut), required=True)


class JwkOut(ResponseSchema):
    kty = fields.String(required=True)
    crv = fields.String(required=True)
    x = fields.String(required=True)
    kid = fields.String(required=True)
    use = fields.String(required=True)
    alg = fields.String(required=True)


class JwksOut(ResponseSchema):
    keys = fields.List(fields.Nested(JwkOut), required=True)


def write_pass(story_pass: StoryPass, tokens: PassTokens, now: float) -> JsonObject:
    """Return a story pass, with its link's token."""
    return PassOut.write(_row(story_pass, tokens, now))


def write_gift(story_pass: StoryPass, tokens: PassTokens, now: float, allowance: Allowance) -> JsonObject:
    """Return a story pass that a reader gave, and what they can still give this month."""
    return GiftOut.write({**_row(story_pass, tokens, now), "gifts": allowance})


def write_gifts(
    reader: str, allowance: Allowance, given: Sequence[StoryPass], tokens: PassTokens, now: float
) -> JsonObject:
    """Return what a reader can still give this month, and what they gave."""
    items = [_row(one, tokens, now) for one in given]
    return GiftsOut.write({"reader": reader, "allowance": allowance, "items": items})


def pass_link(catalogue: Catalogue, written: JsonObject) -> str | None:
    """Return the address that opens the story of a written pass; `None` without `story_url` in paywall.toml."""
    if catalogue.story_url is None:
        return None
    address = catalogue.story_url.replace("{story}", quote(written["story"], safe=""))
    return f"{address}{'&' if '?' in address else '?'}pass={quote(written['pass'], safe='')}"


def _row(story_pass: StoryPass, tokens: PassTokens, now: float) -> dict[str, Any]:
    return {"story_pass": story_pass, "token": tokens.sign_pass(story_pass), "status": story_pass.status_at(now)}
