"""Test that the reference says what the code does: generated pages are fresh, and code tables are complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from service.domain.decision import OPEN_REASONS
from service.domain.sources import LIVE, STANDING, Reason, SourceType, Standing
from service.entrypoints.responses.labels import ACTIONS
from service.entrypoints.responses.readers import GRANT_STATUSES
from service.entrypoints.responses.stripe_objects import STATES
from tests.docs import reference_pages

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
REASONS = (FOLDER / "reasons.md").read_text()


def section(title: str) -> dict[str, str]:
    """Return the first and second cell of each row of a section of the page; a first cell can hold several codes."""
    text = REASONS.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", text, re.MULTILINE)[1:]
    return {code: second for first, second in rows for code in re.findall(r"`([\w.]+)`", first)}


@pytest.mark.parametrize("name", sorted(reference_pages.pages()))
def test_generated_page_is_fresh(name: str) -> None:
    assert (FOLDER / name).read_text() == reference_pages.pages()[name], "run `make reference`"


def test_every_reason_is_explained_with_what_it_shows() -> None:
    found = section("Reasons of a decision")
    assert set(found) == {reason.value for reason in Reason}
    for reason in set(Reason) - {Reason.STORE_UNAVAILABLE}:
        assert (found[reason] == "full") == (reason in OPEN_REASONS), reason


def test_every_code_of_sources_events_and_audit_is_explained() -> None:
    assert set(section("Types of sources")) == set(get_args(SourceType))
    assert set(section("Standing of a source")) == {standing.value for standing in Standing}
    assert set(section("States of a Stripe event")) == set(STATES)
    assert set(section("Actions in the audit log")) == set(ACTIONS)
    assert all(f"`{status}`" in REASONS for status in GRANT_STATUSES)


def test_every_stripe_status_has_its_standing() -> None:
    found = section("What a status of a Stripe subscription means")
    assert set(found) == set(STANDING)
    assert {status for status, words in found.items() if words.startswith(("good", "grace"))} == {
        status for status, (standing, _) in STANDING.items() if standing in LIVE
    }
