"""The first page: what needs a hand, each with a link to mend it, and how the last 30 days went."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, abort, url_for

from service.entrypoints.http import csv_output as csv_out
from service.entrypoints.http.admin import charts as plots
from service.entrypoints.http.admin.frame import Frame, needs, show
from service.entrypoints.http.admin.reader import link
from service.entrypoints.responses.labels import HANDS
from service.use_cases.reporting.alerts import Example, Item
from service.use_cases.reporting.statistics import USUAL_DAYS, Figures, figures

WEBHOOKS = ("https://dashboard.stripe.com/test/webhooks", "https://dashboard.stripe.com/webhooks")
"""Where Stripe tells of its deliveries, for tests and for good."""


def register(page: Flask, frame: Frame) -> None:
    """Adds it."""
    service = frame.service
    page.template_filter("share")(lambda share: "–" if share is None else plots.percent(share))
    catalogue = service.desk.catalogue

    @page.get("/")
    @needs("viewer")
    def overview() -> Response:
        now = frame.now
        items = [item for item in service.attention.items(now) if item.count]
        waiting = len(service.approving.approvals.waiting(now))
        return show(
            "overview.html",
            hands=[_hand(item, catalogue.livemode) for item in items],
            waiting=waiting,
            well=not waiting and not any(item.hand for item in items),
            plots=plots.all_of(_figures(), catalogue),
        )

    @page.get("/plots/<name>.csv")
    @needs("viewer")
    def plot_csv(name: str) -> Response:
        plot = next((plot for plot in plots.all_of(_figures(), catalogue) if plot.name == name), None)
        if plot is None:
            abort(404)
        return csv_out.answer(plot.columns, plot.rows, plot.name, None)

    def _figures() -> Figures:
        return figures(service.activity.store, catalogue.zone, USUAL_DAYS, frame.now)


def _hand(item: Item, livemode: bool) -> dict[str, Any]:
    """What needs a hand, as the page tells it: its cases lead where they are mended."""
    return {
        "item": item,
        "words": HANDS.get(item.kind, (item.title, item.title))[item.count != 1],
        "at_stripe": WEBHOOKS[livemode] if item.kind in ("event_gap", "drift") else None,
        "command": item.where if item.where.startswith("paywall ") else None,
        "url": url_for("events", state="dead") if item.kind == "dead_letters" else None,
        "cases": [
            {
                "id": one.id,
                "url": _mends(item, one),
                "reader": one.reader,
                "at": one.at,
                "text": one.text,
            }
            for one in item.examples
        ],
    }


def _mends(item: Item, one: Example) -> str | None:
    if one.reader is not None:
        return link(one.reader)
    if item.kind == "dead_letters":
        return url_for("event", id=one.id)
    if item.kind == "unknown_prices":  # who bought it, so that she can be let in until a plan has the price
        return url_for("readers", q=one.text.rpartition(":")[2])
    return url_for("readers", q=one.id) if item.kind == "ownerless" else None
