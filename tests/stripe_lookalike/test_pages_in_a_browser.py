"""Test the look-alike's pages in a real browser: keyboard, phone, dark mode and no external requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe
from playwright.sync_api import Browser, Page

from stripe_lookalike import RunningLookalike

pytestmark = [pytest.mark.browser, pytest.mark.full]


@pytest.fixture(params=["light", "dark"])
def page(chromium: Browser, lookalike: RunningLookalike, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Open a page on a phone; an external request fails the test."""
    opened = chromium.new_page(viewport={"width": 320, "height": 640}, color_scheme=request.param)
    asked: list[str] = []
    opened.on("request", lambda sent: asked.append(sent.url))
    yield opened
    opened.close()
    assert [url for url in asked if not url.startswith((lookalike.url, "data:"))] == []


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def _contrasts(page: Page) -> list[float]:
    """Return the contrast of each text with its background, by the WCAG formula."""
    found: list[float] = page.evaluate("""() => {
      const light = c => { const v = c.map(x => (x /= 255) <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
        return .2126 * v[0] + .7152 * v[1] + .0722 * v[2] };
      const rgb = s => s.match(/[\\d.]+/g).map(Number);
      const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > 0) return c.slice(0, 3) } return [255, 255, 255] };
      return [...document.querySelectorAll('h1, h2, p, li span, label, button, a, input, select, .badge')].map(e => {
        const a = light(rgb(getComputedStyle(e).color).slice(0, 3)), b = light(behind(e));
        return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) }) }""")
    return found


def test_browser_is_declined_pays_and_cancels(
    page: Page, client: stripe.StripeClient, lookalike: RunningLookalike
) -> None:
    line: Any = {"price": "price_month", "quantity": 1}
    back = f"{lookalike.url}/?paid"
    session = client.v1.checkout.sessions.create({"mode": "subscription", "line_items": [line], "success_url": back})
    page.goto(str(session.url))
    assert _fits(page)
    assert min(_contrasts(page)) >= 4.5
    page.get_by_label("E-mail").fill("robin@example.org")
    page.get_by_role("button", name="Pay with a declined card").click()
    assert "declined" in page.get_by_role("alert").inner_text()
    assert min(_contrasts(page)) >= 4.5
    page.get_by_role("button", name="Pay $5.00").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(back)

    customer = str(client.v1.checkout.sessions.retrieve(session.id).customer)
    portal = client.v1.billing_portal.sessions.create({"customer": customer, "return_url": back})
    page.goto(portal.url)
    assert _fits(page)
    assert min(_contrasts(page)) >= 4.5
    page.get_by_role("button", name="Cancel at the end of the period").click()
    page.get_by_text("Ends on").wait_for()
    page.get_by_role("button", name="Keep the subscription").click()
    page.get_by_text("Renews on").wait_for()
    assert client.v1.subscriptions.list({"customer": customer}).data[0].cancel_at is None
