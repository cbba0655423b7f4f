"""Statistics and alerts: `/v1/activity` and `/v1/attention`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from marshmallow import fields

from service.adapters.redis.reporting.usage_counts import UPSELL_WINDOW
from service.domain.catalogue import DAY
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import JsonObject, ResponseSchema
from service.use_cases.reporting.alerts import Alert
from service.use_cases.reporting.statistics import Figures, Point


class CheckCountOut(ResponseSchema):
    show = fields.String(required=True)
    reason = fields.String(required=True)
    count = fields.Integer(required=True)


class PlanCountOut(ResponseSchema):
    plan = fields.String(required=True, allow_none=True)
    count = fields.Integer(required=True)


class OutcomeCountOut(ResponseSchema):
    outcome = fields.String(required=True)
    count = fields.Integer(required=True)


class DelayOut(ResponseSchema):
    events = fields.Integer(required=True)
    mean = fields.Float(required=True, allow_none=True)
    half_within = fields.Integer(required=True, allow_none=True)
    most_within = fields.Integer(required=True, allow_none=True)


class PointOut(ResponseSchema):
    when = fields.String(required=True)
    checks = types.Rows(CheckCountOut, required=True)
    upsells = fields.Integer(required=True)
    upsell_readers = fields.Integer(required=True)
    begun = fields.Integer(required=True)
    entitlements = types.Rows(PlanCountOut, required=True)
    webhooks = types.Rows(OutcomeCountOut, required=True)
    delay = fields.Nested(DelayOut, required=True)
    started = fields.Integer(required=True)
    canceled = fields.Integer(required=True)
    past_due = fields.Integer(required=True, allow_none=True)


class ComparisonOut(ResponseSchema):
    """Written from a `ComparisonSample`."""

    at = types.UtcTime(required=True)
    decision_id = fields.String(required=True, allow_none=True)
    ours = fields.String(required=True)
    theirs = fields.String(required=True)
    reason = fields.String(required=True)
    story = fields.String(required=True)


class DifferenceCountOut(ResponseSchema):
    ours = fields.String(required=True)
    theirs = fields.String(required=True)
    reason = fields.String(required=True)
    count = fields.Integer(required=True)


class ComparisonSummaryOut(ResponseSchema):
    """Written from a `ComparisonSummary`."""

    compared = fields.Integer(required=True)
    agreed = fields.Integer(required=True)
    by_reason = types.Rows(DifferenceCountOut, required=True)


class ShareOut(ResponseSchema):
    begun = fields.Integer(attribute="hits", required=True)
    readers = fields.Integer(attribute="cases", required=True)
    share = fields.Float(required=True, allow_none=True)
    low = fields.Float(required=True, allow_none=True)
    high = fields.Float(required=True, allow_none=True)
    within_days = fields.Constant(UPSELL_WINDOW // DAY, required=True, metadata={"type": "integer"})


class ActivityOut(ResponseSchema):
    """Written from `Figures`."""

    zone = fields.String(required=True)
    days = fields.List(fields.Nested(PointOut), required=True)
    hours = fields.List(fields.Nested(PointOut), required=True)
    upsell = fields.Nested(ShareOut, required=True)


class AlertExampleOut(ResponseSchema):
    id = fields.String(required=True)
    reader = fields.String(required=True, allow_none=True)
    at = types.UtcTime(required=True, allow_none=True)
    text = fields.String(required=True)


class AlertOut(ResponseSchema):
    """Written from an `Alert`."""

    kind = fields.String(required=True)
    count = fields.Integer(required=True)
    needs_hand = fields.Boolean(attribute="needs_action", required=True)
    title = fields.String(required=True)
    advice = fields.String(required=True)
    where = fields.String(required=True)
    examples = fields.List(fields.Nested(AlertExampleOut), required=True)


class AttentionOut(ResponseSchema):
    at = types.UtcTime(required=True)
    needs_hand = fields.Boolean(required=True)
    items = fields.List(fields.Nested(AlertOut), required=True)


FIGURE_COLUMNS = ("day", "measure", "name", "value")
"""Columns of the statistics as CSV."""


def write_alerts(alerts: Sequence[Alert], now: float) -> JsonObject:
    """Return the alerts."""
    needs_action = any(alert.needs_action for alert in alerts)
    return AttentionOut.write({"at": now, "needs_hand": needs_action, "items": alerts})


def figure_rows(figures: Figures) -> Iterator[JsonObject]:
    """Yield a row of `FIGURE_COLUMNS` for each figure of each day."""
    for point in figures.days:
        for row in _measures(point):
            yield dict(zip(FIGURE_COLUMNS, (point.when, *row), strict=True))


def _measures(point: Point) -> Iterator[tuple[str, str, float]]:
    for (show, reason), number in point.checks.items():
        yield f"checks {show}", reason, number
    yield "upsells", "shown", point.upsells
    yield "upsells", "readers", point.upsell_readers
    yield "upsells", "begun", point.begun
    yield "subscriptions", "started", point.started
    yield "subscriptions", "canceled", point.canceled
    if point.past_due is not None:
        yield "subscriptions", "past due", point.past_due
    for plan, number in point.entitlements.items():
        yield "entitlements", plan, number
    for outcome, number in point.webhooks.items():
        yield "webhooks", outcome, number
    if point.delay.mean is not None:
        yield "webhooks", "mean delay in seconds", point.delay.mean
