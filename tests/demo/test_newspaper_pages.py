"""Test the newspaper in a real browser; screenshots are in `test-output/screenshots/`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.demo.conftest import Service

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "test-output" / "screenshots"
PLAYING = """new Promise((resolve, reject) => {
    const video = document.querySelector('video')
    video.scrollIntoView()  // a clip begins when it comes into view
    setTimeout(() => reject(new Error('the clip does not play')), 60000)
    const look = () => video.currentTime > 0.2 ? resolve() : requestAnimationFrame(look)
    look()
})"""
LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 390)]

pytestmark = [pytest.mark.browser, pytest.mark.full]


@pytest.fixture
def paper(paper: str, service: Service) -> str:
    """Return the newspaper's URL, with a service that knows no reader."""
    return paper


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page in a new browser; at the end there may be no error and no external request."""
    complaints: list[str] = []
    hosts: set[str] = set()
    with ExitStack() as contexts:

        def new(scheme: str = "light", width: int = 1280, **more: Any) -> Page:
            look: Any = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, **more}
            context = chromium.new_context(**look)
            contexts.callback(context.close)
            page = context.new_page()
            page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda asked: hosts.add(str(urlsplit(asked.url).hostname)))
            return page

        yield new
    assert not complaints
    assert hosts <= {"127.0.0.1"}


def sign_in(page: Page, paper: str, name: str) -> None:
    page.goto(f"{paper}/sign-in")
    page.get_by_role("button", name=name).click()


def keep(page: Page, name: str) -> None:
    """Take a screenshot of the whole page with all images loaded, and check that nothing exceeds its width."""
    # Wait by promises in the page: Playwright's wait_for_function needs eval, which the content policy forbids.
    page.evaluate("Promise.all([...document.images].map(image => { image.loading = 'eager'; return image.decode() }))")
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"newspaper-{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the window"


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_front_page_and_stories_fit_each_color_scheme_and_width(
    visit: Callable[..., Page], paper: str, service: Service, scheme: str, width: int
) -> None:
    look = f"{scheme}-{width}"
    page = visit(scheme, width)
    page.goto(paper)
    keep(page, f"front-{look}")
    page.goto(f"{paper}/story/coopers-row")
    expect(page.get_by_role("heading", name="Unlock unlimited access")).to_be_visible()
    expect(page.get_by_role("heading", name="Timeline")).to_have_count(0)
    keep(page, f"story-locked-{look}")
    service.gives("r-1042", "supporter")
    sign_in(page, paper, "Maya")
    page.goto(f"{paper}/story/harbour-contract")
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    expect(page.get_by_role("complementary", name="Advertisement")).to_have_count(0)
    keep(page, f"story-full-{look}")


@pytest.mark.parametrize(("path", "name"), [("/events", "events"), ("/account", "account"), ("/support", "support")])
@pytest.mark.parametrize("width", [1280, 390])
def test_other_pages_fit_each_width(
    visit: Callable[..., Page], paper: str, service: Service, path: str, name: str, width: int
) -> None:
    service.gives("r-1042", "supporter")
    page = visit("light", width)
    sign_in(page, paper, "Maya")
    page.goto(paper + path)
    keep(page, f"{name}-light-{width}")


def test_every_page_reflows_at_320_pixels(visit: Callable[..., Page], paper: str) -> None:
    page = visit("light", 320)
    for path in ("/", "/story/heat-grid", "/story/coopers-row", "/events", "/support", "/spotlight", "/sign-in"):
        page.goto(paper + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path


def test_clip_autoplays_for_a_visitor(visit: Callable[..., Page], paper: str) -> None:
    page = visit()
    page.goto(f"{paper}/story/harbour-contract")
    page.evaluate(PLAYING)
    expect(page.get_by_role("complementary", name="Advertisement")).to_be_visible()


def test_clip_does_not_autoplay_for_a_supporter(visit: Callable[..., Page], paper: str, service: Service) -> None:
    service.gives("r-1042", "supporter")
    page = visit()
    sign_in(page, paper, "Maya")
    page.goto(f"{paper}/story/harbour-contract")
    assert page.evaluate("document.querySelector('video').autoplay") is False
    assert page.evaluate("document.querySelector('video').paused") is True
    page.evaluate("document.querySelector('video').play()")
    page.evaluate(PLAYING)


def test_clip_does_not_autoplay_with_reduced_motion(visit: Callable[..., Page], paper: str) -> None:
    page = visit(reduced_motion="reduce")
    page.goto(f"{paper}/story/harbour-contract")
    page.wait_for_load_state("load")
    assert page.evaluate("document.querySelector('video').paused") is True


def test_keyboard_alone_pays_and_returns_to_the_open_story(visit: Callable[..., Page], paper: str) -> None:
    """This also shows that the content security policy allows the form to lead to the payment page."""
    page = visit()
    sign_in(page, paper, "Maya")
    page.goto(f"{paper}/story/coopers-row")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to main content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.get_by_role("radio", name="Supporter $5 a month").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Supporter $50 a year")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Support us")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{paper}/story/coopers-row")
    expect(page.get_by_role("status")).to_contain_text("Thank you for supporting the Ledger")
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


def test_box_replaces_the_notebook_when_the_meter_is_used_up(visit: Callable[..., Page], paper: str) -> None:
    page = visit()
    for story, left in (("harbour-contract", 1), ("school-buses", 0)):
        page.goto(f"{paper}/story/{story}")
        expect(page.get_by_text(f"{left} of 2 free stories left this month")).to_be_visible()
        expect(page.get_by_role("heading", name="The notebook")).to_be_visible()
    page.goto(f"{paper}/story/heat-grid")
    box = page.get_by_role("region", name="Unlock unlimited access")
    expect(box.get_by_role("listitem")).to_have_count(5)  # four benefits and a link
    expect(box.get_by_role("radio")).to_have_count(3)
    expect(box.get_by_role("link", name="Sign in")).to_be_visible()
    expect(page.get_by_role("heading", name="The notebook")).to_have_count(0)
    keep(page, "story-meter-used-up-light-1280")


def test_print_view_omits_navigation_ads_and_video(visit: Callable[..., Page], paper: str) -> None:
    page = visit()
    page.goto(f"{paper}/story/harbour-contract")
    page.emulate_media(media="print")
    for left_out in ("nav", ".ad", ".clip", ".more"):
        expect(page.locator(left_out).first).to_be_hidden()
    expect(page.locator(".notebook")).to_be_visible()
