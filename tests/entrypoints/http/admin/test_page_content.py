"""What the pages say: in words instead of codes, and only what is true."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.imports.import_store import ImportManifest
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import write_of
from service.domain.catalogue import DAY
from service.domain.sources import Subscription
from service.use_cases.subscriptions.catch_up import CatchUpResult
from service.use_cases.takeover.export_file import read_export
from service.use_cases.takeover.formats import FORMATS
from service.use_cases.takeover.formats.export_format import ReadingContext
from service.use_cases.takeover.level_map import LevelMap
from tests.entrypoints.http.admin.conftest import MakeStaff, deliver_subscription, granted, plain
from tests.in_process_app import InProcessApp
from tests.running_service import ADMIN_KEY, in_days
from tests.store_servers import wait_until


def test_access_check_lists_entitlements_in_words(staff: MakeStaff, admin_app: InProcessApp) -> None:
    granted(admin_app, "r-1")
    page = staff().get("/why?id=r-1&story=s-1&tier=metered")
    assert '"feature"' not in plain(page)
    assert "notebook (until " in plain(page)


def test_unknown_reader_differs_from_reader_without_access(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    page = ann.get("/reader?id=r-1")
    assert (page.status_code, "Reader not found" in plain(page)) == (404, True)
    assert "Check access to a story" in plain(page)  # A new reader can be locked out, too.
    assert "No subscription" in plain(ann.get("/why?id=r-1&story=s-1&tier=supporters"))
    admin_app.ask("s-1", reader="r-1")
    page = ann.get("/reader?id=r-1")
    assert (page.status_code, "Reader not found" in plain(page)) == (200, False)


def test_page_of_an_unknown_id_says_what_to_try(staff: MakeStaff, admin_app: InProcessApp) -> None:
    granted(admin_app, "r-1042")
    ann = staff()

    def suggested(name: str) -> list[str]:
        return re.findall(r'/admin/reader\?id=([^"]+)"', ann.get("/reader", query_string={"id": name}).text)

    wait_until(lambda: suggested("r-104") == ["r-1042"])
    assert [suggested(name) for name in ("R-1042", "r-1043", "r-10429", "x-1")] == [["r-1042"]] * 3 + [[]]
    page = ann.get("/reader?id=maya@example.com")
    assert "An e-mail address is not a reader ID" in plain(page)
    assert "https://dashboard.stripe.com/test/search?query=maya%40example.com" in page.text


def test_grant_to_an_unknown_id_is_asked_once(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    grant: dict[str, Any] = {"id": "r-new", "what": "plan:vip", "ends": "30", "reason": "press card"}
    refused = ann.post("/reader/grant", **grant)
    assert refused.status_code == 422
    assert "No reader with this ID is known yet. Grant anyway." in plain(refused)
    assert admin_app.reader("r-new")["sources"] == []
    assert ann.post("/reader/grant", **grant, sure="1").status_code == 303
    assert ann.post("/reader/grant", **grant).status_code == 303, "now the reader is known"


def test_purchase_without_plan_is_shown_as_no_access(staff: MakeStaff, admin_app: InProcessApp) -> None:
    deliver_subscription(admin_app, "sub_odd", "price_odd", "r-1")
    ann = staff()
    page = plain(ann.get("/reader?id=r-1"))
    assert "The purchased price isn’t in any plan" in page
    assert "Active" not in page
    assert 'href="/admin/readers?q=sub_odd"' in ann.get("/").text


def test_group_buyer_is_not_shown_as_having_access(staff: MakeStaff, admin_app: InProcessApp) -> None:
    deliver_subscription(admin_app, "sub_group", "price_seat_month", "r-school")
    page = plain(staff().get("/reader?id=r-school"))
    assert "Pays for a group" in page
    assert "Active" not in page


def test_activity_omits_rereads_without_changes(staff: MakeStaff, admin_app: InProcessApp) -> None:
    deliver_subscription(admin_app, "sub_1", "price_month", "r-1")
    readers, now = admin_app.service.readers, admin_app.clock()
    (change,) = readers.load_history("r-1")
    assert change.record is not None
    source = source_codec.decode(change.field, change.record)
    assert isinstance(source, Subscription)
    for number, again in (
        (50, replace(source, confirmed=not source.confirmed)),
        (51, replace(source, status="past_due")),
    ):
        readers.write("r-1", write_of(again, number, ended=False, now=now, cause=""))
    assert len(readers.load_history("r-1")) == 3
    assert staff().get("/reader?id=r-1").text.partition('class="timeline"')[2].count("<li") == 2


def test_grant_id_leads_to_its_reader(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann, grant = staff(), granted(admin_app, "r-1")["id"]
    wait_until(lambda: ann.get(f"/readers?q={grant}").headers["Location"] == "/admin/reader?id=r-1")


@pytest.mark.parametrize(
    "query", ["in_1PgafmB7WZ01zgkW6dKueIc5", "pi_3MtwBwLkdIwHu7ix28a3tqPa", "price_1MoBy5LkdIwHu7ix"]
)
def test_unsupported_stripe_ids_show_advice(staff: MakeStaff, query: str) -> None:
    page = staff().get(f"/readers?q={query}")
    assert page.status_code == 200
    assert "Open it at Stripe, and search for its customer" in plain(page)


def test_alerts_link_to_stripe_or_command(staff: MakeStaff, admin_app: InProcessApp) -> None:
    alerts = admin_app.service.alerts
    alerts.record_catch_up(CatchUpResult(listed=5, missed=2, prices=False, late=2), admin_app.clock())
    admin_app.service.alert_store.raise_flag("clock", 90, "at least 90 s behind", admin_app.clock())
    page = staff().get("/").text
    assert 'href="https://dashboard.stripe.com/test/webhooks"' in page
    assert "<code>paywall doctor</code>" in page


def test_error_page_shows_its_title_once(staff: MakeStaff) -> None:
    assert plain(staff().get("/event?id=evt_1")).count("Not found") == 2  # the title, the heading
    part = staff().client.get("/admin/why?id=r-1&story=", headers={"HX-Request": "true"})
    assert "Invalid input." in part.text


def test_pending_approval_is_shown_in_words(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    ann.post("/reader/grant", id="r-1", what="plan:vip", ends="never", reason="for life", sure="1")
    page = plain(ann.get("/approvals"))
    assert "Grant access" in page
    assert "Access granted" not in page
    assert "Expires no expiry" in page
    wait_until(lambda: "Request Grant access" in plain(ann.get("/audit")))


def test_reader_page_at_another_time_is_labeled(staff: MakeStaff, admin_app: InProcessApp) -> None:
    granted(admin_app, "r-1")
    for moment, said in (("2082-01-01T00:00:00Z", "Forecast for"), ("2024-01-01T00:00:00Z", "As of")):
        page = plain(staff().get(f"/reader?id=r-1&at={moment}"))
        assert "Access on that date" in page
        assert "Current access" not in page
        assert said in page


@pytest.mark.parametrize(
    ("sheet", "said", "unsaid"),
    [
        ("reader,plan,until,reason\n", "There is nothing to import", "Import 0 rows"),
        ("reader;plan;ends;reason\nr-1;vip;never;x\n", "column 3 must be until", "rows shown"),
    ],
)
def test_import_file_without_readable_rows_shows_why(staff: MakeStaff, sheet: str, said: str, unsaid: str) -> None:
    ann = staff()
    ann.get("/imports")
    page = plain(ann.post("/imports", file=(io.BytesIO(sheet.encode()), "grants.csv")))
    assert said in page
    assert unsaid not in page


def test_import_file_too_large_shows_limit(staff: MakeStaff) -> None:
    ann = staff()
    ann.get("/imports")
    large = b"x" * (17 << 20)
    answer = ann.client.post("/admin/imports", data=large, content_type="multipart/form-data; boundary=b")
    assert answer.status_code == 413
    assert "16 MiB" in plain(answer)


def test_recent_import_is_listed(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    row = f"reader,plan,until,reason\nr-1,vip,{in_days(30)},press\n"
    done = admin_app.client.post(
        "/v1/grants/import",
        data=row,
        headers={"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "text/csv"},
    )
    name = done.get_json()["id"]
    wait_until(lambda: f'href="/admin/import?id={name}"' in ann.get("/imports").text)
    assert "Import Time Actor Rows New" in plain(ann.get("/imports"))
    assert f'href="/admin/readers?q={name}"' in ann.get("/audit").text


def test_erasing_paying_reader_needs_confirmation(staff: MakeStaff, admin_app: InProcessApp) -> None:
    deliver_subscription(admin_app, "sub_1", "price_month", "r-1")
    ann = staff()
    refused = ann.post("/reader/erase", id="r-1", typed="r-1", reason="asked")
    assert refused.status_code == 409
    assert "(sub_1). End it where it is billed first, or force the erasure." in plain(refused)
    assert ann.post("/reader/erase", id="r-1", typed="r-1", reason="asked", force="1").status_code == 303


def test_forged_form_is_not_reported_as_missing_permission(staff: MakeStaff) -> None:
    ann = staff()
    for headers, token in (({"Origin": "https://evil.example"}, None), ({}, "0" * 64)):
        page = plain(ann.post("/reader/grant", token=token, headers=headers, id="r-1", reason="x"))
        assert "Form not accepted" in page
        assert "Permission denied" not in page


@pytest.mark.parametrize("at", ["0001-01-01T12:00", "9999-12-31T23:59"])
def test_first_and_last_date_of_calendar_are_accepted(staff: MakeStaff, at: str) -> None:
    ann = staff()
    for view in ("/why?id=r-1&story=s-1", "/reader?id=r-1"):
        assert ann.get(f"{view}&at={at}&zone=Asia/Kolkata").status_code == 200


def test_form_address_opened_as_page_shows_advice(staff: MakeStaff) -> None:
    page = staff().get("/reader/grant")
    assert page.status_code == 405
    assert "Go back to the page that has the form" in plain(page)


def test_many_ended_sources_are_folded(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    for number in range(4):
        assert " ended Subscription" not in plain(ann.get("/reader?id=r-1")), number
        grant = granted(admin_app, "r-1")["id"]
        ann.post("/reader/revoke", id="r-1", grant=grant, reason="over", sure="1")
    granted(admin_app, "r-1")
    page = ann.get("/reader?id=r-1").text.partition('id="h-sources"')[2].partition('id="h-actions"')[0]
    assert "4 ended" in page
    assert "Active" in page.partition("<summary>4 ended")[0]
    lines = plain(ann.get("/reader?id=r-1")).partition("Activity")[2]
    assert "active until" in lines
    assert "revoked until" not in lines


def test_elapsed_cancellation_is_not_shown_as_scheduled(staff: MakeStaff, admin_app: InProcessApp) -> None:
    soon = int(admin_app.clock()) + 3_600
    deliver_subscription(admin_app, "sub_1", "price_month", "r-1", cancel_at=soon)
    ann = staff()
    assert "Cancellation scheduled" in plain(ann.get("/reader?id=r-1"))
    admin_app.clock.now += 7_200
    assert "Cancellation scheduled" not in plain(ann.get("/reader?id=r-1"))


def test_gift_link_page_shows_who_can_use_it(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    page = ann.post("/passes", story="s-1", openings="1", ends="7", reason="the jury").headers["Location"]
    page = page.removeprefix("/admin")
    answer = ann.get(page)
    assert "Anyone with this link can read the story." in plain(answer)
    token = answer.text.partition('data-copy="')[2].partition('"')[0]
    question = {"story": {"id": "s-1", "tier": "supporters"}, "reader": "r-9", "pass": token}
    assert admin_app.call("POST", "/v1/access", question).get_json()["reason"] == "gift"
    answer = ann.get(page)
    assert "People who used the link keep access to the story until it expires." in plain(answer)
    assert "Anyone with" not in plain(answer)
    assert ann.post("/pass/revoke", id=page.partition("id=")[2], sure="1").status_code == 303
    answer = ann.get(page)
    assert "This link no longer opens the story." in plain(answer)
    assert "Anyone with" not in plain(answer)


def test_activity_shows_actor_of_oldest_change(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    path = f"/v1/readers/r-1/grants/{granted(admin_app, 'r-1', reason='the very first')['id']}"
    ends = [datetime.fromtimestamp(admin_app.clock() + day * 86_400, UTC).isoformat() for day in range(50, 255)]
    for end in ends:
        assert admin_app.call("PATCH", path, {"until": end, "reason": "a day more"}, admin=True).status_code == 200
    later = f"/reader?id=r-1&at={datetime.fromtimestamp(admin_app.clock() + 60, UTC):%Y-%m-%dT%H:%M}&zone=UTC&all=1"
    for page in ("/reader?id=r-1&all=1", later):
        wait_until(lambda page=page: plain(ann.get(page)).count("a day more") == len(ends))  # type: ignore[misc]
        assert "“ the very first ” · by" in plain(ann.get(page)).partition("Activity")[2]


def test_compare_page_shows_the_table_reasons_and_samples(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    assert "Nothing was compared" in plain(ann.get("/comparisons"))
    story = {"id": "s-locked", "tier": "supporters", "parts": ["notebook"]}
    for incumbent in ("upsell", "upsell", "full"):
        answer = admin_app.ask(story, reader="r-1", incumbent=incumbent)
    admin_app.service.usage_counters.flush()
    admin_app.service.comparisons.write_samples()
    page = ann.get("/comparisons")
    text = plain(page)
    assert "3 answers were compared" in text
    assert "2 agreed (66.7%)" in text
    assert "Full story here 0 0.0% 0 0.0% Paywall here 1 33.3% 2 66.7%" in text
    assert "Paywall Full story No subscription 1" in text
    assert f"/admin/decision?id={answer['decision_id']}" in page.text
    assert ann.get("/comparisons/comparisons.csv").text.splitlines()[-1].endswith(",2,0,1")
    assert ann.get(f"/decision?id={answer['decision_id']}").status_code == 200


def test_seats_page_lists_open_invitations(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann, groups, now = staff(), admin_app.service.owned_groups, admin_app.clock()
    deliver_subscription(admin_app, "sub_1", "price_seat_month", "r-1")
    assert "Open invitations" not in ann.get("/seats?id=sub_1").text
    invitation, token = groups.create_invitation("sub_1", "r-1", now + 86_400, now)
    page = ann.get("/seats?id=sub_1").text
    assert "Open invitations" in page
    assert invitation.id in page
    assert token not in page
    groups.withdraw_invitation("sub_1", "r-1", invitation.id, now)
    assert invitation.id not in ann.get("/seats?id=sub_1").text


def test_seats_of_ended_group_are_shown_as_inactive(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    deliver_subscription(admin_app, "sub_1", "price_seat_month", "r-1")
    assert "These seats give no access" not in plain(ann.get("/seats?id=sub_1"))
    over = int(admin_app.clock())
    deliver_subscription(admin_app, "sub_1", "price_seat_month", "r-1", "evt_2", status="canceled", ended_at=over)
    assert "These seats give no access now. The subscription’s status at Stripe is “ canceled ”" in plain(
        ann.get("/seats?id=sub_1")
    )


def test_take_over_is_shown_among_the_imports(staff: MakeStaff, admin_app: InProcessApp) -> None:
    service, now = admin_app.service, admin_app.clock()
    body = b"id,complimentary_plan,stripe_customer_id,tiers\nr-1,true,,Gold\nr-2,,cus_1,Gold\n"
    levels = LevelMap(plans={"Gold": "supporter"}, ends={"complimentary": int(now) + DAY})
    context = ReadingContext(now, service.settings.catalogue.zone, "id")
    rows = read_export(body, 0, FORMATS["ghost"], context)
    found = service.takeover.examine(FORMATS["ghost"], rows, levels, now, lambda what, done, of: None)
    done = service.takeover.commit(found, Actor("cli:ann"), now)
    assert isinstance(done, ImportManifest)
    service.imports.finish(done.id)
    ann = staff()
    page = plain(ann.get(f"/import?id={done.id}"))
    assert "Links 1 Grants 1 Seats 0" in page
    wait_until(lambda: done.id in ann.get("/imports").text)


@pytest.mark.parametrize(
    "path", ["/readers", "/reader?id=r-1", "/reader?id=r-unknown", "/why?id=r-1&story=s-1&tier=free"]
)
def test_menu_marks_readers_on_their_pages(staff: MakeStaff, admin_app: InProcessApp, path: str) -> None:
    granted(admin_app, "r-1")
    marked = re.findall(r'<a href="([^"]+)" aria-current="page">', staff("viewer").get(path).text)
    assert marked == ["/admin/readers/table"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/?from=2999-01-01", "From must be a day that has come"),
        ("/?to=soon", "To must be a date"),
        ("/reader/merge?id=r-1&from=r-1", "Other reader is the same reader"),
        ("/event?id=%00", "Event must"),
        ("/pass?id=%00", "ID must"),
    ],
)
def test_refusal_names_a_field_as_its_form_does(
    staff: MakeStaff, admin_app: InProcessApp, path: str, said: str
) -> None:
    granted(admin_app, "r-1")
    answer = staff("owner").get(path)
    assert (answer.status_code, said in plain(answer)) == (422, True)


def test_import_of_links_is_not_called_one_of_grants(staff: MakeStaff, admin_app: InProcessApp) -> None:
    body = b"reader,customer\nr-1,cus_NffrFeUfNV2Hib\n"
    assert admin_app.call("POST", "/v1/links/import", admin=True, content_type="text/csv", data=body).status_code == 202
    page = plain(staff("viewer").get("/audit?action=import.apply"))
    assert "Grants imported" not in page
    assert "Import applied" in page
