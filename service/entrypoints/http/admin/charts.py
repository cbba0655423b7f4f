"""The charts of the overview, drawn from the figures of the API; each also as a table and as a CSV file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from service.domain.catalogue import Catalogue
from service.domain.proportions import Share, wilson
from service.entrypoints.http.admin import svg
from service.entrypoints.http.admin.formatting import format_number
from service.entrypoints.http.admin.svg import Interval, Series
from service.entrypoints.responses.labels import REASONS, STATES
from service.use_cases.reporting.statistics import Figures, Point


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


def all_charts(found: Figures, catalogue: Catalogue) -> list[Chart]:
    """Return every chart, in the order of the page."""
    return [
        _checks_chart(found),
        _conversion_chart(found),
        _access_chart(found, catalogue),
        _webhooks_chart(found),
        _delay_chart(found),
    ]


def _days(found: Figures) -> list[str]:
    return [point.when for point in found.days]


def _checks_chart(found: Figures) -> Chart:
    def outcome(pair: tuple[str, str]) -> str:
        return f"{'Full story' if pair[0] == 'full' else 'Paywall'}: {REASONS.get(pair[1], pair[1]).lower()}"

    series = _counted_series(found.days, lambda point: {outcome(pair): n for pair, n in point.checks.items()})
    total = sum(n for point in found.days for n in point.checks.values())
    paywall = sum(n for point in found.days for (show, _), n in point.checks.items() if show != "full")
    share = f"; {percent(paywall / total)} showed the paywall" if total else ""
    sentence = f"{format_number(total)} checks in {len(found.days)} days{share}."
    return _bar_chart("checks", "Access checks by outcome", sentence, found, series)


def _conversion_chart(found: Figures) -> Chart:
    daily = [wilson(point.begun, point.upsell_readers) for point in found.days]
    whole = found.upsell
    label = "Share of readers who subscribed within 7 days of seeing the paywall, by the day they saw it"
    sentence = f"{format_number(whole.hits)} of {format_number(whole.cases)} signed-in readers who saw the paywall "
    sentence += "subscribed within 7 days"
    if whole.share is not None and whole.low is not None and whole.high is not None:
        interval = f"{percent(whole.low)} to {percent(whole.high)}"
        sentence += f": {percent(whole.share)} (95% confidence interval: {interval})"
    rows = [
        {
            "day": point.when,
            "paywalls shown": point.upsells,
            "readers": point.upsell_readers,
            "subscribed": point.begun,
            "rate": _rounded(share.share),
            "low": _rounded(share.low),
            "high": _rounded(share.high),
        }
        for point, share in zip(found.days, daily, strict=True)
    ]
    drawing = svg.intervals(_days(found), [_interval(share) for share in daily], label, percent, _interval(whole))
    title, shares = "Paywall conversion rate (7 days)", ("rate", "low", "high")
    return Chart("upsell", title, f"{sentence}.", drawing, (), list(rows[0]), rows, shares)


def _access_chart(found: Figures, catalogue: Catalogue) -> Chart:
    ids = {name for point in found.days for name in point.entitlements}
    order = [name for name in (*catalogue.plans, "") if name in ids] + sorted(ids - {*catalogue.plans, ""})

    def plan_name(plan: str) -> str:
        return catalogue.plans[plan].name if plan in catalogue.plans else plan or "Single features"

    series = [
        Series(
            plan_name(plan), [point.entitlements.get(plan, 0) if point.entitlements else None for point in found.days]
        )
        for plan in order
    ]
    last = next((point for point in reversed(found.days) if point.entitlements), None)
    active = format_number(sum(last.entitlements.values())) if last is not None else None
    sentence = f"{active} active at the last hourly count." if active else "Not counted yet. The worker counts hourly."
    return _line_chart("entitlements", "Active access by plan", sentence, found, series)


def _webhooks_chart(found: Figures) -> Chart:
    def label(status: str) -> str:
        return STATES.get(status, status.replace("_", " ").capitalize())

    series = _counted_series(found.days, lambda point: {label(status): n for status, n in point.webhooks.items()})
    total = sum(n for point in found.days for n in point.webhooks.values())
    sentence = f"{format_number(total)} deliveries from Stripe in {len(found.days)} days."
    return _bar_chart("webhooks", "Webhook deliveries by status", sentence, found, series)


def _delay_chart(found: Figures) -> Chart:
    series = [
        Series("mean", [point.delay.mean for point in found.days]),
        Series("p95", [point.delay.most_within for point in found.days]),
    ]
    events = sum(point.delay.events for point in found.days)
    spent = sum((point.delay.mean or 0) * point.delay.events for point in found.days)
    sentence = f"Mean time from event to receipt: {_seconds(spent / events)}." if events else "No events received."
    return _line_chart("delay", "Webhook delay", sentence, found, series, unit="seconds", write=_seconds)


def _bar_chart(name: str, title: str, sentence: str, found: Figures, series: Sequence[Series]) -> Chart:
    shown = _stacked(series)
    drawing = svg.bars(_days(found), shown, title, format_number)
    return Chart(name, title, sentence, drawing, _legend(shown), *_table(found, series))


def _line_chart(
    name: str,
    title: str,
    sentence: str,
    found: Figures,
    series: Sequence[Series],
    *,
    unit: str = "",
    write: svg.Write = format_number,
) -> Chart:
    drawing = svg.lines(_days(found), series, f"{title}, in {unit}" if unit else title, write)
    return Chart(name, title, sentence, drawing, _legend(series), *_table(found, series))


def _counted_series(days: Sequence[Point], counts_of: Callable[[Point], Mapping[str, int]]) -> list[Series]:
    """Return a series for each name that was counted, the largest first."""
    counted = [counts_of(point) for point in days]
    totals: dict[str, int] = {}
    for counts in counted:
        for name, number in counts.items():
            totals[name] = totals.get(name, 0) + number
    names = sorted(totals, key=lambda name: (-totals[name], name))
    return [Series(name, [counts.get(name, 0) for counts in counted]) for name in names]


def _stacked(series: Sequence[Series]) -> Sequence[Series]:
    """Return as many series as there are colors, the smallest added up; the table and the file keep them apart."""
    if len(series) <= svg.COLORS:
        return series
    kept, rest = series[: svg.COLORS - 1], series[svg.COLORS - 1 :]
    others = [sum(value or 0 for value in day) for day in zip(*(one.values for one in rest), strict=True)]
    return [*kept, Series("Others", others)]


def _legend(series: Sequence[Series]) -> list[tuple[Markup, str]]:
    return [(svg.legend_key(number), one.name) for number, one in enumerate(series)]


def _table(found: Figures, series: Sequence[Series]) -> tuple[list[str], list[dict[str, Any]]]:
    rows = [{"day": point.when, **{one.name: one.values[at] for one in series}} for at, point in enumerate(found.days)]
    return ["day", *(one.name for one in series)], rows


def _interval(share: Share) -> Interval | None:
    if share.share is None or share.low is None or share.high is None:
        return None
    return Interval(share.low, share.share, share.high)


def percent(share: float) -> str:
    """Return a share of one as a percentage."""
    return f"{100 * share:.1f}%"


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _seconds(value: float) -> str:
    if value >= 120:
        return f"{value / 60:.0f} min"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
