"""Test that locked text stays on the newspaper's server until the service opens it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape, unescape
from typing import TYPE_CHECKING, Any

import pytest
import requests

from demo.newspaper.stories import FOLDER, read_stories

if TYPE_CHECKING:
    from tests.demo.conftest import Browser, Service

pytestmark = pytest.mark.full

STORIES = read_stories(datetime.now(UTC))
METERED = [
    story.head.id
    for story in STORIES.values()
    if story.head.section not in ("public-safety", "food") and story.head.id != "coopers-row"
]


def texts(node: Any) -> Iterator[str]:
    """Yield every text of a nested table."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)


def notebook(story_id: str) -> list[str]:
    file = tomllib.loads((FOLDER / f"{story_id}.toml").read_text(encoding="utf-8"))
    return [text for text in texts(file["notebook"]) if len(text) > 25]


def facts(story_id: str) -> list[str]:
    return [text for kind, text in STORIES[story_id].parts["facts"] if kind == "p"]


def shows(page: requests.Response, text: str) -> bool:
    return text in unescape(page.text)


@pytest.mark.parametrize("story_id", STORIES)
def test_locked_text_never_leaves_the_newspaper(paper: str, service: Service, story_id: str) -> None:
    """Without a cookie and free stories, only the public-safety story is complete."""
    visitor = requests.Session()
    for used in METERED[:2]:
        visitor.get(f"{paper}/story/{used}", timeout=60)
    if story_id in METERED[:2]:
        visitor = requests.Session()
        for used in METERED[2:4]:
            visitor.get(f"{paper}/story/{used}", timeout=60)
    page = visitor.get(f"{paper}/story/{story_id}", timeout=60)
    visitor.close()
    assert page.status_code == 200
    assert all(shows(page, text) for text in facts(story_id))
    free = story_id == "boil-water"
    assert [shows(page, text) for text in notebook(story_id)] == [free] * len(notebook(story_id))
    box = "Read this with a free account" if story_id == "canteen-chowder" else "Unlock unlimited access"
    assert (box in page.text) is not free


@pytest.mark.parametrize("path", ["/", "/section/city", "/spotlight", "/events", "/support", "/sign-in"])
def test_other_pages_contain_no_notebook_text(browser: Browser, path: str) -> None:
    page = browser.open(path)
    assert page.status_code == 200
    assert not [text for story_id in STORIES for text in notebook(story_id) if shows(page, text)]


@pytest.mark.parametrize("story_id", STORIES)
def test_supporter_reads_everything_without_ads_and_autoplay(browser: Browser, service: Service, story_id: str) -> None:
    service.gives("r-1042", "supporter")
    browser.sign_in("r-1042")
    page = browser.open(f"/story/{story_id}")
    assert all(shows(page, text) for text in facts(story_id) + notebook(story_id))
    assert "Advertisement" not in page.text
    assert "autoplay" not in page.text
    assert "<video" in page.text
    assert "Unlock unlimited access" not in page.text


def test_day_pass_opens_the_notebook_and_keeps_ads_and_autoplay(browser: Browser, service: Service) -> None:
    service.gives("r-1042", "day_pass")
    browser.sign_in("r-1042")
    page = browser.open("/story/coopers-row")
    assert all(shows(page, text) for text in notebook("coopers-row"))
    assert "Advertisement" in page.text
    assert " autoplay muted" in page.text


def test_story_older_than_thirty_days_is_locked_on_a_first_visit(browser: Browser) -> None:
    page = browser.open("/story/coopers-row")
    assert "Unlock unlimited access" in page.text
    assert "free stories left" not in page.text


def test_visitor_has_two_free_stories_and_the_box_names_the_reset(browser: Browser) -> None:
    first, second, third = (browser.open(f"/story/{story_id}") for story_id in METERED[:3])
    assert "1 of 2 free stories left this month" in first.text
    assert "0 of 2 free stories left this month" in second.text
    assert "0 of 2 free stories left this month; the count restarts on 1 " in " ".join(third.text.split())
    assert shows(browser.open(f"/story/{METERED[0]}"), notebook(METERED[0])[0]), "re-reading is free"


def test_sign_in_raises_the_limit_to_five_and_keeps_visitor_reads(browser: Browser) -> None:
    browser.open(f"/story/{METERED[0]}")
    browser.sign_in("r-2077")
    assert "3 of 5 free stories left this month" in browser.open(f"/story/{METERED[1]}").text


def test_prefetch_and_head_requests_are_not_counted(browser: Browser, service: Service) -> None:
    browser.head(f"{browser.paper}/story/{METERED[0]}", timeout=60)
    browser.open(f"/story/{METERED[1]}", headers={"Sec-Purpose": "prefetch;prerender"})
    browser.open("/")
    assert [entry["count"] for entry in service.asked("/v1/access")] == [False, False]
    assert "1 of 2 free stories left" in browser.open(f"/story/{METERED[2]}").text


def test_front_page_marks_open_stories_with_one_batch(browser: Browser, service: Service) -> None:
    page = browser.open("/")
    assert page.text.count("Open: one of your free stories") == len(METERED)
    assert page.text.count("Facts open, notebook for supporters") == 1
    assert page.text.count("Facts open, notebook with a free account") == 1
    assert len(service.asked("/v1/access/batch")) == 1
    service.gives("r-1042", "vip")
    browser.sign_in("r-1042")
    assert browser.open("/").text.count("Open to you") == len(METERED) + 2


def test_access_request_has_the_fields_of_the_contract(browser: Browser, service: Service) -> None:
    browser.sign_in("r-3310")
    browser.open("/story/harbour-contract?pass=sp_abc", headers={"User-Agent": "Mozilla/5.0 \x7f (test)"})
    asked = service.asked("/v1/access")[-1]
    assert set(asked) == {"path", "story", "reader", "verified", "visitor", "count", "context", "pass"}
    assert asked["story"] == STORIES["harbour-contract"].head.access_fields() | {
        "published_at": asked["story"]["published_at"]
    }
    assert asked["reader"] == "r-3310"
    assert asked["pass"] == "sp_abc"
    assert asked["context"] == {"ip": "127.0.0.1", "user_agent": "Mozilla/5.0  (test)"}
    assert datetime.fromisoformat(asked["story"]["published_at"]).tzinfo


def test_event_details_are_shown_only_to_holders(browser: Browser, service: Service) -> None:
    page = browser.open("/events")
    assert "city auditor" in page.text
    assert not shows(page, "Doors open")
    assert "Unlock unlimited access" in page.text
    service.gives("r-1042", "supporter")
    browser.sign_in("r-1042")
    page = browser.open("/events")
    assert shows(page, "Doors open")
    assert "Unlock unlimited access" not in page.text


def test_every_story_has_ordered_times_and_text_in_every_part() -> None:
    now = datetime.now(UTC)
    assert len(STORIES) >= 5
    for story in STORIES.values():
        assert story.head.published < story.head.updated < now
        assert len(facts(story.head.id)) >= 4
        assert all(story.parts["notebook"][part] for part in ("documents", "timeline", "interviews"))
        assert all(escape(text, quote=False) == text for text in (story.head.headline, story.head.deck))


CHOWDER = "/story/canteen-chowder"


def opens(browser: Browser) -> bool:
    return shows(browser.open(CHOWDER), notebook("canteen-chowder")[0])


def test_food_section_opens_with_an_account_and_a_confirmed_address(browser: Browser, service: Service) -> None:
    page = browser.open(CHOWDER)
    assert "Create a free account" in page.text
    assert "Choose a plan" not in page.text
    page = browser.submit("/sign-up", {"name": "  Ottavia  Reyes ", "address": "verified", "next": CHOWDER})
    assert page.url.endswith(CHOWDER)
    assert "Ottavia Reyes" in page.text
    assert opens(browser)
    asked = service.asked("/v1/access")[-1]
    assert (asked["reader"][:2], asked["verified"]) == ("r-", True)


def test_account_without_a_confirmed_address_has_to_confirm_it(browser: Browser) -> None:
    page = browser.submit("/sign-up", {"name": "Ottavia", "address": "", "next": CHOWDER})
    assert "Confirm your address to read this notebook" in page.text
    assert not opens(browser)
    assert "address not confirmed" in browser.open("/account").text
    assert browser.submit("/confirm-address", {"next": CHOWDER}).url.endswith(CHOWDER)
    assert opens(browser)
    assert "address not confirmed" not in browser.open("/account").text


def test_readers_of_the_sign_in_page_have_confirmed_addresses(browser: Browser) -> None:
    browser.sign_in("r-1042")
    assert opens(browser)


def test_name_of_a_new_account_is_escaped_and_cut(browser: Browser) -> None:
    page = browser.submit("/sign-up", {"name": "<b>" + "x" * 200, "address": "verified", "next": "//elsewhere.example"})
    assert page.url == f"{browser.paper}/"
    assert f"&lt;b&gt;{'x' * 37}<" in page.text
    nameless = browser.submit("/sign-up", {"name": " ", "address": "verified"})
    assert "New reader" in nameless.text
