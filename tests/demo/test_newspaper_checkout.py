"""Test sign-in, checkout, the return from checkout, and the account page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

if TYPE_CHECKING:
    from tests.demo.conftest import Browser, Service

pytestmark = pytest.mark.full

BUY = {"story": "coopers-row", "choice": "price:price_month"}


def test_subscribe_button_leads_to_checkout_and_back_to_the_open_story(browser: Browser, service: Service) -> None:
    browser.sign_in("r-1042")
    first = browser.submit("/subscribe", BUY, allow_redirects=False)
    assert first.status_code == 303
    assert first.headers["Location"].startswith(f"{service.url}/pay?")
    page = browser.get(first.headers["Location"], timeout=60)
    assert page.url == f"{browser.paper}/story/coopers-row"
    assert "COOPERS ROW — A.V. — AGE 9" in page.text
    assert "Thank you for supporting the Ledger" in page.text
    asked = service.asked("/v1/checkout")[-1]
    assert asked["reader"] == "r-1042"
    assert asked["price"] == "price_month"
    assert asked["return_url"] == f"{browser.paper}/welcome?story=coopers-row"


def test_welcome_page_waits_for_a_slightly_late_webhook(browser: Browser, service: Service) -> None:
    service.is_now(late=3)
    browser.sign_in("r-1042")
    page = browser.submit("/subscribe", BUY)
    assert page.url.endswith("/story/coopers-row")
    assert "COOPERS ROW — A.V. — AGE 9" in page.text


def test_welcome_page_refreshes_itself_for_a_very_late_webhook(browser: Browser, service: Service) -> None:
    service.is_now(late=1000)
    browser.sign_in("r-1042")
    page = browser.submit("/subscribe", BUY)
    assert page.status_code == 200
    assert "One moment" in page.text
    again = re.search(r'http-equiv="refresh" content="3; url=([^"]+)"', page.text)
    assert again
    path = again[1].replace("&amp;", "&")
    assert parse_qs(urlsplit(path).query) == {"story": ["coopers-row"], "session_id": ["cs_test_1"], "tries": ["1"]}
    service.gives("r-1042", "supporter")
    service.is_now(late=0)
    assert browser.open(path).url == f"{browser.paper}/story/coopers-row"


def test_welcome_page_stops_refreshing_and_says_nothing_is_lost(browser: Browser) -> None:
    browser.sign_in("r-1042")
    page = browser.open("/welcome?story=coopers-row&session_id=cs_1&tries=20")
    assert "http-equiv" not in page.text
    assert "it is not lost" in page.text


def test_cancelled_checkout_returns_to_the_story_without_thanks(browser: Browser) -> None:
    browser.sign_in("r-1042")
    page = browser.open("/welcome?story=coopers-row")
    assert page.url == f"{browser.paper}/story/coopers-row#support"
    assert "Nothing was charged" in page.text
    assert "Thank you" not in page.text


def test_welcome_page_ignores_unknown_query_parameters(browser: Browser) -> None:
    browser.sign_in("r-1042")
    assert (
        browser.open(
            "/welcome?story=nope&session_id=cs_1&tries=x&_scheme=ftp&_external=1&_anchor=a&endpoint=b"
        ).status_code
        == 200
    )


def test_checkout_requires_sign_in_and_returns_to_the_box(browser: Browser) -> None:
    page = browser.submit("/subscribe", BUY)
    assert urlsplit(page.url).path == "/sign-in"
    assert "Sign in first" in page.text
    back = re.search(r'name="next" value="([^"]+)"', page.text)
    assert back
    assert back[1] == "/story/coopers-row#support"
    assert urlsplit(browser.sign_in("r-1042", back[1]).url).path == "/story/coopers-row"


def test_holder_of_the_plan_is_not_charged_again(browser: Browser, service: Service) -> None:
    service.gives("r-1042", "supporter")
    browser.sign_in("r-1042")
    page = browser.submit("/subscribe", BUY)
    assert page.url.endswith("/account")
    assert "You already have this plan" in page.text


@pytest.mark.parametrize("choice", ["", "price", "price:", "story:x", "price:price_unknown"])
def test_invalid_choice_shows_a_note(browser: Browser, choice: str) -> None:
    browser.sign_in("r-1042")
    page = browser.submit("/subscribe", BUY | {"choice": choice})
    assert page.status_code == 200
    assert 'class="note"' in page.text


def test_account_page_lists_entitlements_with_plan_and_end(browser: Browser, service: Service) -> None:
    service.gives("r-1042", "supporter")
    browser.sign_in("r-1042")
    page = browser.open("/account").text
    assert "A seat at the Newsmaker evenings" in page
    assert "<dt>Supporter</dt><dd>Renews on" in page
    assert "31 December 2030, 19:00" in page, "on the city's clock"
    assert browser.submit("/manage").url == f"{service.url}/portal"


def test_account_page_offers_the_portal_only_to_who_has_one(browser: Browser, service: Service) -> None:
    browser.sign_in("r-1042")
    assert "Manage subscription" not in browser.open("/account").text
    service.gives("r-1042", "vip")
    assert "Manage subscription" not in browser.open("/account").text
    service.gives("r-1042", "supporter")
    assert "Manage subscription" in browser.open("/account").text


def test_manage_without_subscription_shows_a_note(browser: Browser) -> None:
    browser.sign_in("r-1042")
    page = browser.submit("/manage")
    assert page.status_code == 200
    assert "You have no paid subscription to manage" in page.text


def test_account_welcome_and_manage_require_sign_in(browser: Browser) -> None:
    assert urlsplit(browser.open("/account").url).path == "/sign-in"
    assert urlsplit(browser.open("/welcome?story=coopers-row").url).path == "/sign-in"
    assert urlsplit(browser.submit("/manage").url).path == "/sign-in"


def test_sign_out_forgets_the_reader_and_keeps_the_visitor(browser: Browser) -> None:
    browser.open("/")
    visitor = browser.cookies["ledger_visitor"]
    browser.sign_in("r-1042")
    page = browser.submit("/sign-out")
    assert "Sign in" in page.text
    assert browser.cookies["ledger_visitor"] == visitor


@pytest.mark.parametrize(
    "path", ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example", "javascript:1", "/a\nb"]
)
def test_sign_in_never_redirects_to_another_site(browser: Browser, path: str) -> None:
    answer = browser.submit("/sign-in", {"reader": "r-1042", "next": path}, allow_redirects=False)
    assert answer.headers["Location"] == "/"


def test_unknown_reader_is_not_signed_in(browser: Browser) -> None:
    page = browser.sign_in("r-9999")
    assert urlsplit(page.url).path == "/sign-in"


@pytest.mark.parametrize("cookie", ["", "x", "v-short", "v-" + "a" * 200, "v-%00%01aaaaaaaaaaaaaaaaaaaa"])
def test_invalid_visitor_cookie_is_replaced(browser: Browser, service: Service, cookie: str) -> None:
    browser.open("/story/harbour-contract", headers={"Cookie": f"ledger_visitor={cookie}"})
    assert re.fullmatch(r"v-[A-Za-z0-9_-]{22}", service.asked("/v1/access")[-1]["visitor"])


def test_forged_session_cookie_is_not_signed_in(paper: str, service: Service) -> None:
    page = requests.get(
        f"{paper}/account", cookies={"ledger_session": "eyJyZWFkZXIiOiJyLTEwNDIifQ.aaaa.bbbb"}, timeout=20
    )
    assert urlsplit(page.url).path == "/sign-in"
