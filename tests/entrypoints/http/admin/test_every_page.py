"""Test the pages in a real browser: they fit, axe finds no errors in light and dark, and times are in the browser's zone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser

from tests.entrypoints.http.admin.conftest import OpenBrowser, shot
from tests.entrypoints.http.admin.keyboard_user import accessibility_errors
from tests.running_service import ADMIN_KEY, Paywall

pytestmark = [pytest.mark.browser, pytest.mark.full]

VIEWS = {
    "reader-table": "/admin/readers/table?sort=end",
    "grant-table": "/admin/grants",
    "overview": "/admin/",
    "search": "/admin/readers",
    "reader": "/admin/reader?id=r-carla",
    "reader-past": "/admin/reader?id=r-carla&at=2026-01-01T00:00:00Z",
    "unknown-reader": "/admin/reader?id=r-nobody",
    "access-check": "/admin/why?id=r-carla&story=2026-harbour-contract&tier=metered",
    "tier-unknown": "/admin/why?id=r-carla&story=s-invented",
    "unassigned": "/admin/readers?q=sub_demo095",
    "seats": "/admin/seats?id=sub_demo090",
    "import": "/admin/imports",
    "approvals": "/admin/approvals",
    "passes": "/admin/passes",
    "events": "/admin/events",
    "failed-events": "/admin/events?state=dead",
    "event": "/admin/event?id=evt_demo_failed",
    "audit": "/admin/audit",
    "keys": "/admin/keys",
    "system": "/admin/system",
    "not-found": "/admin/event?id=evt_none",
    "purchase-without-plan": "/admin/reader?id=r-oda",
    "description": "/docs",
}


@pytest.mark.parametrize(("scheme", "other", "width"), [("light", "dark", 1280), ("dark", "light", 390)])
def test_every_page_fits_and_passes_axe(open_browser: OpenBrowser, scheme: str, other: str, width: int) -> None:
    """Check all rules in one color scheme, and in the other the contrasts, since only colors differ."""
    ann = open_browser(None, scheme, width)
    found = {}

    def check(name: str) -> None:
        shot(ann, f"{name}-{scheme}-{width}")
        if width == 1280:
            ann.page.evaluate("document.querySelectorAll('main details').forEach(fold => { fold.open = true })")
        assert ann.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        found[name, scheme] = accessibility_errors(ann.page)
        ann.page.emulate_media(color_scheme=other)  # type: ignore[arg-type]  # plain words
        found[name, other] = accessibility_errors(ann.page, "color-contrast")
        ann.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]

    ann.open("/admin")
    check("sign-in")
    ann.sign_in(ADMIN_KEY)
    for name, path in VIEWS.items():
        ann.open(path)
        check(name)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_times_are_in_browser_zone_or_utc_without_scripts(
    open_browser: OpenBrowser, chromium: Browser, lived: Paywall
) -> None:
    ann = open_browser().open("/admin/audit")
    one = "document.querySelector('time')"
    text, moment = ann.page.evaluate(f"[{one}.textContent, {one}.dateTime]")
    assert not text.endswith("UTC")
    assert moment.endswith("Z")
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(lived.url + "/admin")
    page.fill("#key", ADMIN_KEY)
    page.click("button")
    page.goto(lived.url + "/admin/audit")
    assert page.inner_text("time >> nth=0").endswith("UTC")
    page.goto(lived.url + "/admin/reader?id=r-carla")
    typed = re.findall(r"Time zone: (\S+)", page.inner_text(".why") + page.inner_text("[aria-labelledby=h-activity]"))
    assert typed == ["America/New_York"] * 2  # Typed times are in the site's zone, beside times in UTC.
    page.fill("#why-story", "s-1")
    page.select_option("#why-tier", "free")
    page.click("button:has-text('Check access')")
    assert "Full story" in page.inner_text("main")
    context.close()
