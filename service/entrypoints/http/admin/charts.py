"""The charts of the overview and of the System page, drawn from the figures of the API; each also as a table and a CSV file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from markupsafe import Markup

from service.domain.catalogue import Catalogue
from service.entrypoints.http.admin import svg
from service.entrypoints.http.admin.colors import CONVERSION, OTHER, OUTCOMES, delivery_color, plan_color
from service.entrypoints.http.admin.formatting import format_number
from service.entrypoints.http.admin.svg import Series
from service.entrypoints.responses.labels import REASONS, STATES, label
from service.use_cases.reporting.statistics import Point, by_week, conversion, sum_checks

MOST_DAYS_DRAWN = 92
"""Days of a period up to which a chart has a bar or a point for each; of a longer one it has them by week."""
MOST_LABELED = 14
"""Bars up to which each shows its value."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its drawing and legend, a sentence that sums it up, and its table of `rows` by `columns`."""

    name: str
    title: str
    sentence: str
    drawing: Markup
    legend: Sequence[tuple[Markup, str]]
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    shares: Sequence[str] = ()
    """The columns with shares of one; the page shows them as percentages, the file as numbers."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """The bars or points of a chart: what each stands for, and its days."""

    unit: str
    dates: Sequence[date]
    parts: Sequence[Sequence[Point]]


def editor_charts(points: Sequence[Point], catalogue: Catalogue) -> list[Chart]:
    """Return the charts of the overview for these days, in the order of the page."""
    axis = _axis(points)
    return [_conversion_chart(points), _access_chart(axis, catalogue), _checks_chart(points, axis)]


def system_charts(points: Sequence[Point]) -> list[Chart]:
    """Return the charts of the System page for these days, in the order of the page."""
    axis = _axis(points)
    return [_webhooks_chart(points, axis), _delay_chart(points, axis)]


def _axis(points: Sequence[Point]) -> _Axis:
    if len(points) > MOST_DAYS_DRAWN:
        return _weeks(points)
    return _Axis("day", [date.fromisoformat(point.when) for point in points], [[point] for point in points])


def _weeks(points: Sequence[Point]) -> _Axis:
    weeks = list(by_week(points))
    return _Axis("week of", [monday for monday, _ in weeks], [days for _, days in weeks])


def _checks_chart(points: Sequence[Point], axis: _Axis) -> Chart:
    counted = [sum_checks(days) for days in axis.parts]
    series = [
        Series(
            outcome.name,
            [sum(counts.get((outcome.show, reason), 0) for reason in outcome.reasons) for counts in counted],
            outcome.color,
        )
        for outcome in OUTCOMES
    ]
    known = {(outcome.show, reason) for outcome in OUTCOMES for reason in outcome.reasons}
    others = [sum(number for pair, number in counts.items() if pair not in known) for counts in counted]
    series.append(Series("Other, such as an unavailable store", others, OTHER))
    total = sum_checks(points)
    checks, paywall = sum(total.values()), sum(number for (show, _), number in total.items() if show != "full")
    share = f"; {percent(paywall / checks)} showed the paywall" if checks else ""
    sentence = f"{format_number(checks)} check{'s' if checks != 1 else ''} in {len(points)} days{share}."
    columns = {
        pair: f"{'Full story' if pair[0] == 'full' else 'Paywall'}: {REASONS.get(pair[1], pair[1]).lower()}"
        for pair in sorted(total, key=lambda pair: (-total[pair], pair))
    }
    rows = [{name: counts.get(pair, 0) for pair, name in columns.items()} for counts in counted]
    title, used = "Access checks by outcome", [one for one in series if any(one.values)]
    drawing = svg.bars(axis.dates, used, title, format_number, whole=True)
    return Chart("checks", title, sentence, drawing, _legend(used), *_table(axis, columns.values(), rows))


def _conversion_chart(points: Sequence[Point]) -> Chart:
    weeks, whole = _weeks(points), conversion(points)
    shares = [conversion(days) for days in weeks.parts]
    label = "Share of readers who subscribed within 7 days of seeing the paywall, by the week they saw it"
    sentence = f"{format_number(whole.hits)} of {format_number(whole.cases)} signed-in readers who saw the paywall "
    sentence += "subscribed within 7 days"
    if whole.share is not None and whole.low is not None and whole.high is not None:
        interval = f"{percent(whole.low)} to {percent(whole.high)}"
        sentence += f": {percent(whole.share)} (95% confidence interval: {interval})"
    rows = [
        {
            "paywalls shown": sum(point.upsells for point in days),
            "readers": share.cases,
            "subscribed": share.hits,
            "rate": _rounded(share.share),
            "low": _rounded(share.low),
            "high": _rounded(share.high),
        }
        for days, share in zip(weeks.parts, shares, strict=True)
    ]
    series = [Series("rate", [share.share for share in shares], CONVERSION)]
    drawing = svg.bars(weeks.dates, series, label, percent, labeled=len(shares) <= MOST_LABELED)
    title = "Paywall conversion rate (7 days)"
    columns, table = _table(weeks, rows[0] if rows else (), rows)
    return Chart("upsell", title, f"{sentence}.", drawing, (), columns, table, ("rate", "low", "high"))


def _access_chart(axis: _Axis, catalogue: Catalogue) -> Chart:
    counted = [
        next((point.entitlements for point in reversed(days) if point.entitlements), None) for days in axis.parts
    ]
    series = [
        Series(
            plan_name(plan, catalogue),
            [None if counts is None else counts.get(plan, 0) for counts in counted],
            plan_color(plan, catalogue),
        )
        for plan in order_plans({plan for counts in counted for plan in counts or ()}, catalogue)
    ]
    last = next((counts for counts in reversed(counted) if counts), None)
    active = format_number(sum(last.values())) if last is not None else None
    sentence = f"{active} active at the last hourly count." if active else "Not counted yet. The worker counts hourly."
    title = "Active access by plan"
    drawing = svg.lines(axis.dates, series, title, format_number, whole=True)
    return _series_chart("entitlements", title, sentence, drawing, axis, series)


def order_plans(plans: set[str], catalogue: Catalogue) -> list[str]:
    """Return plans in the order of `paywall.toml`, then single features (""), then former plans."""
    return [name for name in (*catalogue.plans, "") if name in plans] + sorted(plans - {*catalogue.plans, ""})


def plan_name(plan: str, catalogue: Catalogue) -> str:
    """Return a plan's name; "" stands for single features."""
    return catalogue.plans[plan].name if plan in catalogue.plans else plan or "Single features"


def _webhooks_chart(points: Sequence[Point], axis: _Axis) -> Chart:
    totals = sum((Counter(point.webhooks) for point in points), Counter[str]())
    series = [
        Series(
            label(STATES, status),
            [sum(point.webhooks.get(status, 0) for point in days) for days in axis.parts],
            delivery_color(status),
        )
        for status in sorted(totals, key=lambda status: (-totals[status], status))
    ]
    sentence = f"{format_number(totals.total())} deliveries from Stripe in {len(points)} days."
    title = "Webhook deliveries by status"
    drawing = svg.bars(axis.dates, series, title, format_number, whole=True)
    return _series_chart("webhooks", title, sentence, drawing, axis, series)


def _delay_chart(points: Sequence[Point], axis: _Axis) -> Chart:
    series = [
        Series("mean", [point.delay.mean for (point,) in axis.parts], "accent"),
        Series("p95", [point.delay.most_within for (point,) in axis.parts], "warn"),
    ]
    events = sum(point.delay.events for point in points)
    spent = sum((point.delay.mean or 0) * point.delay.events for point in points)
    sentence = f"Mean time from event to receipt: {_seconds(spent / events)}." if events else "No events received."
    drawing = svg.lines(axis.dates, series, "Webhook delay, in seconds", _seconds)
    return _series_chart("delay", "Webhook delay", sentence, drawing, axis, series)


def comparison_chart(points: Sequence[Point]) -> Chart:
    """Return the chart of compare mode for these days."""
    axis = _axis(points)

    def differing(ours: str) -> list[float | None]:
        return [
            sum(number for (show, *_), number in point.differences.items() if show == ours) for (point,) in axis.parts
        ]

    series = [
        Series("Same as the other paywall", [sum(point.agreed.values()) for (point,) in axis.parts], "good"),
        Series("Full story only here", differing("full"), "warn"),
        Series("Paywall only here", differing("upsell"), "bad"),
    ]
    title = "Compared answers by day"
    drawing = svg.bars(axis.dates, series, title, format_number, whole=True)
    sentence = "Each answer beside what the other paywall showed."
    return _series_chart("comparisons", title, sentence, drawing, axis, series)


def _legend(series: Sequence[Series]) -> list[tuple[Markup, str]]:
    return [(svg.legend_key(one.color), one.name) for one in series]


def _series_chart(
    name: str, title: str, sentence: str, drawing: Markup, axis: _Axis, series: Sequence[Series]
) -> Chart:
    """Return a chart whose table has a column for each series."""
    rows = [{one.name: one.values[at] for one in series} for at in range(len(axis.parts))]
    return Chart(name, title, sentence, drawing, _legend(series), *_table(axis, [one.name for one in series], rows))


def _table(
    axis: _Axis, columns: Iterable[str], rows: Sequence[Mapping[str, Any]]
) -> tuple[list[str], list[dict[str, Any]]]:
    dated = [{axis.unit: day.isoformat(), **row} for day, row in zip(axis.dates, rows, strict=True)]
    return [axis.unit, *columns], dated


def percent(share: float) -> str:
    """Return a share of one as a percentage."""
    return f"{100 * share:.1f}%"


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _seconds(value: float) -> str:
    if value >= 120:
        return f"{value / 60:.0f} min"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
