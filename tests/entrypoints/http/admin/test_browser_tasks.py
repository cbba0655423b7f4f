"""Every task in a real browser, with the keyboard only, from the sign-in to the changed story."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.entrypoints.http.admin.conftest import OpenBrowser, shot
from tests.running_service import Paywall, in_days
from tests.store_servers import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.full]


def show(lived: Paywall, reader: str) -> str:
    return str(lived.ask({"id": "a-story", "tier": "supporters"}, reader=reader, count=False)["show"])


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
    ann.type("#whose", "r-payer").send("form.card button", "Subscription linked.")
    wait_until(lambda: show(lived, "r-payer") == "full")


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
        .open("/admin/reader?id=r-vera")
        .fold("Grant access")
        .choose("#what", "VIP")
        .choose("#ends-new", "never")
    )
    ann.type("#reason-new", "for life").tick("#give input[name=sure]").send(
        "#give button", "A second admin must approve"
    )
    assert show(lived, "r-vera") == "upsell"
    ben = open_browser("key-of-ben-in-the-tests").press("main a[href$='/approvals']").sees("for life")
    shot(ben, "walk-approvals")
    ben.send("form[action$='/confirm'] button", "The change is in effect.")
    assert show(lived, "r-vera") == "full"


def test_event_is_replayed_and_found_in_audit_log(open_browser: OpenBrowser, lived: Paywall) -> None:
    ann = open_browser().press("main a[href*='evt_demo_failed']").sees("Failed")
    ann.send("form[action$='/replay'] button", "Event queued.")
    ann.press("nav a[href$='/audit']").choose("#f-action", "Event replayed").press("form[action$='/audit'] button")
    ann.sees("evt_demo_failed")


def test_api_key_is_created_used_and_revoked(open_browser: OpenBrowser, lived: Paywall) -> None:
    ann = open_browser().press("nav a[href$='/keys']").type("#name", "desk-2").choose("#role", "Editor")
    ann.press("form[action$='/keys'] button").sees("you won’t see it again")
    key = str(ann.page.inner_text(".secret"))
    new = open_browser(key).find("r-unheard-of").sees("Reader not found")
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


def test_readers_are_found_while_typing(open_browser: OpenBrowser, lived: Paywall) -> None:
    lived.grant("typed-4711", plan="vip", until=in_days(20), reason="press card")
    ann = open_browser().open("/admin/readers/table")
    assert ann.page.locator("#found tbody tr").count() > 1
    ann.type("#f-prefix", "typed-47").sees("typed-4711")
    wait_until(lambda: ann.page.locator("#found tbody tr").count() == 1)
    ann.open("/admin/").press("a[href$='plan=vip&access=true']").sees("typed-4711")
