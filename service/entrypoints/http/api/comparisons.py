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
        """The last 1,000 answers of seven days that differ from the incumbent paywall's, newest first; CSV where Accept
        asks for text/csv."""
        return lists.answer(COMPARISONS, service)

    @routes.add("GET /v1/comparisons/summary", "viewer", ComparisonSummaryOut)
    def summarize_comparisons() -> JsonObject:
        """How many answers of the last seven days were compared, how many agreed, and how the others differed."""
        inputs.taken()
        zone, store = service.settings.catalogue.zone, service.usage_counters.store
        return ComparisonSummaryOut.write(summarize(load_compared_days(store, zone, service.clock())))
