"""Test that the data of the demo month is consistent: counts, events and links."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from demo import sample_month
from demo.newspaper.stories import read_stories
from tests.in_process_app import InProcessApp, MakeApp
from tests.running_service import POLICY

HOURS = ("2082-11-25T05:00:01Z", "2082-11-25T09:30:00Z", "2082-11-26T04:59:59Z")
"""The beginning, the morning and the end of one day of the newspaper's."""


@pytest.fixture
def stripe_objects() -> list[dict[str, Any]]:
    return []


@pytest.fixture(params=HOURS)
def lived(
    make_app: MakeApp, valkey_url: str, request: pytest.FixtureRequest, stripe_objects: list[dict[str, Any]]
) -> InProcessApp:
    app = make_app(valkey_url, POLICY)
    app.clock.at(request.param)
    sample_month.fill(app.service, app.clock(), stripe_objects.append)
    return app


def got(app: InProcessApp, path: str) -> Any:
    return app.call("GET", path, admin=True).get_json()


def test_figures_of_the_demo_month_are_consistent(lived: InProcessApp) -> None:
    days = got(lived, "/v1/activity?days=30")["days"]
    counted = sum(one["count"] for day in days for one in day["webhooks"])
    zone = lived.service.settings.catalogue.zone
    arrived = [
        datetime.fromisoformat(event["received_at"]).astimezone(zone).date().isoformat()
        for event in got(lived, "/v1/events?limit=100")["items"]
    ]
    assert counted == sum(day >= days[0]["when"] for day in arrived) > 15
    checks = [sum(one["count"] for one in day["checks"]) for day in days]
    assert max(checks) < 2 * sorted(checks)[len(checks) // 2], "no day is counted twice"
    assert all(checks[:-1])


def test_pass_link_of_the_demo_month_opens_an_existing_story(lived: InProcessApp) -> None:
    for one in got(lived, "/v1/passes")["items"]:
        assert one["story"] in read_stories(datetime.now(UTC))
        assert 0 < one["used"] < one["openings"]


def test_lookalike_has_each_object_before_its_event(lived: InProcessApp, stripe_objects: list[dict[str, Any]]) -> None:
    known = {each["id"] for each in stripe_objects}
    assert {event["object"] for event in got(lived, "/v1/events?limit=100")["items"]} == known


def test_demo_entitlement_counts_match_the_worker_counts(lived: InProcessApp) -> None:
    def held() -> Any:
        return got(lived, "/v1/activity?days=1")["days"][-1]["entitlements"]

    invented = held()
    lived.service.maintenance.run_all()
    assert held() == invented
