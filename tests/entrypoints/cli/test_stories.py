"""Test `paywall stories show`, and `paywall explain` for stories that the site asked about or not."""

from __future__ import annotations

import json

import pytest

from tests.running_service import WITH_STORY_URLS, Serve
from tests.store_servers import wait_until


@pytest.mark.full
def test_story_commands_use_what_the_site_said_and_guess_nothing(serve: Serve) -> None:
    service = serve(WITH_STORY_URLS)
    service.ask({"id": "s-1", "section": "public-safety", "parts": ["facts"]})
    by_api = service.get("/v1/stories/s-1").json()
    assert (by_api["tier"], by_api["tier_from"], by_api["rule"]) == ("free", "rule", 1)
    wait_until(lambda: service.command("stories", "show", "s-1").returncode == 0)
    shown = json.loads(service.checked("stories", "show", "https://www.example.news/story/s-1?x=1", "--json").stdout)
    assert shown == by_api
    text = service.checked("stories", "show", "s-1").stdout
    assert "s-1 (free): The site described it at" in text
    assert "section public-safety; parts facts. Rule 1 of the configuration sets its tier." in text

    explain = ("explain", "--reader", "r-1", "--story")
    text = service.checked(*explain, "https://www.example.news/story/s-1").stdout
    assert "r-1, s-1 (free)" in text
    assert f"Story: The site described it at {by_api['asked_at']}" in text
    assert "s-1 (supporters)" in service.checked(*explain, "s-1", "--tier", "supporters").stdout

    for unknown in ("s-invented", "https://elsewhere.example/story/s-1"):
        refused = service.checked(*explain, unknown, status=1)
        assert refused.stdout == ""
        assert "Give its tier with --tier: free, metered, supporters" in refused.stderr
        service.checked("stories", "show", unknown, status=1)
    given = service.checked(*explain, "s-invented", "--tier", "free").stdout
    assert "To the reader: This story is free for everyone." in given
    locked = service.checked(*explain, "s-invented", "--tier", "members").stdout
    assert "verification_required" in locked
    assert "Would open it: verifying the address" in locked
    assert "registered" in service.checked(*explain, "s-invented", "--tier", "members", "--verified").stdout
    service.checked("explain", "--decision", "x", "--verified", status=2)
    service.checked(*explain, "s-1", "--tier", "none", status=2)
    service.checked("explain", "--decision", "x", "--tier", "free", status=2)
    service.checked(*explain, "x" * 129, status=2)
