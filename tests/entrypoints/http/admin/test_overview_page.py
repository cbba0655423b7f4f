"""The overview and the System page: tiles with their changes, periods, charts, and the steps of the set-up."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from service.adapters.redis.reporting.usage_counts import UsageBatch, UsageBucket
from service.entrypoints.http.admin import charts, svg
from service.entrypoints.http.admin.colors import OTHER, OUTCOMES
from service.use_cases.reporting.statistics import Delay, Point
from tests.entrypoints.http.admin.conftest import ADMINS, POLICY_WITH_APPROVALS, MakeStaff, owner_of, plain
from tests.in_process_app import InProcessApp, MakeApp
from tests.running_service import in_days


def count(app: InProcessApp, days_ago: int, number: int, **fields: int) -> None:
    """Store counts of a day; `due` and `vip` are gauges."""
    store, zone = app.service.usage_counters.store, app.service.settings.catalogue.zone
    at = app.clock() - days_ago * 86_400
    bucket = UsageBucket(datetime.fromtimestamp(at, zone).date(), int(at) // 3_600)
    for gauge in {"due", "g"} & fields.keys():
        store.write_gauge(gauge, {"vip" if gauge == "g" else "": fields.pop(gauge)}, bucket, app.clock())
    assert store.add_batch("test", UsageBatch(number, {bucket: fields}), bucket.day, app.clock())


def tile(page: str, label: str) -> str:
    """Return the text of a tile."""
    found = re.search(
        rf'<li class="card"><span class="what">(?:<svg.*?</svg>)?(?:<a [^>]*>)?<bdi>{label}.*?</li>', page, re.S
    )
    assert found, label
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", found[0]))


def test_tiles_show_the_change_against_the_period_before(staff: MakeStaff, admin_app: InProcessApp) -> None:
    admin_app.clock.now -= admin_app.clock.now % 86_400 - 43_200  # Noon: 13 times 24 hours earlier is 13 dates earlier.
    count(admin_app, 13, 1, due=2, g=4, started=3, canceled=1, shown_readers=100, begun=10)
    count(admin_app, 0, 2, due=1, g=6, started=1, canceled=1, shown_readers=100, begun=20)
    today = datetime.fromtimestamp(admin_app.clock(), admin_app.service.settings.catalogue.zone).date()
    page = staff().get(f"/?from={today - timedelta(days=6)}&to={today}").text
    assert "6 active +2 vs 7 days before" in tile(page, "VIP")
    assert "1 subscriptions started \u22122 vs 7 days before" in tile(page, "New")
    assert "1 subscriptions ended no change vs" in tile(page, "Canceled")
    assert "1 payments failed, in grace \u22121 vs" in tile(page, "Past due")
    assert "20.0% 95% interval 13.3% to 28.9% +10.0 points vs" in tile(page, "Paywall conversion")
    assert 'class="change-of good">\u22121' in page, "fewer failed payments are good"
    assert 'href="/admin/readers/table?plan=vip&amp;access=true"' in page


def test_tiles_without_earlier_figures_show_no_change(staff: MakeStaff, admin_app: InProcessApp) -> None:
    count(admin_app, 0, 1, due=1, g=6, started=1)
    assert "1 subscriptions started no earlier figure" in tile(staff().get("/").text, "New")


@pytest.mark.parametrize(
    "query", ["from=x", "to=2026-13-01", "from=2030-02-02&to=2030-01-01", "from=1990-01-01", "to=0001-01-01"]
)
def test_impossible_period_is_refused(staff: MakeStaff, query: str) -> None:
    ann = staff()
    assert ann.get(f"/?{query}").status_code == 422
    assert ann.get(f"/plots/checks.csv?{query}").status_code == 422


def test_period_is_kept_in_the_file_of_a_chart(staff: MakeStaff, admin_app: InProcessApp) -> None:
    today = datetime.fromtimestamp(admin_app.clock(), admin_app.service.settings.catalogue.zone).date()
    query = f"from={today - timedelta(days=2)}&to={today}"
    ann = staff()
    assert f'href="/admin/plots/checks.csv?{query.replace("&", "&amp;")}"' in ann.get(f"/?{query}").text
    assert len(ann.get(f"/plots/checks.csv?{query}").text.splitlines()) == 4
    assert len(ann.get("/system/webhooks.csv").text.splitlines()) == 31
    assert ann.get("/plots/webhooks.csv").status_code == 404


def test_new_set_up_shows_what_is_left_to_do(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    page = ann.get("/")
    assert "Set-up: 1 of 5 steps done" in plain(page)
    assert "Connect Stripe" in plain(page)
    assert "https://dashboard.stripe.com/test/apikeys" in page.text
    admin_app.ask("a-story", reader="r-1")
    admin_app.service.usage_counters.flush()
    assert "Set-up: 2 of 5 steps done" in plain(ann.get("/"))
    assert "Set-up: 2 of 5 steps done" in plain(ann.get(f"/?from={in_days(-9)[:10]}&to={in_days(-8)[:10]}"))


def test_each_open_step_of_the_set_up_has_a_link(make_app: MakeApp, valkey_url: str) -> None:
    app = make_app(valkey_url, POLICY_WITH_APPROVALS, PAYWALL_ADMIN_KEYS=ADMINS, PAYWALL_SITE_KEYS="")
    ann = owner_of(app)
    page = ann.get("/").text.partition('<ol class="steps">')[2].partition("</ol>")[0]
    assert [step.count("To do") for step in page.split("<li>")[1:]] == [1] * 5
    assert all('<a href="' in step for step in page.split("<li>")[1:])


def test_system_page_shows_worker_store_and_backlogs(staff: MakeStaff, admin_app: InProcessApp) -> None:
    page = plain(staff().get("/system"))
    for words in ("Worker no worker has been seen Not running", "STRIPE_API_KEY is not set", "Release Valkey"):
        assert words in page
    for words in ("Audit entries not in the log yet 0", "Imports in progress 0", "Pending approvals 0"):
        assert words in page
    assert "Webhook deliveries by status" in page
    assert "Webhook deliveries by status" not in plain(staff().get("/"))


@pytest.mark.parametrize(
    ("most", "top"),
    [(0, 2), (1, 2), (2, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 20), (21, 30), (149, 150), (1_400, 1_500)],
)
def test_scale_of_counts_has_a_whole_tick_in_its_middle(most: int, top: int) -> None:
    assert svg.scale_top(most, whole=True) == top
    assert (top / 2).is_integer()


def point(day: date, **fields: Any) -> Point:
    return Point(day.isoformat(), fields.get("checks", {}), 9, 3, 1, {"vip": 2}, {}, Delay(0, None, None, None))


def test_outcome_has_one_color_whatever_else_is_drawn(admin_app: InProcessApp) -> None:
    day, catalogue = date(2026, 11, 24), admin_app.service.settings.catalogue
    checks = {("full", f"reason-{number}"): number + 1 for number in range(12)}
    checks |= {("upsell", "meter_used_up"): 1, ("full", "subscription"): 1}
    chart = charts.editor_charts([point(day, checks=checks)] * 5, catalogue)[2]
    keys = {name: re.findall(r"--([\w-]+)", key)[0] for key, name in chart.legend}
    assert keys == {
        "Full story: paid": "paid",
        "Paywall: free stories used up": "used-up",
        "Other, such as an unavailable store": OTHER,
    }
    assert len({outcome.color for outcome in OUTCOMES}) == len(OUTCOMES)
    assert sum(chart.rows[0][column] for column in chart.columns[1:]) == sum(checks.values())


def test_long_period_is_drawn_by_week_and_conversion_always(admin_app: InProcessApp) -> None:
    catalogue, first = admin_app.service.settings.catalogue, date(2026, 1, 5)
    points = [point(first + timedelta(days=number)) for number in range(98)]
    conversion, access, checks = charts.editor_charts(points, catalogue)
    assert [len(chart.rows) for chart in (conversion, access, checks)] == [14, 14, 14]
    first_week = conversion.rows[0]
    assert (first_week["week of"], first_week["readers"], first_week["subscribed"]) == ("2026-01-05", 21, 7)
    assert first_week["low"] < first_week["rate"] < first_week["high"]
    assert conversion.drawing.count(">33.3%</text>") == 14
    assert len(charts.editor_charts(points[:14], catalogue)[1].rows) == 14
