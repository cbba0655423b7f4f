"""Every task walked in a real browser, by keyboard alone, from the sign-in to the changed story."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.adapters.redis.conftest import wait_until
from tests.entrypoints.http.admin.at_the_keyboard import Hands, faults
from tests.entrypoints.http.admin.conftest import SHOTS
from tests.serving import ADMIN_KEY, Paywall, in_days

pytestmark = [pytest.mark.browser, pytest.mark.full]

HOW = [("light", 1280), ("dark", 390), ("dark", 1280), ("light", 390)]


Sit = Callable[..., Hands]


@pytest.fixture
def sit(browser: Browser, lived: Paywall) -> Iterator[Sit]:
    """Sits somebody down: `sit(key, scheme, width)`. Nothing may be fetched from elsewhere, and nothing fail in the page."""
    opened: list[BrowserContext] = []
    wrong: list[str] = []

    def down(key: str | None = ADMIN_KEY, scheme: str = "light", width: int = 1280) -> Hands:
        size = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, color_scheme=scheme, timezone_id="America/New_York")  # type: ignore[arg-type]  # plain words
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("request", lambda sent: None if sent.url.startswith(lived.url) else wrong.append(sent.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Security Policy" in said.text else None)
        hands = Hands(page, lived.url)
        return hands.sign_in(key) if key is not None else hands

    yield down
    for context in opened:
        context.close()
    assert wrong == []


def show(lived: Paywall, reader: str) -> str:
    return str(lived.ask({"id": "a-story", "tier": "supporters"}, reader=reader, count=False)["show"])


def shot(hands: Hands, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    hands.page.screenshot(path=SHOTS / f"admin-{name}.png", full_page=True)


def test_a_reader_is_found_understood_and_let_in(sit: Sit, lived: Paywall) -> None:
    for number in range(6):
        lived.ask(f"s-{number}", reader="r-nadia")
    ann = sit().find("r-nadia").sees("No access")
    ann.type("#why-story", "s-7").press("main form[action$='/why'] button").sees("The upsell box").sees(
        "You can tell her"
    )
    shot(ann, "walk-why")
    ann.fold("Give access").choose("#what", "VIP").choose("#ends-new", "in 90").type("#reason-new", "press card")
    assert show(lived, "r-nadia") == "upsell"
    ann.send("#give button", "Access granted.")
    assert show(lived, "r-nadia") == "full"
    shot(ann, "walk-granted")
    ann.fold("Change the end").choose("details[open] select[name=ends]", "in 7").type(
        "details[open] input[name=reason]", "a week is enough"
    )
    ann.send("details[open] button", "End changed.")
    ann.fold("Revoke").type("details[open] input[name=reason]", "she has left").send(
        "details[open] button.danger", "Grant revoked."
    )
    assert show(lived, "r-nadia") == "upsell"
    ann.sees("she has left")


def test_a_payment_that_is_nobodys_is_linked(sit: Sit, lived: Paywall) -> None:
    ann = sit().press("main a[href*='sub_demo095']").sees("known, but nobody’s")
    ann.type("#whose", "r-nadia").send("form.card button", "Linked")
    wait_until(lambda: show(lived, "r-nadia") == "full", 10)


def test_readers_are_merged_exported_and_erased(sit: Sit, lived: Paywall) -> None:
    ann = sit().open("/admin/reader?id=r-new").fold("Merge another").type("#from", "r-jonas")
    ann.press("form[action$='/merge'] button").sees("This cannot be undone")
    shot(ann, "walk-merge")
    ann.tick("input[name=sure]").send("button.danger", "Merged.")
    assert show(lived, "r-new") == "full"
    ann.open("/admin/reader?id=r-press-01").fold("Her rights")
    with ann.page.expect_download() as download:
        ann.press("a[download]")
    assert "r-press-01" in Path(download.value.path()).read_text("utf-8")
    ann.type("#typed", "r-press-01").type("#reason-erase", "she asked for it").send(
        "form[action$='/erase'] button", "Erased:"
    )
    assert show(lived, "r-press-01") == "upsell"


def test_seats_are_given_and_taken_back(sit: Sit, lived: Paywall) -> None:
    ann = sit().open("/admin/reader?id=r-school").press("a[href*='/seats']").sees("3 of 5 seats given")
    ann.type("#reader", "r-new-teacher").send("form[action$='/give'] button", "The seat is given.")
    wait_until(lambda: show(lived, "r-new-teacher") == "full", 10)
    shot(ann, "walk-seats")
    ann.send("form:has(input[value='r-new-teacher']) button", "The seat is free again.")
    wait_until(lambda: show(lived, "r-new-teacher") == "upsell", 10)


def test_a_file_is_checked_imported_and_undone(sit: Sit, lived: Paywall, tmp_path: Path) -> None:
    sheet = tmp_path / "members.csv"
    rows = [f"r-import-{n},vip,{in_days(200)},library card" for n in range(60)]
    sheet.write_text("\n".join(["reader,plan,until,reason", "r-bad,none,,x", *rows]))
    ann = sit().press("nav a[href$='/imports']").to("#file")
    ann.page.set_input_files("#file", sheet)
    ann.press("#import .row button").sees("Mend these")
    shot(ann, "walk-import-mistakes")
    sheet.write_text("\n".join(["reader,plan,until,reason", *rows]))
    ann.page.set_input_files("#file", sheet)
    ann.press("#import .row button").sees("Import 60 rows")
    shot(ann, "walk-import-checked")
    ann.press("button[name=go]").sees("Done")
    assert show(lived, "r-import-59") == "full"
    shot(ann, "walk-import-done")
    ann.fold("Undo this import").type("#reason-undo", "the wrong list").send("button.danger", "Undoing has begun")
    ann.page.wait_for_selector(".badge:has-text('Undone')")
    assert show(lived, "r-import-59") == "upsell"


def test_a_second_admin_confirms(sit: Sit, lived: Paywall) -> None:
    ann = sit().open("/admin/reader?id=r-nadia").fold("Give access").choose("#what", "VIP").choose("#ends-new", "never")
    ann.type("#reason-new", "for life").send("#give button", "A second admin has to confirm")
    assert show(lived, "r-nadia") == "upsell"
    ben = sit("key-of-ben").press("main a[href$='/approvals']").sees("for life")
    shot(ben, "walk-approvals")
    ben.send("form[action$='/confirm'] button", "Confirmed, and done.")
    assert show(lived, "r-nadia") == "full"


def test_an_event_is_replayed_and_found_in_the_audit(sit: Sit, lived: Paywall) -> None:
    ann = sit().press("main a[href*='evt_demo_given_up']").sees("Given up")
    ann.send("form[action$='/replay'] button", "Replayed")
    ann.press("nav a[href$='/audit']").choose("#f-action", "Event replayed").press("form[action$='/audit'] button")
    ann.sees("evt_demo_given_up")


def test_a_key_is_made_used_and_ended(sit: Sit, lived: Paywall) -> None:
    ann = sit().press("nav a[href$='/keys']").type("#name", "desk-2").choose("#role", "Granter")
    ann.press("form[action$='/keys'] button").sees("It is shown this once")
    key = str(ann.page.inner_text(".secret"))
    new = sit(key).find("r-nadia").sees("No access")
    assert key not in lived.log
    assert key not in ann.page.url
    ann.press("main a.button").fold("End").send("button.danger", "The key is ended")
    wait_until(lambda: new.open("/admin/audit").page.url.endswith("over=1"), 5)


def test_a_story_pass_is_made_and_revoked(sit: Sit, lived: Paywall) -> None:
    ann = sit().press("nav a[href$='/passes']").fold("Make a pass").type("#story", "a-story").type("#openings", "3")
    ann.choose("#ends-pass", "in 7").type("#reason-pass", "newsletter").send(
        "main details[open] button", "The pass is made"
    )
    link = str(ann.page.inner_text(".secret"))
    story = {"id": "a-story", "tier": "supporters"}
    assert lived.ask(story, visitor="v-1", **{"pass": link})["show"] == "full"
    ann.fold("Revoke").send("button.danger", "The pass is revoked")
    assert lived.ask(story, visitor="v-1", **{"pass": link})["show"] == "upsell"


def test_signing_out_everywhere_ends_the_other_browser_too(sit: Sit) -> None:
    here, there = sit(), sit()
    here.press(".menu summary").send("form[action$='everywhere'] button", "You are signed out, on every device.")
    wait_until(lambda: "sign-in" in there.open("/admin/keys").page.url, 5)


VIEWS = {
    "overview": "/admin/",
    "search": "/admin/readers",
    "reader": "/admin/reader?id=r-maya",
    "reader-past": "/admin/reader?id=r-maya&at=2026-01-01T00:00:00Z",
    "stranger": "/admin/reader?id=r-nobody",
    "why": "/admin/why?id=r-maya&story=2026-harbour-contract",
    "nobodys": "/admin/readers?q=sub_demo095",
    "seats": "/admin/seats?id=sub_demo090",
    "import": "/admin/imports",
    "approvals": "/admin/approvals",
    "passes": "/admin/passes",
    "events": "/admin/events",
    "given-up": "/admin/events?state=dead",
    "event": "/admin/event?id=evt_demo_given_up",
    "audit": "/admin/audit",
    "keys": "/admin/keys",
    "not-found": "/admin/event?id=evt_none",
    "opens-nothing": "/admin/reader?id=r-oda",
    "description": "/docs",
}


@pytest.mark.parametrize(("scheme", "width"), HOW)
def test_every_view_fits_and_has_nothing_serious(sit: Sit, scheme: str, width: int) -> None:
    door = sit(None, scheme, width).open("/admin")
    assert faults(door.page) == []
    shot(door, f"sign-in-{scheme}-{width}")
    ann = door.sign_in(ADMIN_KEY)
    found = {}
    for name, path in VIEWS.items():
        ann.open(path)
        for fold in ann.page.query_selector_all("main details:not([open]) > summary"):
            fold.evaluate("s => s.parentElement.open = true") if width == 1280 else None
        found[name] = faults(ann.page)
        assert ann.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        ann.open(path)
        shot(ann, f"{name}-{scheme}-{width}")
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_times_are_the_browsers_own_and_utc_without_scripts(sit: Sit, browser: Browser, lived: Paywall) -> None:
    ann = sit().open("/admin/audit")
    one = "document.querySelector('time')"
    told, moment = ann.page.evaluate(f"[{one}.textContent, {one}.dateTime]")
    assert not told.endswith("UTC")
    assert moment.endswith("Z")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(lived.url + "/admin")
    page.fill("#key", ADMIN_KEY)
    page.click("button")
    page.goto(lived.url + "/admin/audit")
    assert page.inner_text("time >> nth=0").endswith("UTC")
    page.goto(lived.url + "/admin/reader?id=r-maya")
    typed = re.findall(r"In (\S+) time", page.inner_text(".why") + page.inner_text("[aria-labelledby=h-past]"))
    assert typed == ["America/New_York"] * 2  # What is typed is the site's, beside moments that are told in UTC.
    page.fill("#why-story", "s-1")
    page.click("button:has-text('Why?')")
    assert "The full story" in page.inner_text("main")
    context.close()
