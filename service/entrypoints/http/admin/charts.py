"""The plots of the first page: from the API's own figures, each also as a table and as a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from service.domain.catalogue import Catalogue
from service.domain.proportions import Share, wilson
from service.entrypoints.http.admin import svg
from service.entrypoints.http.admin.formatting import figure
from service.entrypoints.http.admin.svg import Interval, Series
from service.entrypoints.responses.labels import REASONS, STATES
from service.use_cases.reporting.statistics import Figures, Point


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot: drawn, with its legend, in a sentence, and as a table of `rows` by `columns`."""

    name: str
    title: str
    sentence: str
    drawn: Markup
    legend: Sequence[tuple[Markup, str]]
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    shares: Sequence[str] = ()
    """The columns that are shares of one; the page writes them as percentages, the file as numbers."""


def all_of(found: Figures, catalogue: Catalogue) -> list[Plot]:
    """Every plot, in the order of the page."""
    return [_checks(found), _upsell(found), _entitlements(found, catalogue), _webhooks(found), _delay(found)]


def _days(found: Figures) -> list[str]:
    return [point.when for point in found.days]


def _checks(found: Figures) -> Plot:
    def name(pair: tuple[str, str]) -> str:
        return f"{'Full' if pair[0] == 'full' else 'Upsell'}: {REASONS.get(pair[1], pair[1]).lower()}"

    series = _counted(found.days, lambda point: {name(pair): n for pair, n in point.checks.items()})
    total = sum(n for point in found.days for n in point.checks.values())
    upsell = sum(n for point in found.days for (show, _), n in point.checks.items() if show != "full")
    share = f"; {100 * upsell / total:.1f} % of the answers were the upsell box" if total else ""
    sentence = f"{figure(total)} checks in {len(found.days)} days{share}."
    return _bars("checks", "Checks, by answer and reason", sentence, found, series)


def _upsell(found: Figures) -> Plot:
    daily = [wilson(point.begun, point.upsell_readers) for point in found.days]
    whole = found.upsell
    label = "Readers who began a subscription within 7 days of seeing the upsell box, by the day that they saw it"
    sentence = f"{figure(whole.hits)} of {figure(whole.cases)} signed-in readers who saw the box "
    sentence += "began a subscription within 7 days"
    if whole.share is not None and whole.low is not None and whole.high is not None:
        between = f"{percent(whole.low)} and {percent(whole.high)}"
        sentence += f": {percent(whole.share)}, with 95 % confidence between {between}"
    rows = [
        {
            "day": point.when,
            "boxes shown": point.upsells,
            "readers": point.upsell_readers,
            "began": point.begun,
            "share": _rounded(share.share),
            "from": _rounded(share.low),
            "to": _rounded(share.high),
        }
        for point, share in zip(found.days, daily, strict=True)
    ]
    drawn = svg.intervals(_days(found), [_interval(share) for share in daily], label, percent, _interval(whole))
    shares, title = ("share", "from", "to"), "From the upsell box to a subscription"
    return Plot("upsell", title, f"{sentence}.", drawn, (), list(rows[0]), rows, shares)


def _entitlements(found: Figures, catalogue: Catalogue) -> Plot:
    names = {name for point in found.days for name in point.entitlements}
    order = [name for name in (*catalogue.plans, "") if name in names] + sorted(names - {*catalogue.plans, ""})
    words = {
        name: catalogue.plans[name].name if name in catalogue.plans else name or "Single features" for name in order
    }
    series = [
        Series(words[name], [point.entitlements.get(name, 0) if point.entitlements else None for point in found.days])
        for name in order
    ]
    last = next((point for point in reversed(found.days) if point.entitlements), None)
    sentence = (
        f"{figure(sum(last.entitlements.values()))} entitlements hold, as last counted."
        if last is not None
        else "Not counted yet: the worker counts once an hour."
    )
    title = "Active entitlements, by plan"
    drawn = svg.lines(_days(found), series, title, figure)
    return Plot("entitlements", title, sentence, drawn, _legend(series), *_table(found, series))


def _webhooks(found: Figures) -> Plot:
    series = _counted(
        found.days,
        lambda point: {STATES.get(name, name.replace("_", " ").capitalize()): n for name, n in point.webhooks.items()},
    )
    total = sum(n for point in found.days for n in point.webhooks.values())
    sentence = f"Stripe delivered {figure(total)} times in {len(found.days)} days."
    return _bars("webhooks", "Webhooks, by what became of them", sentence, found, series)


def _delay(found: Figures) -> Plot:
    series = [
        Series("mean", [point.delay.mean for point in found.days]),
        Series("95 % within", [point.delay.most_within for point in found.days]),
    ]
    events = sum(point.delay.events for point in found.days)
    spent = sum((point.delay.mean or 0) * point.delay.events for point in found.days)
    sentence = (
        f"Events came {_seconds(spent / events)} after Stripe had made them, on average."
        if events
        else "No event came."
    )
    title = "Webhooks’ delay"
    drawn = svg.lines(_days(found), series, f"{title}, in seconds", _seconds)
    return Plot("delay", title, sentence, drawn, _legend(series), *_table(found, series))


def _bars(name: str, title: str, sentence: str, found: Figures, series: Sequence[Series]) -> Plot:
    shown = _stacked(series)
    drawn = svg.bars(_days(found), shown, title, figure)
    return Plot(name, title, sentence, drawn, _legend(shown), *_table(found, series))


def _counted(days: Sequence[Point], of: Callable[[Point], Mapping[str, int]]) -> list[Series]:
    """A series for each name that was counted, the largest first."""
    counted = [of(point) for point in days]
    totals: dict[str, int] = {}
    for counts in counted:
        for name, number in counts.items():
            totals[name] = totals.get(name, 0) + number
    names = sorted(totals, key=lambda name: (-totals[name], name))
    return [Series(name, [counts.get(name, 0) for counts in counted]) for name in names]


def _stacked(series: Sequence[Series]) -> Sequence[Series]:
    """As many as there are colours: the smallest added up as one, which the table and the file tell apart."""
    if len(series) <= svg.COLOURS:
        return series
    kept, rest = series[: svg.COLOURS - 1], series[svg.COLOURS - 1 :]
    return [
        *kept,
        Series("Others", [sum(value or 0 for value in day) for day in zip(*(one.values for one in rest), strict=True)]),
    ]


def _legend(series: Sequence[Series]) -> list[tuple[Markup, str]]:
    return [(svg.key(number), one.name) for number, one in enumerate(series)]


def _table(found: Figures, series: Sequence[Series]) -> tuple[list[str], list[dict[str, Any]]]:
    rows = [{"day": point.when, **{one.name: one.values[at] for one in series}} for at, point in enumerate(found.days)]
    return ["day", *(one.name for one in series)], rows


def _interval(share: Share) -> Interval | None:
    if share.share is None or share.low is None or share.high is None:
        return None
    return Interval(share.low, share.share, share.high)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _seconds(value: float) -> str:
    if value >= 120:
        return f"{value / 60:.0f} min"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
