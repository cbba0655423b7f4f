"""`/v1/activity`, `/v1/attention`, and `/v1/comparisons`: statistics, what needs attention, and compare mode.

Compare mode shows where the answers differ from what the incumbent paywall showed.
"""

from __future__ import annotations

from flask import Response

from service.adapters.redis.reporting.usage_counts import DAYS_KEPT
from service.bootstrap import Service
from service.domain.errors import InvalidFields
from service.entrypoints.http import inputs, lists
from service.entrypoints.http.routes import ApiRoutes, query
from service.entrypoints.responses.fields import JsonObject
from service.entrypoints.responses.lists import COMPARISONS
from service.entrypoints.responses.reporting import (
    FIGURE_COLUMNS,
    ActivityOut,
    AttentionOut,
    ComparisonSummaryOut,
    figure_rows,
    write_alerts,
)
from service.use_cases.reporting.comparisons import load_compared_days, summarize
from service.use_cases.reporting.statistics import DEFAULT_DAYS, figures

DAYS = query(
    "days",
    "How many days, today included.",
    {"type": "integer", "minimum": 1, "maximum": DAYS_KEPT, "default": DEFAULT_DAYS},
)

CSV_ROW = ("2026-11-28", "checks full", "metered", 298)


def register(routes: ApiRoutes, service: Service) -> None:
    """Add the routes of figures and alerts."""
    figures_csv = lists.csv_text(FIGURE_COLUMNS, [dict(zip(FIGURE_COLUMNS, CSV_ROW, strict=True))])

    @routes.add("GET /v1/activity", "viewer", lists.json_or_csv(ActivityOut, example=figures_csv), parameters=(DAYS,))
    def show_activity() -> Response | JsonObject:
        """Return the statistics: checks, upsell boxes, conversion, access, and deliveries, by day and by hour.

        Days are in the site's time zone. In CSV, each line is one figure of one day.
        """
        found = figures(service.usage_counters.store, service.settings.catalogue.zone, _days(), service.clock())
        if lists.wants_csv():
            return lists.csv_file(FIGURE_COLUMNS, figure_rows(found), "activity")
        return ActivityOut.write(found)

    @routes.add("GET /v1/attention", "viewer", AttentionOut)
    def show_attention() -> JsonObject:
        """Return what needs attention: each kind with its count, some cases, and what to do."""
        inputs.query_values()
        now = service.clock()
        return write_alerts(service.alerts.current(now), now)

    @lists.add(routes, "GET /v1/comparisons", COMPARISONS)
    def list_comparisons() -> Response:
        """List answers of the last seven days that differ from the incumbent's, the newest first."""
        return lists.respond(COMPARISONS, service)

    @routes.add("GET /v1/comparisons/summary", "viewer", ComparisonSummaryOut)
    def summarize_comparisons() -> JsonObject:
        """Count the answers compared in the last seven days, and how they differed."""
        inputs.query_values()
        zone, store = service.settings.catalogue.zone, service.usage_counters.store
        return ComparisonSummaryOut.write(summarize(load_compared_days(store, zone, service.clock())))


def _days() -> int:
    text = inputs.query_values("days").get("days", str(DEFAULT_DAYS))
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= DAYS_KEPT):
        raise InvalidFields([("days", f"must be a whole number from 1 to {DAYS_KEPT}")])
    return int(text)
