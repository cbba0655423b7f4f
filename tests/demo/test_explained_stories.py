"""Test that the staff page explains what the newspaper shows: every reader of the demo, every story."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask

from demo.newspaper.app import create_newspaper
from demo.newspaper.client import Paywall
from demo.newspaper.visit import READERS, Newspaper
from tests.entrypoints.http.admin.conftest import Staff, owner_of, plain
from tests.in_process_app import InProcessApp, MakeApp

POLICY = (Path(__file__).parents[2] / "config" / "paywall.toml").read_text("utf-8")
NOTEBOOK, BOX = 'class="notebook', "Unlock unlimited access"
NOT_A_READ = {"Sec-Purpose": "prefetch"}


class PaywallInProcess(Paywall):
    """The newspaper's client of the service, in this process."""

    def __init__(self, app: InProcessApp) -> None:
        super().__init__("http://service", "")
        self._app = app

    def _post(self, path: str, body: Mapping[str, Any], seconds: tuple[float, float]) -> dict[str, Any]:
        answer = self._app.call("POST", path, body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.get_json()
        return found


@pytest.fixture
def app(make_app: MakeApp, valkey_url: str) -> InProcessApp:
    app = make_app(valkey_url, POLICY.replace("# story_url", "story_url"))
    app.clock.at("2082-11-25T09:30:00Z")
    return app


@pytest.fixture
def newspaper(app: InProcessApp) -> Flask:
    made = create_newspaper(
        service_url="http://service",
        site_key="",
        secret="secret-of-the-newspaper",
        public_url="http://localhost",
        clock=lambda: datetime.fromtimestamp(app.clock(), UTC),
    )
    stories = made.extensions["newspaper"].stories
    made.extensions["newspaper"] = Newspaper(stories, PaywallInProcess(app), "http://localhost")
    return made


@pytest.fixture
def ann(app: InProcessApp) -> Staff:
    return owner_of(app)


def explanation(ann: Staff, reader: str, story: str) -> str:
    """Return the text of the answer, without the decision's ID, which is another one each time."""
    text = plain(ann.get(f"/why?{urlencode({'id': reader, 'story': story})}"))
    return text.partition("Decision …")[0]


def test_explanation_agrees_with_the_newspaper_for_all_pairs(app: InProcessApp, newspaper: Flask, ann: Staff) -> None:
    stories = newspaper.extensions["newspaper"].stories
    app.grant("r-1042", plan="supporter")
    app.grant("r-4581", plan="day_pass")
    assert "Tier unknown" in explanation(ann, "r-3310", "coopers-row")
    newspaper.test_client().get("/")
    for story in stories.values():  # more of them than there are free ones
        app.ask(story.head.access_fields(), reader="r-2077")
    shown = {}
    for reader in READERS:
        browser = newspaper.test_client()
        browser.post("/sign-in", data={"reader": reader})
        for story in stories:
            page = browser.get(f"/story/{story}", headers=NOT_A_READ).text
            assert (NOTEBOOK in page) != (BOX in page)
            shown[reader, story] = "Full story" if NOTEBOOK in page else "Paywall"
    found = {}
    for reader, story in shown:
        text = explanation(ann, reader, story)
        assert explanation(ann, reader, f"https://www.example.news/story/{story}?utm_source=mail#notes") == text
        assert "Answer for the reader" in text
        found[reader, story] = "Full story" if "Full story" in text else "Paywall"
    assert found == shown
    assert len(shown) == len(READERS) * len(stories) >= 4 * 8
    assert {shown["r-3310", story] for story in stories} == {"Full story", "Paywall"}
    assert {shown["r-2077", story] for story in stories} == {"Full story", "Paywall"}
    assert shown["r-3310", "coopers-row"] == "Paywall"
    assert {shown["r-1042", story] for story in stories} == {"Full story"}
