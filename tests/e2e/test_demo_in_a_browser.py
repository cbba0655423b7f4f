"""Test `paywall demo` in a real browser; screenshots are in `test-output/screenshots/demo-*.png`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import PATIENCE
from tests.running_demo import running

if TYPE_CHECKING:
    from tests.running_demo import Demo

SHOTS = Path(__file__).parents[2] / "test-output" / "screenshots"

Until = Callable[..., float]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.full,
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running(tmp_path_factory.mktemp("demo-browser")) as demo:
        yield demo


@pytest.fixture(scope="module")
def visit(chromium: Browser) -> Iterator[Callable[[], Page]]:
    """Open pages in new browsers; at the end none may have reported an error."""
    complaints: list[str] = []

    def new() -> Page:
        page = chromium.new_context(viewport={"width": 1100, "height": 900}).new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield new
    assert complaints == []


@pytest.fixture
def walk(demo: Demo, visit: Callable[[], Page]) -> Walk:
    return Walk(demo, visit())


class Walk:
    """The clicks of a new user."""

    def __init__(self, demo: Demo, page: Page) -> None:
        self.demo, self.page = demo, page

    def sign_in(self, name: str) -> None:
        self.page.goto(self.demo.paper)
        self.page.get_by_role("link", name="Sign in").first.click()
        self.page.get_by_role("button", name=name).click()

    def story(self, story: str) -> None:
        self.page.goto(f"{self.demo.paper}/story/{story}")

    def account(self) -> None:
        self.page.goto(f"{self.demo.paper}/account")

    def open(self) -> None:
        expect(self.page.get_by_role("heading", name="The notebook")).to_be_visible()
        expect(self.box).to_have_count(0)

    def locked(self) -> None:
        expect(self.page.get_by_role("heading", name="The facts")).to_be_visible()
        expect(self.page.get_by_role("heading", name="The notebook")).to_have_count(0)
        expect(self.box).to_be_visible()

    def buy(self, plan: str) -> None:
        self.page.get_by_role("radio", name=plan).check()
        self.page.get_by_role("button", name="Support us").click()
        expect(self.page.get_by_text("This is a look-alike of Stripe.")).to_be_visible()
        self.keep("pay")
        self.page.get_by_role("button", name="Pay $").click()

    def backstage(self, *buttons: str) -> None:
        """Press buttons on the backstage page and return to the newspaper."""
        self.page.get_by_role("link", name="Backstage").click()
        for button in buttons:
            self.page.get_by_role("button", name=button).first.click()
        self.keep("backstage")
        self.page.get_by_role("link", name="Back to The Daily Ledger").click()

    @property
    def box(self) -> Any:
        return self.page.get_by_role("region", name="Unlock unlimited access")

    @property
    def ads(self) -> Any:
        return self.page.get_by_role("complementary", name="Advertisement")

    def reloaded(self, until: Until, condition: Callable[[], bool]) -> None:
        """Reload the page until the Stripe event has arrived."""
        until(lambda: self.page.reload() is not None and condition())

    def keep(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.evaluate("Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode() }))")
        self.page.screenshot(path=SHOTS / f"demo-{name}.png", full_page=True)
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
            f"{name} is wider than the window"
        )


def test_browser_reads_until_locked_then_grant_command_opens(walk: Walk) -> None:
    page = walk.page
    page.goto(walk.demo.paper)
    walk.keep("front")
    for story in ("harbour-contract", "school-buses"):
        walk.story(story)
        walk.open()
    walk.keep("free-story")
    walk.story("heat-grid")
    walk.locked()
    walk.keep("box")
    walk.sign_in("Maya")
    for story in ("heat-grid", "newsmaker-ferry", "women-eight"):
        walk.story(story)
        walk.open()
    walk.story("meridian")
    walk.locked()
    expect(walk.ads).to_be_visible()
    assert walk.demo.shell(walk.demo.command).returncode == 0
    page.reload()
    walk.open()
    expect(walk.ads).to_have_count(0)
    assert page.evaluate("document.querySelector('video').autoplay") is False
    walk.keep("let-in")
    page.get_by_role("navigation").get_by_role("link", name="Newsmaker events").click()
    expect(page.get_by_text("Your seat").first).to_be_visible()
    walk.keep("events")


def test_browser_pays_reads_cancels_and_is_locked_after_the_period(walk: Walk, until: Until) -> None:
    page = walk.page
    walk.sign_in("Tobias")
    walk.backstage("Deliver later")
    walk.story("coopers-row")
    walk.locked()
    walk.buy("Supporter $5 a month")
    page.wait_for_url(f"{walk.demo.paper}/story/coopers-row")
    expect(page.get_by_role("status")).to_contain_text("Thank you for supporting the Ledger")
    walk.open()
    expect(walk.ads).to_have_count(0)
    walk.keep("paid")
    walk.backstage("Deliver")
    walk.account()
    walk.keep("account")
    page.get_by_role("button", name="Manage subscription").click()
    page.get_by_role("button", name="Cancel at the end of the period").click()
    expect(page.get_by_text("Ends on")).to_be_visible()
    walk.keep("portal")
    page.get_by_role("link", name="Back to The Daily Ledger").click()
    expect(page.get_by_text("Supporter", exact=True).first).to_be_visible()
    walk.backstage("A month later")
    walk.account()
    walk.reloaded(until, page.get_by_text("No membership yet").is_visible)
    walk.keep("ended")
    walk.story("coopers-row")
    walk.locked()


def test_browser_sees_grace_after_failed_payment_and_pays_again(walk: Walk, until: Until) -> None:
    page = walk.page
    walk.sign_in("Ngozi")
    walk.story("coopers-row")
    walk.buy("Supporter $5 a month")
    walk.open()
    walk.backstage("Leave past due", "Let the next payment fail", "A month later")
    walk.account()
    walk.reloaded(until, page.get_by_text("Your last payment did not go through").is_visible)
    walk.keep("grace")
    walk.story("coopers-row")
    walk.open()
    walk.backstage("A week later", "A week later")
    walk.story("coopers-row")
    walk.locked()
    walk.backstage("Let payments work again")
    walk.account()
    page.get_by_role("button", name="Manage subscription").click()
    page.get_by_role("button", name="Pay $5.00 now").click()
    walk.story("coopers-row")
    walk.reloaded(until, page.get_by_role("heading", name="The notebook").is_visible)


def test_browser_sees_story_locked_after_refund(walk: Walk, until: Until) -> None:
    walk.sign_in("Father Anselm")
    walk.story("coopers-row")
    walk.buy("Day pass $3 once")
    walk.open()
    walk.backstage("Refund $3.00")
    walk.story("coopers-row")
    walk.reloaded(until, walk.box.is_visible)
