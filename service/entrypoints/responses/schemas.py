"""What requests and answers look like: the schema of record, for validation, for the hot route, and for `/openapi.json`."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validate

from service.domain.sources import Reason
from service.entrypoints.responses import fields as types


class Request(Schema):
    """A request body: a field that is not known is refused."""

    class Meta:
        unknown = RAISE


class Answer(Schema):
    """An answer, for the description; answers are built by `service.entrypoints.responses.encoder`."""

    class Meta:
        unknown = EXCLUDE


class StoryIn(Request):
    id = types.identifier(required=True)
    section = types.identifier(allow_none=True)
    tags = fields.List(types.identifier(), allow_none=True)
    tier = types.identifier(allow_none=True)
    published_at = types.moment(allow_none=True)
    parts = fields.List(types.identifier(), allow_none=True)


class ContextIn(Request):
    ip = types.text(allow_none=True)
    user_agent = types.text(allow_none=True)
    referrer = types.text(allow_none=True)
    country = types.text(allow_none=True)


class AccessIn(Request):
    story = fields.Nested(StoryIn, required=True)
    reader = types.reader_id(allow_none=True)
    visitor = types.identifier(allow_none=True)
    count = types.flag(allow_none=True)
    context = fields.Nested(ContextIn, allow_none=True)
    explain = types.flag(allow_none=True)
    # Named in JSON as the contract has it; a story pass is a token, so any text may stand here.
    pass_ = types.text(allow_none=True, data_key="pass")


class BatchIn(Request):
    reader = types.reader_id(allow_none=True)
    visitor = types.identifier(allow_none=True)
    stories = fields.List(
        fields.Nested(StoryIn), required=True, validate=validate.Length(1, 100, error="must hold 1 to 100 stories")
    )


def _exactly_one(data: dict[str, Any], first: str, second: str) -> None:
    given = [name for name in (first, second) if data.get(name) is not None]
    if len(given) != 1:
        message = f"give exactly one of {first} and {second}"
        raise ValidationError({first: [message], second: [message]})


class GrantIn(Request):
    plan = types.identifier(allow_none=True)
    features = fields.List(
        types.identifier(), allow_none=True, validate=validate.Length(1, error="must name a feature")
    )
    reason = types.reason(required=True)
    # `from` is a word of the language, so the attribute has another name.
    from_ = types.moment(allow_none=True, data_key="from")
    until = types.moment(required=True, allow_none=True)


class GrantChangeIn(Request):
    until = types.moment(required=True, allow_none=True)
    reason = types.reason(required=True)


class ReasonIn(Request):
    reason = types.reason(required=True)


class ReasonMaybeIn(Request):
    reason = types.reason(allow_none=True)


class CheckoutIn(Request):
    reader = types.reader_id(required=True)
    plan = types.identifier(allow_none=True)
    price = types.identifier(allow_none=True)
    return_url = types.text(required=True)


class PortalIn(Request):
    reader = types.reader_id(required=True)
    return_url = types.text(required=True)


def _time(**options: Any) -> fields.Field[Any]:
    return fields.String(metadata={"format": "date-time"}, **options)


class StepOut(Answer):
    step = fields.String(required=True)
    values = fields.Dict(required=True)
    verdict = fields.String(required=True)


class SourceRefOut(Answer):
    type = fields.String(required=True)
    id = fields.String(required=True)
    plan = fields.String(required=True, allow_none=True)


class MeterOut(Answer):
    name = fields.String(required=True)
    limit = fields.Integer(required=True)
    used = fields.Integer(required=True)
    left = fields.Integer(required=True)
    counted = fields.Boolean(required=True)
    resets_at = _time(required=True, allow_none=True)


class PriceOut(Answer):
    id = fields.String(required=True)
    amount = fields.Integer(required=True, allow_none=True)
    currency = fields.String(required=True)
    interval = fields.String(required=True, allow_none=True)


class OfferPlanOut(Answer):
    id = fields.String(required=True)
    name = fields.String(required=True)
    prices = fields.List(fields.Nested(PriceOut), required=True)


class LinkOut(Answer):
    text = fields.String(required=True)
    url = fields.String(required=True)


class OfferOut(Answer):
    id = fields.String(required=True)
    heading = fields.String(required=True)
    benefits = fields.List(fields.String(), required=True)
    button = fields.String(required=True)
    plans = fields.List(fields.Nested(OfferPlanOut), required=True)
    links = fields.List(fields.Nested(LinkOut), required=True)


class AccessOut(Answer):
    decision_id = fields.String(required=True, allow_none=True)
    show = fields.String(required=True, validate=validate.OneOf(["full", "upsell"]))
    reason = fields.String(required=True, validate=validate.OneOf([reason.value for reason in Reason]))
    tier = fields.String(required=True)
    parts = fields.Dict(
        keys=fields.String(), values=fields.String(validate=validate.OneOf(["open", "locked"])), required=True
    )
    features = fields.List(fields.String(), required=True)
    source = fields.Nested(SourceRefOut, required=True, allow_none=True)
    until = _time(required=True, allow_none=True)
    meter = fields.Nested(MeterOut, required=True, allow_none=True)
    offer = fields.Nested(OfferOut, required=True, allow_none=True)
    refresh_after = _time(required=True, allow_none=True)
    degraded = fields.Boolean(required=True)
    explain = fields.List(fields.Nested(StepOut), required=True, allow_none=True)


class BatchOut(Answer):
    decisions = fields.List(fields.Nested(AccessOut), required=True)


class GrantOut(Answer):
    id = fields.String(required=True)
    reader = fields.String(required=True)
    plan = fields.String(required=True, allow_none=True)
    features = fields.List(fields.String(), required=True)
    reason = fields.String(required=True)
    from_ = _time(required=True, data_key="from")
    until = _time(required=True, allow_none=True)
    status = fields.String(required=True, validate=validate.OneOf(["active", "scheduled", "expired", "revoked"]))
    actor = fields.String(required=True)
    created_at = _time(required=True)
    import_ = fields.String(required=True, allow_none=True, data_key="import")


class FeatureOut(Answer):
    feature = fields.String(required=True)
    until = _time(required=True, allow_none=True)
    source = fields.String(required=True)


class SourceOut(Answer):
    type = fields.String(required=True)
    id = fields.String(required=True)
    plan = fields.String(required=True, allow_none=True)
    features = fields.List(fields.String(), required=True)
    status = fields.String(required=True)
    standing = fields.String(required=True, validate=validate.OneOf(["good", "grace", "ended", "none"]))
    from_ = _time(required=True, allow_none=True, data_key="from")
    until = _time(required=True, allow_none=True)
    ending = fields.Boolean(required=True)
    confirmed = fields.Boolean(required=True)
    reason = fields.String(required=True, allow_none=True)
    actor = fields.String(required=True, allow_none=True)


class ReaderMeterOut(Answer):
    name = fields.String(required=True)
    limit = fields.Integer(required=True)
    used = fields.Integer(required=True)
    left = fields.Integer(required=True)
    resets_at = _time(required=True, allow_none=True)


class ReaderOut(Answer):
    reader = fields.String(required=True)
    access = fields.Boolean(required=True)
    features = fields.List(fields.Nested(FeatureOut), required=True)
    sources = fields.List(fields.Nested(SourceOut), required=True)
    customers = fields.List(fields.String(), required=True)
    meters = fields.List(fields.Nested(ReaderMeterOut), required=True)


class FieldErrorOut(Answer):
    field = fields.String(required=True)
    message = fields.String(required=True)


class ProblemOut(Answer):
    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(FieldErrorOut), required=True)


class StatusOut(Answer):
    status = fields.String(required=True)


class ReturnedIn(Request):
    session = fields.String(required=True, validate=validate.Regexp(r"cs_[A-Za-z0-9_]{1,120}\Z"))


class ReturnedOut(Answer):
    session = fields.String(required=True)
    settled = fields.Boolean(required=True)


class UrlOut(Answer):
    url = fields.String(required=True, metadata={"format": "uri"})


class ReceiptOut(Answer):
    id = fields.String(required=True)
    state = fields.String(required=True)
