"""Story passes and gifts: `/v1/passes`, `/v1/gifts` and the public keys of their links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from marshmallow import fields, validate

from service.adapters.pass_tokens import PassTokens
from service.domain.catalogue import Catalogue
from service.domain.story_passes import MOST_OPENINGS, StoryPass
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import JsonObject, RequestSchema, ResponseSchema
from service.use_cases.story_passes.passes import Allowance

MOST_OPENINGS_OF_A_GIFT = 100


def _whole(value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"must be a whole number from 1 to {most}")
    return value


def read_openings(value: object) -> int:
    """Return how many people a pass opens its story for."""
    return _whole(value, MOST_OPENINGS)


def read_openings_of_a_gift(value: object) -> int:
    """Return how many people a reader's gift opens its story for."""
    return _whole(value, MOST_OPENINGS_OF_A_GIFT)


class PassIn(RequestSchema):
    story = types.identifier(required=True)
    openings = types.Read(
        read_openings, {"type": "integer", "minimum": 1, "maximum": MOST_OPENINGS, "example": 500}, required=True
    )
    until = types.moment(required=True)
    reason = types.reason(required=True)


class GiftIn(RequestSchema):
    reader = types.reader_id(required=True)
    story = types.identifier(required=True)
    openings = types.Read(
        read_openings_of_a_gift,
        {"type": "integer", "minimum": 1, "maximum": MOST_OPENINGS_OF_A_GIFT, "example": 1},
        allow_none=True,
    )
    until = types.moment(allow_none=True)


class PassOut(ResponseSchema):
    """Written from a `_PassRow`."""

    id = fields.String(attribute="story_pass.id", required=True)
    pass_ = fields.String(attribute="token", required=True, data_key="pass")
    story = fields.String(attribute="story_pass.story", required=True)
    openings = fields.Integer(attribute="story_pass.openings", required=True)
    used = fields.Integer(attribute="story_pass.used", required=True)
    until = types.UtcTime(attribute="story_pass.until", required=True)
    status = fields.String(required=True, validate=validate.OneOf(["active", "used_up", "expired", "revoked"]))
    actor = fields.String(attribute="story_pass.actor", required=True)


class PassesOut(ResponseSchema):
    items = fields.List(fields.Nested(PassOut), required=True)
    next = fields.String(required=True, allow_none=True)


class AllowanceOut(ResponseSchema):
    limit = fields.Integer(required=True)
    used = fields.Integer(required=True)
    left = fields.Integer(required=True)
    resets_at = types.UtcTime(required=True)


class GiftOut(PassOut):
    gifts = fields.Nested(AllowanceOut, required=True)


class GiftsOut(ResponseSchema):
    """Written from a `_GiftsRow`."""

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


@dataclass(frozen=True, slots=True)
class _PassRow:
    story_pass: StoryPass
    token: str
    status: str
    gifts: Allowance | None = None


@dataclass(frozen=True, slots=True)
class _GiftsRow:
    reader: str
    allowance: Allowance
    items: Sequence[_PassRow]


_pass, _gift, _gifts = PassOut(), GiftOut(), GiftsOut()


def write_pass(story_pass: StoryPass, tokens: PassTokens, now: float) -> JsonObject:
    """Return a story pass, with its link's token."""
    return _pass.write(_row(story_pass, tokens, now))


def write_gift(story_pass: StoryPass, tokens: PassTokens, now: float, allowance: Allowance) -> JsonObject:
    """Return a story pass that a reader gave, and what they can still give this month."""
    return _gift.write(replace(_row(story_pass, tokens, now), gifts=allowance))


def write_gifts(
    reader: str, allowance: Allowance, given: Sequence[StoryPass], tokens: PassTokens, now: float
) -> JsonObject:
    """Return what a reader can still give this month, and what they gave."""
    return _gifts.write(_GiftsRow(reader, allowance, [_row(one, tokens, now) for one in given]))


def pass_link(catalogue: Catalogue, written: JsonObject) -> str | None:
    """Return the address that opens the story of a written pass; `None` without `story_url` in paywall.toml."""
    if catalogue.story_url is None:
        return None
    address = catalogue.story_url.replace("{story}", quote(written["story"], safe=""))
    return f"{address}{'&' if '?' in address else '?'}pass={quote(written['pass'], safe='')}"


def _row(story_pass: StoryPass, tokens: PassTokens, now: float) -> _PassRow:
    return _PassRow(story_pass, tokens.sign(story_pass), story_pass.status_at(now))
