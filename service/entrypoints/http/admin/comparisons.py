"""Compare mode: how often this service and the incumbent paywall showed the same, and each answer that differs."""

from __future__ import annotations

from flask import Response

from service.entrypoints.http.admin.charts import comparison_chart
from service.entrypoints.http.admin.overview import chart_file
from service.entrypoints.http.admin.page_context import PageContext, render
from service.entrypoints.http.admin.request_inputs import requested_page
from service.entrypoints.responses.lists import COMPARISONS
from service.use_cases.reporting.comparisons import load_compared_days, summarize
from service.use_cases.reporting.statistics import Point


def register(context: PageContext) -> None:
    """Add the page, and the file of its chart."""
    service = context.service

    @context.page("GET /comparisons", "viewer")
    def comparisons() -> Response:
        found, points = COMPARISONS.load(service, requested_page(context, COMPARISONS)), compared_days()
        return render(
            "comparisons.html",
            summary=summarize(points),
            charts=[comparison_chart(points)],
            samples=found.items,
            following=found.next,
        )

    @context.page("GET /comparisons/<name>.csv", "viewer")
    def comparison_csv(name: str) -> Response:
        return chart_file([comparison_chart(compared_days())], name)

    def compared_days() -> list[Point]:
        return load_compared_days(service.usage_counters.store, context.catalogue.zone, context.now)
