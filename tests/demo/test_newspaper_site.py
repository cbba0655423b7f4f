"""Test the site: nothing external, no caching, sufficient contrast, and a clean stop."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from demo.newspaper import wording
from tests.store_servers import free_port

if TYPE_CHECKING:
    from tests.demo.conftest import Browser

pytestmark = pytest.mark.full

PAGES = [
    "/",
    "/story/harbour-contract",
    "/story/coopers-row",
    "/events",
    "/support",
    "/spotlight",
    "/sign-in",
    "/join?invite=x",
    "/no-such-page",
]
STATIC = Path(wording.__file__).parent / "static"
REASONS = {"no_entitlement", "meter_used_up", "sign_in_required", "verification_required", "store_unavailable"}


class Page(HTMLParser):
    """Collect what a browser loads, inline code, heading levels and IDs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.alts: list[str | None] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append(tag)
        if tag in {"img", "script", "link", "video", "source", "iframe"}:
            self.loads += [value for name in ("src", "href", "poster") if (value := named.get(name))]
        if (
            tag == "style"
            or (tag == "script" and "src" not in named)
            or any(n == "style" or n.startswith("on") for n in named)
        ):
            self.inline.append(tag)
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "img":
            self.alts.append(named.get("alt"))
        if "id" in named:
            self.ids.append(str(named["id"]))


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_self_contained_and_accessible(browser: Browser, path: str) -> None:
    page = Page(browser.open(path).text)
    assert not page.inline
    assert all(load.startswith("/static/") for load in page.loads)
    assert all(browser.open(load).status_code == 200 for load in page.loads)
    assert page.levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(page.levels, page.levels[1:], strict=False)), "no heading level is skipped"
    assert len(page.ids) == len(set(page.ids))
    assert all(page.alts)
    assert page.tags.count("main") == 1


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_strict_csp_and_is_never_cached(browser: Browser, path: str) -> None:
    headers = browser.open(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "private, no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_cookies_are_http_only(paper: str) -> None:
    answer = requests.post(f"{paper}/sign-in", data={"reader": "r-1042"}, allow_redirects=False, timeout=60)
    cookies = answer.raw.headers.getlist("Set-Cookie")
    assert len(cookies) == 2
    assert all("HttpOnly" in cookie and "SameSite=Lax" in cookie for cookie in cookies)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/story/nope", 404), ("GET", "/subscribe", 405), ("POST", "/", 405)]
)
def test_wrong_path_or_method_gets_a_newspaper_page(browser: Browser, method: str, path: str, status: int) -> None:
    answer = browser.request(method, browser.paper + path, timeout=60)
    assert answer.status_code == status
    assert "The Daily Ledger" in answer.text


def test_stylesheet_and_images_load_nothing_external() -> None:
    css = (STATIC / "paper.css").read_text(encoding="utf-8")
    assert "url(" not in css
    assert "@import" not in css
    assert not [path for path in STATIC.rglob("*.svg") if re.search(r"(href|src)=", path.read_text(encoding="utf-8"))]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", [0, 1], ids=["light", "dark"])
def test_text_contrast_meets_wcag_aa(palette: int) -> None:
    css = (STATIC / "paper.css").read_text(encoding="utf-8")
    colours = dict(
        re.findall(r"--(\w[\w-]*): (#[0-9a-f]{6})", re.findall(r":root \{[^}]*--paper[^}]*\}", css)[palette])
    )
    pairs = [(text, ground) for text in ("ink", "soft", "red", "go") for ground in ("paper", "sheet", "wash", "line")]
    for text, ground in [*pairs, ("on-go", "go"), ("paper", "ink")]:
        one, other = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
        assert (one + 0.05) / (other + 0.05) >= 4.5, f"{text} on {ground}"


def test_every_reason_of_the_contract_has_a_text() -> None:
    assert set(wording.REASONS) == REASONS


@pytest.mark.parametrize(
    ("amount", "currency", "interval", "said"),
    [
        (500, "usd", "month", "$5 a month"),
        (150, "usd", None, "$1.50 once"),
        (1500, "usd", "3 months", "$15 every 3 months"),
        (120000, "eur", "year", "€1,200 a year"),
        (900, "jpy", "month", "900 JPY a month"),
        (90000, "isk", "month", "900 ISK a month"),
        (1500, "kwd", "month", "1.500 KWD a month"),
        (4990, "sek", "year", "49.90 SEK a year"),
        (None, "usd", "month", "price on the next page"),
    ],
)
def test_price_is_formatted_for_people(amount: int | None, currency: str, interval: str | None, said: str) -> None:
    assert wording.price({"id": "p", "amount": amount, "currency": currency, "interval": interval}) == said


@pytest.mark.parametrize(
    ("resets_at", "said"),
    [
        ("2026-12-01T05:00:00Z", "2 of 5 free stories left this month"),
        ("2026-11-30T05:00:00Z", "2 of 5 free stories left until 30 November 2026"),
        (None, "2 of 5 free stories left"),
    ],
)
def test_meter_text_names_its_window(resets_at: str | None, said: str) -> None:
    assert wording.meter_text({"limit": 5, "left": 2, "resets_at": resets_at}) == said


def start(*more: str, **environment: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "demo.newspaper",
        "--service",
        "http://127.0.0.1:9",
        "--site-key-env",
        "LEDGER_KEY",
    ]
    return subprocess.Popen(
        [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PATH": "", **environment}
    )


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_newspaper_ends_on_signal(ending: signal.Signals) -> None:
    port = free_port()
    with start("--port", str(port), LEDGER_KEY="k") as process:
        assert process.stdout
        assert process.stdout.readline() == f"The Daily Ledger: http://127.0.0.1:{port}\n"
        process.send_signal(ending)
        assert process.wait(timeout=60) == 0


def test_missing_key_and_port_in_use_are_reported_in_one_line(paper: str) -> None:
    with start() as process:
        assert process.wait(timeout=60) == 1
        assert process.stderr
        assert process.stderr.read().startswith("LEDGER_KEY is not set")
    port = urlsplit(paper).port
    with start("--port", str(port), LEDGER_KEY="k") as process:
        assert process.wait(timeout=60) == 1
        assert process.stderr
        assert f"Port {port} is in use" in process.stderr.read()
