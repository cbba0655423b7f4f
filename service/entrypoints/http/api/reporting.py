"""`/v1/activity` and `/v1/attention`: the figures of the first page, and what needs somebody's hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response

from service.adapters.redis.reporting.usage_counts import UPSELL_WINDOW
from service.bootstrap import Service
from service.domain.catalogue import DAY
from service.domain.times import write_time
from service.entrypoints.http import csv_output as csv_out
from service.entrypoints.http import guards
from service.entrypoints.http.api.access import private
from service.entrypoints.http.errors import invalid
from service.entrypoints.http.openapi_description import described, query
from service.entrypoints.http.query_parameters import taken
from service.entrypoints.responses.reporting_schemas import ActivityOut, AttentionOut
from service.use_cases.reporting.alerts import Attention, Item
from service.use_cases.reporting.statistics import MOST_DAYS, USUAL_DAYS, Figures, Point, figures

DAYS = query(
    "days",
    "How many days, today included.",
    {"type": "integer", "minimum": 1, "maximum": MOST_DAYS, "default": USUAL_DAYS},
)
COLUMNS = ("day", "measure", "name", "value")


def blueprint(service: Service) -> Blueprint:
    """Figures, and what needs a hand."""
    blp = Blueprint("overview", __name__)

    @blp.get("/v1/activity")
    @described(gives={200: csv_out.or_csv(ActivityOut)}, parameters=(DAYS,), tag="overview")
    @guards.admin("viewer")
    def show_activity() -> Response:
        """Checks, upsell boxes and what came of them, entitlements, deliveries: by day, and the last 48 hours by hour.

        Days are the site's own. CSV where Accept asks for text/csv: a line a figure, days only.
        """
        found = figures(service.activity.store, service.settings.catalogue.zone, _days(), service.clock())
        if csv_out.wanted():
            return csv_out.answer(COLUMNS, lines(found), "activity", None)
        return private(told(found))

    @blp.get("/v1/attention")
    @described(gives={200: AttentionOut}, tag="overview")
    @guards.admin("viewer")
    def show_attention() -> Response:
        """What needs a hand, each kind with its count, some cases, and where it is mended; 0 where all is well."""
        taken()
        return private(attention(service.attention, service.clock()))

    return blp


def _days() -> int:
    text = taken("days").get("days", str(USUAL_DAYS))
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MOST_DAYS):
        raise invalid([("days", f"must be a whole number from 1 to {MOST_DAYS}")])
    return int(text)


def told(found: Figures) -> dict[str, Any]:
    """The figures as JSON."""
    share = found.upsell
    return {
        "zone": found.zone,
        "days": [_point(point) for point in found.days],
        "hours": [_point(point) for point in found.hours],
        "upsell": {
            "begun": share.hits,
            "readers": share.cases,
            "share": share.share,
            "low": share.low,
            "high": share.high,
            "within_days": UPSELL_WINDOW // DAY,
        },
    }


def _point(point: Point) -> dict[str, Any]:
    delay = point.delay
    return {
        "when": point.when,
        "checks": [{"show": show, "reason": reason, "count": n} for (show, reason), n in point.checks.items()],
        "upsells": point.upsells,
        "upsell_readers": point.upsell_readers,
        "begun": point.begun,
        "entitlements": [{"plan": plan or None, "count": n} for plan, n in point.entitlements.items()],
        "webhooks": [{"outcome": outcome, "count": n} for outcome, n in point.webhooks.items()],
        "delay": {
            "events": delay.events,
            "mean": delay.mean,
            "half_within": delay.half_within,
            "most_within": delay.most_within,
        },
    }


def lines(found: Figures) -> Iterator[dict[str, Any]]:
    """The days as a table: a line for each figure that there is."""
    for point in found.days:
        for measure, name, value in _figures(point):
            yield {"day": point.when, "measure": measure, "name": name, "value": value}


def _figures(point: Point) -> Iterator[tuple[str, str, float]]:
    for (show, reason), number in point.checks.items():
        yield f"checks {show}", reason, number
    yield "upsells", "shown", point.upsells
    yield "upsells", "readers", point.upsell_readers
    yield "upsells", "begun", point.begun
    for plan, number in point.entitlements.items():
        yield "entitlements", plan, number
    for outcome, number in point.webhooks.items():
        yield "webhooks", outcome, number
    if point.delay.mean is not None:
        yield "webhooks", "mean delay in seconds", point.delay.mean


def attention(alerts: Attention, now: float) -> dict[str, Any]:
    """What needs a hand, for the page, the API and the digest."""
    items = alerts.items(now)
    return {
        "at": write_time(now),
        "needs_hand": any(item.count and item.hand for item in items),
        "items": [_item(item) for item in items],
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "count": item.count,
        "needs_hand": item.hand and item.count > 0,
        "title": item.title,
        "mend": item.mend,
        "where": item.where,
        "examples": [
            {"id": one.id, "reader": one.reader, "at": write_time(one.at), "text": one.text} for one in item.examples
        ],
    }
