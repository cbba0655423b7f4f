"""`/v1/comparisons`: where the answers differ from what the incumbent paywall showed (compare mode)."""

from __future__ import annotations

from flask import Response

from service.bootstrap import Service
from service.entrypoints.http import inputs, lists
from service.entrypoints.http.routes import AFTER, LIMIT, ApiRoutes
from service.entrypoints.responses.fields import JsonObject
from service.entrypoints.responses.lists import COMPARISONS
from service.entrypoints.responses.reporting import ComparisonOut, ComparisonSummaryOut
from service.use_cases.reporting.comparisons import load_compared_days, summarize


def register(routes: ApiRoutes, service: Service) -> None:
    @routes.add("GET /v1/comparisons", "viewer", lists.list_of(ComparisonOut), parameters=(LIMIT, AFTER))
    def list_comparisons() -> Response:
        """List answers of the last seven days that differ from the incumbent's, the newest first."""
        return lists.answer(COMPARISONS, service)

    @routes.add("GET /v1/comparisons/summary", "viewer", ComparisonSummaryOut)
    def summarize_comparisons() -> JsonObject:
        """Count the answers compared in the last seven days, and how they differed."""
        inputs.taken()
        zone, store = service.settings.catalogue.zone, service.usage_counters.store
        return ComparisonSummaryOut.write(summarize(load_compared_days(store, zone, service.clock())))
