"""The overview: what needs attention, with a link to where it is fixed, and charts of the last 30 days."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, url_for

from service.entrypoints.http.admin import charts
from service.entrypoints.http.admin.page_context import PageContext, reader_url, render
from service.entrypoints.http.admin.reader_tables import first_of_next_month
from service.entrypoints.http.lists import csv_file
from service.use_cases.reporting.alerts import Alert, Example
from service.use_cases.reporting.statistics import DEFAULT_DAYS, Figures, figures

STRIPE_WEBHOOKS = ("https://dashboard.stripe.com/test/webhooks", "https://dashboard.stripe.com/webhooks")
"""Stripe's pages of webhook deliveries, in test mode and in live mode."""


def register(context: PageContext) -> None:
    """Add the overview."""
    service, catalogue = context.service, context.catalogue
    context.app.template_filter("share")(lambda share: "–" if share is None else charts.percent(share))

    @context.page("GET /", "viewer")
    def overview() -> Response:
        now = context.now
        pending = len(service.approvals.list_waiting(now))
        alerts = [_view(alert, catalogue.livemode) for alert in service.alerts.current(now) if alert.count]
        return render(
            "overview.html",
            alerts=alerts,
            pending=pending,
            plans=catalogue.plans,
            next_month=first_of_next_month(now, catalogue.zone),
            charts=charts.all_charts(read_figures(), catalogue),
        )

    @context.page("GET /plots/<name>.csv", "viewer")
    def chart_csv(name: str) -> Response:
        chart = next((chart for chart in charts.all_charts(read_figures(), catalogue) if chart.name == name), None)
        if chart is None:
            abort(404)
        return csv_file(chart.columns, chart.rows, chart.name)

    def read_figures() -> Figures:
        return figures(service.usage_counters.store, catalogue.zone, DEFAULT_DAYS, context.now)


def _view(alert: Alert, livemode: bool) -> dict[str, Any]:
    """Return an alert for the template, with the addresses at which it and its examples are fixed."""
    return {
        "alert": alert,
        "stripe_url": STRIPE_WEBHOOKS[livemode] if alert.kind in ("event_gap", "drift") else None,
        "command": alert.where if alert.where.startswith("paywall ") else None,
        "url": url_for("events", state="dead") if alert.kind == "dead_letters" else None,
        "examples": [{"example": example, "url": _example_url(alert, example)} for example in alert.examples],
    }


def _example_url(alert: Alert, example: Example) -> str | None:
    if example.reader is not None:
        return reader_url(example.reader)
    if alert.kind == "dead_letters":
        return url_for("event", id=example.id)
    if alert.kind == "unknown_prices":  # The buyer, who may need access until a plan has the price.
        return url_for("readers", q=example.text.rpartition(":")[2])
    return url_for("readers", q=example.id) if alert.kind == "ownerless" else None
