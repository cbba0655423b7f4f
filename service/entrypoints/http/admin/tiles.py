"""The tiles of the overview: a number, what it is, its change against the previous period, and the list behind it."""

from __future__ import annotations

from dataclasses import dataclass

from flask import url_for
from markupsafe import Markup

from service.domain.catalogue import Catalogue
from service.entrypoints.http.admin import svg
from service.entrypoints.http.admin.charts import order_plans, percent, plan_name
from service.entrypoints.http.admin.colors import CONVERSION, plan_color
from service.entrypoints.http.admin.formatting import format_number
from service.use_cases.reporting.statistics import Totals


@dataclass(frozen=True, slots=True)
class Tile:
    """One number. `note` says of what it is; `change` is the difference, `tone` whether it is `good` or `bad`."""

    label: str
    value: str
    note: str
    change: str | None
    tone: str
    url: str | None = None
    swatch: Markup | None = None


def number_tiles(found: Totals, before: Totals, catalogue: Catalogue) -> list[Tile]:
    """Return the tiles of a period, with the change against the one before it."""
    active, former = found.active or {}, before.active
    tiles = [
        Tile(
            plan_name(plan, catalogue),
            format_number(active[plan]),
            "active",
            *_change(active[plan], None if former is None else former.get(plan, 0), better=1),
            url_for("reader_table", plan=plan, access="true") if plan in catalogue.plans else None,
            svg.legend_key(plan_color(plan, catalogue)),
        )
        for plan in order_plans(set(active), catalogue)
    ]
    ended, grace = (url_for("reader_table", standing=standing) for standing in ("ended", "grace"))
    tiles += [
        _count_tile("New", "subscriptions started", found.started, before.started, better=1),
        _count_tile("Canceled", "subscriptions ended", found.canceled, before.canceled, better=-1, url=ended),
        _count_tile("Past due", "payments failed, in grace", found.past_due, before.past_due, better=-1, url=grace),
    ]
    return [*tiles, _conversion_tile(found, before)]


def _count_tile(
    label: str, note: str, value: int | None, former: int | None, *, better: int, url: str | None = None
) -> Tile:
    return Tile(label, format_number(value), note, *_change(value, former, better=better), url)


def _conversion_tile(found: Totals, before: Totals) -> Tile:
    share, former = found.conversion, before.conversion.share
    label, swatch = "Paywall conversion", svg.legend_key(CONVERSION)
    if share.share is None or share.low is None or share.high is None:
        return Tile(label, "–", "no signed-in reader saw the paywall", None, "", swatch=swatch)
    note = f"95% interval {percent(share.low)} to {percent(share.high)}"
    if former is None:
        return Tile(label, percent(share.share), note, None, "", swatch=swatch)
    points = round(100 * (share.share - former), 1)
    change = f"{points:+.1f} points".replace("-", "\u2212") if points else "no change"
    return Tile(label, percent(share.share), note, change, _tone(points, 1), swatch=swatch)


def _change(value: int | None, former: int | None, *, better: int) -> tuple[str | None, str]:
    """Return the difference in words and its tone; `better` is 1 where more is better, and -1 where less is."""
    if value is None or former is None:
        return None, ""
    difference = value - former
    sign = "+" if difference > 0 else "\u2212"
    text = f"{sign}{format_number(abs(difference))}" if difference else "no change"
    return text, _tone(difference, better)


def _tone(difference: float, better: int) -> str:
    return "" if not difference else "good" if difference * better > 0 else "bad"
