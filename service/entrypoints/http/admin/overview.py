"""The overview: what needs attention, the set-up's open steps, and the numbers and charts of a period."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from flask import Response, abort, url_for

from service.adapters.redis.reporting.usage_counts import DAYS_KEPT
from service.domain.errors import InvalidFields
from service.entrypoints.http.admin.charts import Chart, editor_charts, percent
from service.entrypoints.http.admin.formatting import stripe_dashboard
from service.entrypoints.http.admin.page_context import PageContext, render
from service.entrypoints.http.admin.reader_tables import after_this_month
from service.entrypoints.http.admin.request_inputs import query_field
from service.entrypoints.http.admin.tiles import number_tiles
from service.entrypoints.http.lists import csv_file
from service.use_cases.reporting.alerts import Alert, Example
from service.use_cases.reporting.set_up import set_up_steps
from service.use_cases.reporting.statistics import DEFAULT_DAYS, Period, load_period, load_totals


def register(context: PageContext) -> None:
    """Add the overview."""
    service, catalogue = context.service, context.catalogue
    dashboard = stripe_dashboard(catalogue)
    context.app.template_filter("share")(lambda share: "–" if share is None else percent(share))

    @context.page("GET /", "viewer")
    def overview() -> Response:
        now, (period, presets) = context.now, requested_period(context.now, catalogue.zone)
        store = service.usage_counters.store
        points = load_period(store, period)
        has_checks = any(point.checks for point in points) or any(
            point.checks for point in load_period(store, Period.last_days(DAYS_KEPT, catalogue.zone, now))
        )
        steps = set_up_steps(service.settings, service.event_processor, has_checks=has_checks)
        alerts = [_view(alert, dashboard) for alert in service.alerts.current(now) if alert.count]
        return render(
            "overview.html",
            alerts=alerts,
            pending=len(service.approval_workflow.list_waiting(now)),
            has={step.name: step.is_done for step in steps},
            stripe_dashboard=dashboard,
            plans=catalogue.plans,
            month_end=after_this_month(now, catalogue.zone),
            period=period,
            dates=_dates(period),
            presets={label: (preset == period, _dates(preset)) for label, preset in presets.items()},
            tiles=number_tiles(*load_totals(store, period, points), catalogue),
            charts=editor_charts(points, catalogue),
        )

    @context.page("GET /plots/<name>.csv", "viewer")
    def chart_csv(name: str) -> Response:
        period, _ = requested_period(context.now, catalogue.zone)
        return chart_file(editor_charts(load_period(service.usage_counters.store, period), catalogue), name)


def preset_periods(today: date) -> dict[str, Period]:
    """Return the presets by label."""
    month = today.replace(day=1)
    last_month = (month - timedelta(days=1)).replace(day=1)
    return {
        **{f"{days} days": Period(today - timedelta(days=days - 1), today) for days in (7, DEFAULT_DAYS, 90)},
        "This month": Period(month, today),
        "Last month": Period(last_month, month - timedelta(days=1)),
    }


def requested_period(now: float, zone: tzinfo) -> tuple[Period, dict[str, Period]]:
    """Return the period that the address asks for, and the presets. Raises: `InvalidFields`."""
    today = datetime.fromtimestamp(now, zone).date()
    presets, oldest = preset_periods(today), today - timedelta(days=DAYS_KEPT - 1)
    usual = presets[f"{DEFAULT_DAYS} days"]
    last = min(_day("to", usual.last, oldest), today)
    first = _day("from", last - (usual.last - usual.first), oldest)
    if first > last:
        raise InvalidFields([("from", "must be a day that has come, and not later than the last day")])
    return Period(first, last), presets


def _day(name: str, missing: date, oldest: date) -> date:
    text = query_field(name)
    try:
        found = date.fromisoformat(text) if text else missing
    except ValueError:
        raise InvalidFields([(name, "must be a date, like 2026-11-20")]) from None
    if found < oldest:
        raise InvalidFields([(name, f"must be {oldest.isoformat()} or later: figures are kept for {DAYS_KEPT} days")])
    return found


def chart_file(charts: Sequence[Chart], name: str) -> Response:
    """Return the figures of a chart as CSV; 404 where none has this name."""
    chart = next((chart for chart in charts if chart.name == name), None)
    if chart is None:
        abort(404)
    return csv_file(chart.columns, chart.rows, chart.name)


def _dates(period: Period) -> dict[str, str]:
    """Return the parameters of the address that shows a period."""
    return {"from": period.first.isoformat(), "to": period.last.isoformat()}


def _view(alert: Alert, dashboard: str) -> dict[str, Any]:
    """Return an alert for the template, with the addresses at which it and its examples are fixed."""
    return {
        "alert": alert,
        "stripe_url": f"{dashboard}webhooks" if alert.kind in ("event_gap", "drift") else None,
        "command": alert.where if alert.where.startswith("paywall ") else None,
        "url": url_for("events", state="dead") if alert.kind == "dead_letters" else None,
        "examples": [{"example": example, "url": _example_url(alert, example)} for example in alert.examples],
    }


def _example_url(alert: Alert, example: Example) -> str | None:
    if example.reader is not None:
        return url_for("reader", id=example.reader)
    if alert.kind == "dead_letters":
        return url_for("event", id=example.id)
    if alert.kind == "unknown_prices":  # The buyer, who may need access until a plan has the price.
        return url_for("readers", q=example.text.rpartition(":")[2])
    return url_for("readers", q=example.id) if alert.kind == "ownerless" else None
