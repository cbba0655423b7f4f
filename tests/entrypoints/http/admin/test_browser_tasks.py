"""Every task in a real browser, with the keyboard only, from the sign-in to the changed story."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.entrypoints.http.admin.conftest import SHOTS
from tests.entrypoints.http.admin.keyboard_user import KeyboardUser, accessibility_errors
from tests.running_service import ADMIN_KEY, Paywall, in_days
from tests.store_servers import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.full]

HOW = [("light", 1280), ("dark", 390), ("dark", 1280), ("light", 390)]


OpenBrowser = Callable[..., KeyboardUser]


@pytest.fixture
def open_browser(chromium: Browser, lived: Paywall) -> Iterator[OpenBrowser]:
    """Return a user: `open_browser(key, scheme, width)`. Requests to other hosts and errors in the page fail the test."""
    opened: list[BrowserContext] = []
    wrong: list[str] = []

    def down(key: str | None = ADMIN_KEY, scheme: str = "light", width: int = 1280) -> KeyboardUser:
        size = {"width": width, "height": 900}
        context = chromium.new_context(viewport=size, color_scheme=scheme, timezone_id="America/New_York")  # type: ignore[arg-type]  # plain words
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("request", lambda sent: None if sent.url.startswith(lived.url) else wrong.append(sent.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Security Policy" in said.text else None)
        hands = KeyboardUser(page, lived.url)
        return hands.sign_in(key) if key is not None else hands

    yield down
    for context in opened:
        context.close()
    assert wrong == []


def show(lived: Paywall, reader: str) -> str:
    return str(lived.ask({"id": "a-story", "tier": "supporters"}, reader=reader, count=False)["show"])


def shot(hands: KeyboardUser, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    hands.page.screenshot(path=SHOTS / f"admin-{name}.png", full_page=True)


def test_reader_is_found_and_granted_access(open_browser: OpenBrowser, lived: Paywall) -> None:
    for number in range(6):
        lived.ask(f"s-{number}", reader="r-nadia")
    lived.ask("s-7")
    ann = open_browser().find("r-nadia").sees("No access")
    ann.type("#why-story", "s-7").press("main form[action$='/why'] button").sees("Paywall").sees(
        "Answer for the reader"
    )
    shot(ann, "walk-why")
    ann.fold("Grant access").choose("#what", "VIP").choose("#ends-new", "in 90").type("#reason-new", "press card")
    assert show(lived, "r-nadia") == "upsell"
    ann.send("#give button", "Access granted.")
    assert show(lived, "r-nadia") == "full"
    shot(ann, "walk-granted")
    ann.fold("Change expiry date").choose("details[open] select[name=ends]", "in 7").type(
        "details[open] input[name=reason]", "a week is enough"
    )
    ann.send("details[open] button", "Expiry date changed.")
    ann.fold("Revoke").type("details[open] input[name=reason]", "they left").tick(
        "details[open] input[name=sure]"
    ).send("details[open] button.danger", "Grant revoked.")
    assert show(lived, "r-nadia") == "upsell"
    ann.sees("they left")


def test_unassigned_payment_is_linked(open_browser: OpenBrowser, lived: Paywall) -> None:
    ann = open_browser().press("main a[href*='sub_demo095']").sees("not linked to a reader")
    ann.type("#whose", "r-nadia").send("form.card button", "Subscription linked.")
    wait_until(lambda: show(lived, "r-nadia") == "full")


def test_readers_are_merged_exported_and_erased(open_browser: OpenBrowser, lived: Paywall) -> None:
    lived.ask("a-metered-story", reader="r-new")  # An unknown ID has no page to merge into.
    ann = open_browser().open("/admin/reader?id=r-new").fold("Merge another").type("#from", "r-jonas")
    ann.press("form[action$='/merge'] button").sees("You can’t undo this")
    shot(ann, "walk-merge")
    ann.tick("input[name=sure]").send("button.danger", "Readers merged.")
    assert show(lived, "r-new") == "full"
    ann.open("/admin/reader?id=r-press-01").fold("Privacy")
    with ann.page.expect_download() as download:
        ann.press("a[download]")
    assert "r-press-01" in Path(download.value.path()).read_text("utf-8")
    ann.type("#typed", "r-press-01").type("#reason-erase", "asked by email").send(
        "form[action$='/erase'] button", "Reader erased:"
    )
    assert show(lived, "r-press-01") == "upsell"


def test_seats_are_assigned_and_removed(open_browser: OpenBrowser, lived: Paywall) -> None:
    ann = open_browser().open("/admin/reader?id=r-school").press("a[href*='/seats']").sees("3 of 5 seats assigned")
    ann.type("#reader", "r-new-teacher").send("form[action$='/give'] button", "Seat assigned.")
    wait_until(lambda: show(lived, "r-new-teacher") == "full")
    shot(ann, "walk-seats")
    seat = "form:has(input[value='r-new-teacher'])"
    ann.fold("r-new-teacher").tick(f"{seat} input[name=sure]").send(f"{seat} button", "Seat removed.")
    wait_until(lambda: show(lived, "r-new-teacher") == "upsell")


def test_file_is_validated_imported_and_undone(open_browser: OpenBrowser, lived: Paywall, tmp_path: Path) -> None:
    sheet = tmp_path / "members.csv"
    rows = [f"r-import-{n},vip,{in_days(200)},library card" for n in range(60)]
    sheet.write_text("\n".join(["reader,plan,until,reason", "r-bad,none,,x", *rows]))
    ann = open_browser().press("nav a[href$='/imports']").to("#file")
    ann.page.set_input_files("#file", sheet)
    ann.press("#import .row button").sees("Fix these errors")
    shot(ann, "walk-import-mistakes")
    sheet.write_text("\n".join(["reader,plan,until,reason", *rows]))
    ann.page.set_input_files("#file", sheet)
    ann.press("#import .row button").sees("Import 60 rows")
    shot(ann, "walk-import-checked")
    ann.press("button[name=go]").sees("Done")
    assert show(lived, "r-import-59") == "full"
    shot(ann, "walk-import-done")
    ann.fold("Undo this import").type("#reason-undo", "the wrong list").tick("input[name=sure]").send(
        "button.danger", "The undo has started"
    )
    ann.page.wait_for_selector(".badge:has-text('Undone')")
    assert show(lived, "r-import-59") == "upsell"


def test_second_admin_approves(open_browser: OpenBrowser, lived: Paywall) -> None:
    ann = (
        open_browser()
        .open("/admin/reader?id=r-nadia")
        .fold("Grant access")
        .choose("#what", "VIP")
        .choose("#ends-new", "never")
    )
    ann.type("#reason-new", "for life").tick("#give input[name=sure]").send(
        "#give button", "A second admin must approve"
    )
    assert show(lived, "r-nadia") == "upsell"
    ben = open_browser("key-of-ben-in-the-tests").press("main a[href$='/approvals']").sees("for life")
    shot(ben, "walk-approvals")
    ben.send("form[action$='/confirm'] button", "The change is in effect.")
    assert show(lived, "r-nadia") == "full"


def test_event_is_replayed_and_found_in_audit_log(open_browser: OpenBrowser, lived: Paywall) -> None:
    ann = open_browser().press("main a[href*='evt_demo_failed']").sees("Failed")
    ann.send("form[action$='/replay'] button", "Event queued.")
    ann.press("nav a[href$='/audit']").choose("#f-action", "Event replayed").press("form[action$='/audit'] button")
    ann.sees("evt_demo_failed")


def test_api_key_is_created_used_and_revoked(open_browser: OpenBrowser, lived: Paywall) -> None:
    ann = open_browser().press("nav a[href$='/keys']").type("#name", "desk-2").choose("#role", "Editor")
    ann.press("form[action$='/keys'] button").sees("you won’t see it again")
    key = str(ann.page.inner_text(".secret"))
    new = open_browser(key).find("r-nadia").sees("Reader not found")
    assert key not in lived.log
    assert key not in ann.page.url
    ann.press("main a.button").fold("Revoke").tick("input[name=sure]").send("button.danger", "API key revoked.")
    wait_until(lambda: new.open("/admin/audit").page.url.endswith("over=1"))


def test_gift_link_is_created_and_revoked_in_browser(open_browser: OpenBrowser, lived: Paywall) -> None:
    ann = (
        open_browser()
        .press("nav a[href$='/passes']")
        .fold("Create gift link")
        .type("#story", "a-story")
        .type("#openings", "3")
    )
    ann.choose("#ends-pass", "in 7").type("#reason-pass", "newsletter").send(
        "main details[open] button", "Gift link created."
    )
    link = str(ann.page.inner_text(".secret"))
    story = {"id": "a-story", "tier": "supporters"}
    assert lived.ask(story, visitor="v-1", **{"pass": link})["show"] == "full"
    ann.fold("Revoke").tick("input[name=sure]").send("button.danger", "Gift link revoked.")
    assert lived.ask(story, visitor="v-1", **{"pass": link})["show"] == "upsell"


def test_sign_out_everywhere_ends_other_browser(open_browser: OpenBrowser) -> None:
    here, there = open_browser(), open_browser()
    here.press(".menu summary").send("form[action$='everywhere'] button", "You are signed out on every device.")
    wait_until(lambda: "sign-in" in there.open("/admin/keys").page.url)


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


@pytest.mark.parametrize(("scheme", "width"), HOW)
def test_every_page_fits_and_passes_axe(open_browser: OpenBrowser, scheme: str, width: int) -> None:
    signed_out = open_browser(None, scheme, width).open("/admin")
    assert accessibility_errors(signed_out.page) == []
    shot(signed_out, f"sign-in-{scheme}-{width}")
    ann = signed_out.sign_in(ADMIN_KEY)
    found = {}
    for name, path in VIEWS.items():
        ann.open(path)
        for fold in ann.page.query_selector_all("main details:not([open]) > summary"):
            fold.evaluate("s => s.parentElement.open = true") if width == 1280 else None
        found[name] = accessibility_errors(ann.page)
        assert ann.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        ann.open(path)
        shot(ann, f"{name}-{scheme}-{width}")
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_readers_are_found_while_typing(open_browser: OpenBrowser, lived: Paywall) -> None:
    lived.grant("typed-4711", plan="vip", until=in_days(20), reason="press card")
    ann = open_browser().open("/admin/readers/table")
    assert ann.page.locator("#found tbody tr").count() > 1
    ann.type("#f-prefix", "typed-47").sees("typed-4711")
    wait_until(lambda: ann.page.locator("#found tbody tr").count() == 1)
    ann.open("/admin/").press("a[href$='plan=vip&access=true']").sees("typed-4711")


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
