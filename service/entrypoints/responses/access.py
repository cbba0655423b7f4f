"""The access question and its answers: `/v1/access`, `/v1/access/batch` and `/v1/decisions/{id}`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from marshmallow import fields, validate

from service.adapters.redis.client.access import StoreAccess
from service.domain.catalogue import Story
from service.domain.decision import Decision, DecisionStep, explain
from service.domain.sources import Reason
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import JsonObject, RequestSchema, ResponseSchema
from service.use_cases.access.check import AccessAnswer, AccessQuestion
from service.use_cases.access.check_memory import interned
from service.use_cases.access.decision_ids import DecisionIds
from service.use_cases.checkout.offer_boxes import OfferBox, OfferBoxes


class StoryIn(RequestSchema):
    id = types.identifier(required=True)
    section = types.identifier(allow_none=True)
    tags = fields.List(types.identifier(), allow_none=True)
    tier = types.identifier(allow_none=True)
    published_at = types.moment(allow_none=True)
    parts = fields.List(types.identifier(), allow_none=True)


class ContextIn(RequestSchema):
    ip = types.text(allow_none=True)
    user_agent = types.text(allow_none=True)
    referrer = types.text(allow_none=True)
    country = types.text(allow_none=True)


def read_show(value: object) -> str:
    """Return what a paywall showed: `full` or `upsell`."""
    if value not in ("full", "upsell"):
        raise ValueError("must be full or upsell")
    return str(value)


class AccessIn(RequestSchema):
    story = fields.Nested(StoryIn, required=True)
    reader = types.reader_id(allow_none=True)
    visitor = types.identifier(allow_none=True)
    verified = types.flag(allow_none=True)
    count = types.flag(allow_none=True)
    context = fields.Nested(ContextIn, allow_none=True)
    explain = types.flag(allow_none=True)
    incumbent = types.Read(read_show, {"type": "string", "enum": ["full", "upsell", None]}, allow_none=True)
    # A story pass is a token, so any text can be one. `pass` is a keyword of Python, so the attribute has another name.
    pass_ = types.text(allow_none=True, data_key="pass")


class BatchIn(RequestSchema):
    reader = types.reader_id(allow_none=True)
    visitor = types.identifier(allow_none=True)
    verified = types.flag(allow_none=True)
    stories = fields.List(
        fields.Nested(StoryIn), required=True, validate=validate.Length(1, 100, error="must hold 1 to 100 stories")
    )


def story_of(data: dict[str, Any]) -> Story:
    """Return the story of loaded request data."""
    return Story(
        data["id"],
        data.get("section"),
        tuple(data.get("tags") or ()),
        data.get("tier"),
        data.get("published_at"),
        tuple(data.get("parts") or ()),
    )


def stray_verified(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is wrong with `verified` beside the other fields of a request, as it was sent."""
    if body.get("verified") is None or body.get("reader") is not None:
        return []
    return [("verified", "says something about a reader, and there is no reader: add it, or leave verified out")]


def question_of(data: dict[str, Any]) -> AccessQuestion:
    """Return the question of loaded request data; `count` is true unless it is sent as false."""
    token, context = data.get("pass_"), data.get("context") or {}
    return AccessQuestion(
        story_of(data["story"]),
        data.get("reader"),
        data.get("visitor"),
        data.get("count") is not False,
        token,
        context.get("user_agent") if token is not None else None,
        context.get("ip"),
        data.get("verified") is True,
    )


def questions_of(data: dict[str, Any]) -> list[AccessQuestion]:
    """Return the questions of a loaded batch; none of them counts."""
    reader, visitor, verified = data.get("reader"), data.get("visitor"), data.get("verified") is True
    return [
        AccessQuestion(story_of(story), reader, visitor, count=False, verified=verified) for story in data["stories"]
    ]


class StepOut(ResponseSchema):
    step = fields.String(required=True)
    values = types.StepValues(required=True)
    verdict = fields.String(required=True)


class SourceRefOut(ResponseSchema):
    type = fields.String(required=True)
    id = fields.String(required=True)
    plan = fields.String(required=True, allow_none=True)


class ReaderMeterOut(ResponseSchema):
    """A meter beside any request."""

    name = fields.String(required=True)
    limit = fields.Integer(required=True)
    used = fields.Integer(required=True)
    left = fields.Integer(required=True)
    plan = fields.String(required=True, allow_none=True)
    resets_at = types.UtcTime(required=True, allow_none=True)


class MeterOut(ReaderMeterOut):
    """The meter of an answer."""

    counted = fields.Boolean(required=True)


class PriceOut(ResponseSchema):
    id = fields.String(required=True)
    amount = fields.Integer(required=True, allow_none=True)
    currency = fields.String(required=True)
    interval = fields.String(required=True, allow_none=True)


class OfferPlanOut(ResponseSchema):
    id = fields.String(required=True)
    name = fields.String(required=True)
    prices = fields.List(fields.Nested(PriceOut), required=True)


class LinkOut(ResponseSchema):
    text = fields.String(required=True)
    url = fields.String(required=True)


class OfferOut(ResponseSchema):
    id = fields.String(required=True)
    heading = fields.String(required=True)
    benefits = fields.List(fields.String(), required=True)
    button = fields.String(required=True)
    plans = fields.List(fields.Nested(OfferPlanOut), required=True)
    links = fields.List(fields.Nested(LinkOut), required=True)


class NextStepOut(ResponseSchema):
    """A step that would open the story by itself; it has the field of its own step, and no other."""

    step = fields.String(required=True, validate=validate.OneOf(["sign_in", "verify", "subscribe", "wait"]))
    verified = fields.Boolean()
    plans = fields.List(fields.String())
    until = types.UtcTime()


class AccessOut(ResponseSchema):
    """Written from an `_AccessRow`."""

    decision_id = fields.String(required=True, allow_none=True)
    show = fields.String(attribute="decision.show", required=True, validate=validate.OneOf(["full", "upsell"]))
    reason = fields.String(
        attribute="decision.reason", required=True, validate=validate.OneOf([reason.value for reason in Reason])
    )
    tier = fields.String(attribute="decision.tier", required=True)
    parts = types.Parts(
        attribute="decision.parts",
        keys=fields.String(),
        values=fields.String(validate=validate.OneOf(["open", "locked"])),
        required=True,
    )
    features = types.FeatureNames(attribute="decision.held", required=True)
    source = fields.Nested(SourceRefOut, attribute="decision.source", required=True, allow_none=True)
    until = types.UtcTime(attribute="decision.until", required=True, allow_none=True)
    meter = fields.Nested(MeterOut, attribute="decision.meter", required=True, allow_none=True)
    offer = types.Shared(OfferOut, required=True, allow_none=True)
    next = types.NextSteps(NextStepOut, attribute="decision.next", required=True)
    refresh_after = types.UtcTime(attribute="decision.refresh_after", required=True, allow_none=True)
    degraded = fields.Boolean(attribute="decision.degraded", required=True)
    explain = fields.List(fields.Nested(StepOut), required=True, allow_none=True)


class BatchOut(ResponseSchema):
    decisions = fields.List(fields.Nested(AccessOut), required=True)


class DecisionOut(ResponseSchema):
    """Written from an `Explanation`."""

    decision_id = fields.String(required=True, allow_none=True)
    at = types.UtcTime(required=True)
    reader = fields.String(required=True, allow_none=True)
    visitor = fields.String(required=True, allow_none=True)
    story = fields.String(required=True)
    show = fields.String(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)
    tier = fields.String(attribute="decision.tier", required=True)
    parts = types.Parts(attribute="decision.parts", required=True)
    meter = fields.Nested(MeterOut, required=True, allow_none=True)
    source = fields.Nested(SourceRefOut, attribute="decision.source", required=True, allow_none=True)
    policy_revision = fields.String(required=True)
    next = types.NextSteps(NextStepOut, attribute="decision.next", required=True)
    explain = fields.List(fields.Nested(StepOut), attribute="steps", required=True)


@dataclass(slots=True)
class _AccessRow:
    decision: Decision
    decision_id: str | None
    offer: OfferBox | None
    explain: Sequence[DecisionStep] | None


_NO_ID = len(b'{"decision_id":null')


class AccessWriter:
    """Writes access answers by `AccessOut`, with the decision's ID and the offer."""

    def __init__(self, decision_ids: DecisionIds, offers: OfferBoxes) -> None:
        self._decision_ids = decision_ids
        self._offers = offers
        self._write = types.compile_writer(AccessOut())

    def write(self, answer: AccessAnswer, *, explained: bool = False) -> JsonObject:
        """Return the answer as JSON values; with the steps of the decision if they are asked for."""
        steps = explain(answer.decision, answer.tier) if explained else None
        return self._write(_AccessRow(answer.decision, self._decision_ids.seal(answer), self._offer(answer), steps))

    async def encode_in_loop(
        self, store: StoreAccess, answer: AccessAnswer, *, explained: bool
    ) -> tuple[bytes, str | None]:
        """Return the same as JSON, and the decision's ID. Where the ID needs the store, a thread waits for it."""
        sealed = self._decision_ids.seal_locally(answer)
        if sealed is None:
            sealed = await store.in_thread(self._decision_ids.seal, answer)
        begin = b'{"decision_id":"%b"' % sealed.encode() if sealed is not None else b'{"decision_id":null'
        return begin + self._encode(answer, explained=explained), sealed

    def _encode(self, answer: AccessAnswer, *, explained: bool) -> bytes:
        """Return the answer as JSON without its ID, which is its first field. What many answers share is encoded once."""
        decision, offer = answer.decision, self._offer(answer)
        shared = None if explained else answer.shared
        if shared is not None and shared.body is not None and shared.body[0] is offer:
            return shared.body[1]
        steps = explain(decision, answer.tier) if explained else None
        body = orjson.dumps(self._write(_AccessRow(decision, None, offer, steps)))[_NO_ID:]
        if shared is not None:
            shared.body = offer, interned(body)
        return body

    def _offer(self, answer: AccessAnswer) -> OfferBox | None:
        decision = answer.decision
        return self._offers.box_for(answer.tier, decision.next) if decision.show == "upsell" else None
