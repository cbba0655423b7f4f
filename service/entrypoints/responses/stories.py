"""What is known of a story: `/v1/stories/{story}`."""

from __future__ import annotations

from marshmallow import fields, validate

from service.domain.catalogue import KnownStory, TierOrigin
from service.domain.times import write_time
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import JsonObject, ResponseSchema


class StoryOut(ResponseSchema):
    story = fields.String(attribute="known.story.id", required=True)
    section = fields.String(attribute="known.story.section", required=True, allow_none=True)
    tags = fields.List(fields.String(), attribute="known.story.tags", required=True)
    published_at = types.UtcTime(attribute="known.story.published_at", required=True, allow_none=True)
    parts = fields.List(fields.String(), attribute="known.story.parts", required=True)
    tier = fields.String(attribute="origin.tier", required=True)
    tier_from = fields.String(
        attribute="origin.source", required=True, validate=validate.OneOf(["request", "rule", "default"])
    )
    rule = fields.Integer(attribute="origin.rule", required=True, allow_none=True)
    asked_at = types.UtcTime(attribute="known.asked_at", required=True)


def write_story(known: KnownStory, origin: TierOrigin) -> JsonObject:
    """Return what the site last said of a story, with its tier at a moment."""
    return StoryOut.write({"known": known, "origin": origin})


def story_text(known: KnownStory, origin: TierOrigin | None) -> str:
    """Return in sentences what the site said of a story, and where its tier comes from (`None`: it was given)."""
    story = known.story
    published = write_time(story.published_at) if story.published_at is not None else None
    said = {"section": story.section, "tags": ", ".join(story.tags), "published": published}
    said["parts"] = ", ".join(story.parts)
    facts = "; ".join(f"{name} {value}" for name, value in said.items() if value) or "only its ID"
    return f"The site described it at {write_time(known.asked_at)}: {facts}. {origin_text(origin)}"


def origin_text(origin: TierOrigin | None) -> str:
    """Return in a sentence where a story's tier comes from; `None`: it was given with the question."""
    if origin is None:
        return "Its tier was given with the question."
    rule = f"Rule {origin.rule} of the configuration sets its tier."
    return {"request": "The site set its tier.", "rule": rule, "default": "It has the default tier."}[origin.source]
