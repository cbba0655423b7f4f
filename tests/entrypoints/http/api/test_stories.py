"""Test `GET /v1/stories/{story}`: what the site last said of a story, and its tier now."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.in_process_app import InProcessApp

DAY = 86_400


def show(app: InProcessApp, story: str, status: int = 200) -> dict[str, Any]:
    answer = app.call("GET", f"/v1/stories/{quote(story, safe='')}", admin=True)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def test_story_is_shown_as_the_site_described_it(service_app: InProcessApp) -> None:
    service_app.clock.at("2026-11-25T10:00:00Z")
    service_app.ask(
        {"id": "s-1", "section": "city", "tags": ["port"], "published_at": "2026-11-20T10:00:00+01:00", "parts": ["a"]}
    )
    assert show(service_app, "s-1") == {
        "story": "s-1",
        "section": "city",
        "tags": ["port"],
        "published_at": "2026-11-20T09:00:00Z",
        "parts": ["a"],
        "tier": "metered",
        "tier_from": "default",
        "rule": None,
        "asked_at": "2026-11-25T10:00:00Z",
    }


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"tier": "free", "section": "public-safety"}, ("free", "request", None)),
        ({"section": "public-safety"}, ("free", "rule", 1)),
        ({"tags": ["history"], "published_at": "2026-11-24T10:00:00Z"}, ("events", "rule", 2)),
        ({"published_at": "2026-10-01T10:00:00Z"}, ("supporters", "rule", 3)),
        ({}, ("metered", "default", None)),
    ],
)
def test_tier_says_where_it_comes_from(
    valkey_app: InProcessApp, said: dict[str, Any], expected: tuple[str, str, int | None]
) -> None:
    valkey_app.clock.at("2026-11-25T10:00:00Z")
    valkey_app.ask({"id": "s-1", **said})
    found = show(valkey_app, "s-1")
    assert (found["tier"], found["tier_from"], found["rule"]) == expected


def test_tier_of_a_rule_is_that_of_now(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at("2026-11-25T10:00:00Z")
    valkey_app.ask({"id": "s-1", "published_at": "2026-11-20T10:00:00Z"})
    assert show(valkey_app, "s-1")["tier"] == "metered"
    valkey_app.clock.now += 25 * DAY
    found = show(valkey_app, "s-1")
    assert (found["tier"], found["rule"], found["asked_at"]) == ("supporters", 3, "2026-11-25T10:00:00Z")


def test_story_that_was_not_asked_about_is_not_found(valkey_app: InProcessApp) -> None:
    assert "not asked about" in show(valkey_app, "s-1", 404)["detail"]
    valkey_app.ask("s-1")
    show(valkey_app, "s-1")
    valkey_app.clock.now += 90 * DAY
    show(valkey_app, "s-1", 404)


@pytest.mark.parametrize("story", ["a/b", "a/", "/a", "a//b", "é%2F ü", "2026?x=1#y", "x" * 128])
def test_id_with_any_character_is_found(valkey_app: InProcessApp, story: str) -> None:
    valkey_app.ask(story)
    assert show(valkey_app, story)["story"] == story


@pytest.mark.parametrize("story", [" a", "x" * 129, "a\u202e"])
def test_id_that_no_story_can_have_is_refused(valkey_app: InProcessApp, story: str) -> None:
    assert show(valkey_app, story, 422)["errors"][0]["field"] == "story"
