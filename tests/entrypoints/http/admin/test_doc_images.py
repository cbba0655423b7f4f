"""The images of the docs, from invented data: written to `test-output/docs-images`; copy them to `docs/images` by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.entrypoints.http.admin.conftest import SHOTS
from tests.entrypoints.http.admin.keyboard_user import KeyboardUser
from tests.running_service import ADMIN_KEY, Paywall

DOCS = Path(__file__).parents[4] / "docs"
PAGES = ("how-to/support-desk.md", "how-to/audience-team.md")
MADE = SHOTS.parent / "docs-images"


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    opened = chromium.new_page(
        viewport={"width": 1120, "height": 760}, color_scheme="light", timezone_id="America/New_York"
    )
    yield opened
    opened.close()


@pytest.mark.browser
@pytest.mark.full
def test_doc_images_are_made(page: Page, lived: Paywall, tmp_path: Path) -> None:
    MADE.mkdir(parents=True, exist_ok=True)
    for number in range(6):
        lived.ask(f"s-{number}", reader="r-nadia")
    lived.ask({"id": "2026-harbour-contract", "section": "city", "tags": ["harbour"], "parts": ["facts", "notebook"]})
    ann = KeyboardUser(page, lived.url).sign_in(ADMIN_KEY)

    def picture(name: str, height: int = 760) -> None:
        page.set_viewport_size({"width": 1120, "height": height})
        page.evaluate("document.activeElement.blur()")
        page.screenshot(path=MADE / f"{name}.png")
        assert (MADE / f"{name}.png").stat().st_size < 200_000

    picture("overview", 1180)
    ann.open("/admin/reader?id=r-nadia").type("#why-story", "2026-harbour-contract")
    ann.press("main form[action$='/why'] button").sees("Answer for the reader")
    page.locator("section.why").screenshot(path=MADE / "access-check.png")
    ann.open("/admin/reader?id=r-carla")
    picture("reader", 1480)
    ann.open("/admin/reader?id=r-nadia").fold("Grant access").type("#reason-new", "Press card, checked by phone")
    page.locator("#h-actions").scroll_into_view_if_needed()
    page.locator("section:has(#h-actions)").screenshot(path=MADE / "grant-access.png")
    ann.open("/admin/readers?q=sub_demo095").sees("not linked to a reader")
    picture("unassigned", 420)
    sheet = tmp_path / "members.csv"
    sheet.write_text("reader,plan,until,reason\nr-1,vip,2027-06-30T00:00:00Z,library card\nr-2,vipp,,library card\n")
    ann.open("/admin/imports")
    page.set_input_files("#file", sheet)
    ann.press("#import .row button").sees("Fix these errors")
    picture("import", 720)


def test_doc_images_are_exactly_those_shown() -> None:
    shown = {
        name
        for page in PAGES
        for name in re.findall(r"\(\.\./images/([\w-]+\.png)\)", (DOCS / page).read_text("utf-8"))
    }
    assert shown == {path.name for path in (DOCS / "images").glob("*.png")}
