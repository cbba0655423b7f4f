"""Test the line on top of a reader's page, and what the page shows beside IDs."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from service.entrypoints.http.admin.reader_summary import summarize
from tests.entrypoints.http.admin.conftest import MakeStaff, owner_of, plain
from tests.in_process_app import InProcessApp, MakeApp
from tests.policies import parse_catalogue
from tests.running_service import POLICY, WITH_GROUPS

METERED = """
[plans.metered]
name = "Metered"
meters = { stories = 20 }
prices = ["price_metered"]
[plans.crew]
name = "Crew"
meters = { stories = 20 }
prices = ["price_crew"]
seats = true
"""
CATALOGUE = parse_catalogue(WITH_GROUPS + METERED)


def source(kind: str, plan: str | None, status: str = "active", standing: str = "good", **more: Any) -> dict[str, Any]:
    usual = {"features": ["notebook"], "from": None, "until": None, "ending": False}
    return {"type": kind, "plan": plan, "status": status, "standing": standing, **usual, **more}


def summary(*sources: dict[str, Any]) -> str:
    line = summarize({"sources": list(sources)}, CATALOGUE)
    return html.unescape(re.sub(r"<[^>]*>", "", line))


LATE = {"until": "2026-12-10T00:00:00Z"}


@pytest.mark.parametrize(
    ("sources", "line"),
    [
        (
            [
                source("grant", "vip", until="2026-12-27T00:00:00Z"),
                source("subscription", "supporter", "past_due", "grace", **LATE),
            ],
            "Supporter · past due since 26 Nov 2026, in grace until 10 Dec 2026 · VIP until 27 Dec 2026",
        ),
        (
            [source("subscription", "supporter", "past_due", "grace", ending=True, **LATE)],
            "Supporter · past due, in grace until 10 Dec 2026",
        ),
        ([source("subscription", "supporter", **LATE)], "Supporter · renews by itself"),
        ([source("subscription", "supporter", ending=True, **LATE)], "Supporter until 10 Dec 2026"),
        ([source("subscription", "supporter", "trialing", **LATE)], "Supporter on trial until 10 Dec 2026"),
        ([source("grant", "vip")], "VIP without end"),
        ([source("grant", "vip", "scheduled", "none", **{"from": "2027-01-01T00:00:00Z"})], "VIP from 1 Jan 2027"),
        ([source("subscription", "newsroom", features=[])], "No plan, pass or grant"),
        ([source("subscription", "metered", features=[], **LATE)], "Metered · renews by itself"),
        ([source("subscription", "crew", features=[], **LATE)], "No plan, pass or grant"),
        ([source("seat", "crew", features=[], **LATE)], "Crew until 10 Dec 2026"),
        (
            [source("subscription", "supporter", "canceled", "ended", **LATE)],
            "Nothing now · Supporter ended 10 Dec 2026",
        ),
        ([source("grant", "vip"), source("grant", "vip")], "VIP without end"),
        ([source("grant", "vip", **LATE), source("grant", "vip")], "VIP without end"),
        (
            [
                source("grant", "vip", **LATE),
                source("grant", "vip", "scheduled", "none", **{"from": "2027-01-01T00:00:00Z"}),
            ],
            "VIP until 10 Dec 2026 · VIP from 1 Jan 2027",
        ),
        ([source("grant", "vip", "revoked", "ended")], "Nothing now · VIP revoked"),
        ([source("grant", "vip", "revoked", "ended", **LATE)], "Nothing now · VIP revoked"),
        ([source("pass", "day_pass", "refunded", "ended", **LATE)], "Nothing now · Day pass refunded"),
        ([], "No plan, pass or grant"),
    ],
)
def test_summary_names_each_plan_and_its_end(sources: list[dict[str, Any]], line: str) -> None:
    assert summary(*sources) == line


def test_plan_name_in_the_summary_is_escaped() -> None:
    assert "<b>" not in summarize({"sources": [source("grant", "<b>")]}, CATALOGUE)


def test_ids_can_be_copied_and_opened_at_stripe(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    ann.post("/reader/link", id="r-1", object="cus_77")
    page = ann.get("/reader?id=r-1")
    assert 'href="https://dashboard.stripe.com/test/customers/cus_77"' in page.text
    assert 'data-copy="r-1"' in page.text
    assert 'data-copy="cus_77"' in page.text
    assert "Test mode" in plain(page)


def test_metered_plan_without_features_is_not_shown_as_no_access(make_app: MakeApp, valkey_url: str) -> None:
    ann = owner_of(make_app(valkey_url, POLICY + METERED))
    ann.post("/reader/grant", id="r-1", what="plan:metered", ends="never", reason="press card", sure="yes")
    page = plain(ann.get("/reader?id=r-1"))
    assert "More free stories" in page
    assert "No access" not in page
    assert "no features" not in page


def test_live_mode_has_no_badge_and_links_to_live_objects(make_app: MakeApp, valkey_url: str) -> None:
    ann = owner_of(make_app(valkey_url, POLICY + "\n[stripe]\nlivemode = true\n"))
    ann.post("/reader/link", id="r-1", object="cus_77")
    page = ann.get("/reader?id=r-1")
    assert 'href="https://dashboard.stripe.com/customers/cus_77"' in page.text
    assert "Test mode" not in plain(page)
