"""Each page and its forms, without a browser; `test_browser_tasks` has the same in a browser."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Any

import pytest

from service.entrypoints.http.admin.formatting import format_text
from service.entrypoints.responses.paging import cursor
from tests.entrypoints.http.admin.conftest import MakeStaff, Staff, granted, owner_of, plain
from tests.in_process_app import Clock, InProcessApp, MakeApp
from tests.running_service import POLICY, SITE_KEY, in_days
from tests.store_servers import wait_until

GRANT: dict[str, Any] = {"sure": "1", "what": "plan:vip", "ends": "30", "reason": "press card"}


def opened(app: InProcessApp, reader: str) -> bool:
    return bool(app.ask("a-story", reader=reader, count=False)["show"] == "full")


def test_grant_form_opens_story_immediately(staff: MakeStaff, admin_app: InProcessApp) -> None:
    for number in range(9):
        admin_app.ask(f"s-{number}", reader="r-1")
    assert not opened(admin_app, "r-1")
    ann = staff()
    answer = ann.post("/reader/grant", id="r-1", **GRANT)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/reader?id=r-1")
    assert opened(admin_app, "r-1")
    text = plain(ann.get("/reader?id=r-1"))
    assert "Access granted." in text
    assert "Has access" in text
    assert "Access granted." not in plain(ann.get("/reader?id=r-1"))


def test_grant_form_records_actor_and_address(staff: MakeStaff, admin_app: InProcessApp) -> None:
    staff("granter").post("/reader/grant", id="r-1", **GRANT)
    (source,) = admin_app.reader("r-1")["sources"]
    assert source["actor"] == "the-granter"
    record = admin_app.call("GET", "/v1/audit", admin=True).get_json()["items"][0]
    assert (record["action"], record["actor"], record["from_ip"]) == ("grant.create", "the-granter", "127.0.0.1")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"reason": " "}, "must say why"),
        ({"reason": "x" * 1_001}, "at most 1000"),
        ({"what": "plan:none"}, "there is no plan"),
        ({"what": ""}, "choose a plan or a feature"),
        ({"ends": "date", "until": ""}, "choose the date"),
        ({"ends": "date", "until": "2001-01-01T00:00"}, "lies in the past"),
        ({"ends": "date", "until": "nonsense"}, "must be a date"),
        ({"ends": "soon"}, "choose when it expires"),
    ],
)
def test_invalid_grant_form_is_refused_and_stays_filled_in(
    staff: MakeStaff, admin_app: InProcessApp, changed: dict[str, str], said: str
) -> None:
    ann = staff()
    answer = ann.post("/reader/grant", id="r-1", **{**GRANT, **changed})
    assert answer.status_code == 422
    assert said in plain(answer)
    if "reason" not in changed:
        assert "press card" in answer.text
    assert admin_app.reader("r-1")["sources"] == []


def test_typed_date_is_in_browser_zone_or_site_zone(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    day = {**GRANT, "ends": "date", "until": "2082-06-30T12:00"}
    ann.post("/reader/grant", id="r-1", zone="Asia/Tokyo", **day)
    ann.post("/reader/grant", id="r-2", zone="Not/AZone", **day)
    ann.post("/reader/grant", id="r-3", zone="../etc/passwd", **day)
    ends = [admin_app.reader(f"r-{n}")["sources"] for n in (1, 2, 3)]
    asked = admin_app.call("GET", "/v1/approvals", admin=True).get_json()["items"]
    found = {one["reader"]: one["wants"]["until"] for one in asked}
    assert ends == [[], [], []]  # beyond 400 days a second admin confirms
    assert found["r-1"] == "2082-06-30T03:00:00Z"
    zone = admin_app.service.settings.catalogue.zone
    here = datetime(2082, 6, 30, 12, tzinfo=zone).timestamp()
    assert datetime.fromisoformat(found["r-2"]).timestamp() == here
    assert found["r-3"] == found["r-2"]


def test_grant_form_sent_twice_creates_one_grant(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    ann.get("/reader?id=r-1")
    mark = ann.mark()
    first, second = (ann.post("/reader/grant", id="r-1", once=mark, **GRANT) for _ in range(2))
    assert (first.status_code, second.status_code) == (303, 303)
    assert len(admin_app.reader("r-1")["sources"]) == 1
    ann.get("/reader?id=r-1")
    ann.post("/reader/grant", id="r-1", once=ann.mark(), **GRANT)
    assert len(admin_app.reader("r-1")["sources"]) == 2


def test_grant_is_extended_and_revoked(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann, grant = staff(), granted(admin_app, "r-1")["id"]
    assert ann.post("/reader/extend", id="r-1", grant=grant, ends="90", reason="longer").status_code == 303
    assert admin_app.reader("r-1")["sources"][0]["until"] is not None
    assert ann.post("/reader/revoke", id="r-1", grant=grant, reason="").status_code == 422
    assert "tick the box" in plain(ann.post("/reader/revoke", id="r-1", grant=grant, reason="left"))
    assert ann.post("/reader/revoke", id="r-1", grant=grant, reason="left", sure="1").status_code == 303
    assert not admin_app.reader("r-1")["access"]
    assert ann.post("/reader/extend", id="r-1", grant=grant, ends="90", reason="x").status_code == 409
    assert ann.post("/reader/revoke", id="r-1", grant="gr_none", reason="x", sure="1").status_code == 404
    text = plain(ann.get("/reader?id=r-1"))
    assert "revoked" in text
    assert "“ left ”" in text


def test_long_grant_needs_approval_by_another_admin(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann, ben = staff(), staff(key="key-of-ben-in-the-tests")
    ann.post("/reader/grant", id="r-1", **{**GRANT, "ends": "never"})
    assert "A second admin must approve this" in plain(ann.get("/reader?id=r-1"))
    assert not admin_app.reader("r-1")["access"]
    approval = admin_app.call("GET", "/v1/approvals", admin=True).get_json()["items"][0]["approval"]
    assert "You requested this yourself" in plain(ann.get("/approvals"))
    assert ann.post("/approvals/confirm", approval=approval).status_code == 409
    assert "1 pending" not in plain(ben.get("/approvals"))
    assert "pending approval" in plain(ben.get("/"))
    assert ben.post("/approvals/confirm", approval=approval).status_code == 303
    assert admin_app.reader("r-1")["access"]
    assert ben.post("/approvals/refuse", approval=approval).status_code == 404


def test_access_check_explains_now_and_past(staff: MakeStaff, admin_app: InProcessApp, clock: Clock) -> None:
    ann = staff()
    for number in range(9):
        admin_app.ask(f"s-{number}", reader="r-1")
    admin_app.ask("s-new")
    text = plain(ann.get("/why?id=r-1&story=s-new"))
    assert "Paywall" in text
    assert "Free stories used up" in text
    assert "Answer for the reader" in text
    before = clock.now
    clock.now += 3_600
    granted(admin_app, "r-1")
    assert "Full story" in plain(ann.get("/why?id=r-1&story=s-new"))
    past = datetime.fromtimestamp(before).astimezone().isoformat(timespec="seconds").replace("+", "%2B")
    assert "Full story" not in plain(ann.get(f"/why?id=r-1&story=s-new&at={past}"))
    part = ann.client.get("/admin/why?id=r-1&story=s-new", headers={"HX-Request": "true"})
    assert "<html" not in part.text
    assert "Full story" in part.text
    assert ann.get("/why?id=r-1&story=").status_code == 422
    assert ann.get("/why?id=r-1&story=s&tier=none").status_code == 422


def test_decision_is_found_by_id(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    decision = admin_app.ask("s-1", reader="r-7")["decision_id"]
    answer = ann.get(f"/readers?q={decision}")
    assert answer.headers["Location"].startswith("/admin/decision?id=")
    assert "Metered (free story)" in plain(ann.get(answer.headers["Location"].removeprefix("/admin")))
    assert ann.get("/decision?id=none").status_code == 404


@pytest.mark.parametrize(
    ("query", "to"),
    [
        ("r-1042", "/admin/reader?id=r-1042"),
        ("..", "/admin/reader?id=.."),
        ("a%26b%3Dc", "/admin/reader?id=a%26b%3Dc"),
        ("evt_1", "/admin/event?id=evt_1"),
        ("sp_1", "/admin/pass?id=sp_1"),
        ("im_0123456789abcdef0123", "/admin/import?id=im_0123456789abcdef0123"),
        ("gr_0123456789abcdef01234567", "/admin/audit?target=gr_0123456789abcdef01234567"),
        ("gr_unknown", "/admin/reader?id=gr_unknown"),
    ],
)
def test_search_redirects_by_kind_of_id(staff: MakeStaff, query: str, to: str) -> None:
    assert staff().get(f"/readers?q={query}").headers["Location"] == to


def test_search_for_unknown_id_is_reported(staff: MakeStaff) -> None:
    ann = staff()
    assert "No customer with the ID" in plain(ann.get("/readers?q=cus_1"))
    assert ann.get("/readers?q=a/b").status_code == 422
    assert ann.get("/event?id=evt_1").status_code == 404
    assert ann.get("/pass?id=sp_1").status_code == 404
    assert ann.get("/import?id=none").status_code == 404
    assert ann.get("/seats?id=sub_1").status_code == 404


HOSTILE = "<img src=x onerror=alert(1)>"
FORMULA = "=HYPERLINK(1)"


def test_text_from_outside_is_escaped(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann, turned = staff(), "right\u202eleft"
    for reader, reason in ((HOSTILE, HOSTILE), ("r-2", turned), ("r-3", FORMULA)):
        assert ann.post("/reader/grant", id=reader, **{**GRANT, "reason": reason}).status_code == 303
    pages = ["/audit", "/readers", "/", "/reader?id=r-2"]
    for path in pages:
        shown = ann.get(path).text
        assert HOSTILE not in shown
        assert "\u202e" not in shown
    shown = ann.get("/reader", query_string={"id": HOSTILE}).text
    assert HOSTILE not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "⟨U+202E⟩" in ann.get("/reader?id=r-2").text
    assert f"<bdi>{FORMULA}</bdi>" in ann.get("/audit").text
    rows = list(csv.DictReader(io.StringIO(ann.get("/audit.csv").text)))
    assert {row["reason"] for row in rows} == {HOSTILE, turned, f"'{FORMULA}"}


def test_customer_is_linked_to_reader(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    assert ann.post("/reader/link", id="r-1", object="cus_77").status_code == 303
    assert ann.get("/readers?q=cus_77").headers["Location"] == "/admin/reader?id=r-1"
    for wrong in ("pm_77", "cus_{0", "cus_", "sub_7 7"):
        assert ann.post("/reader/link", id="r-1", object=wrong).status_code == 422
    assert "Linked to Stripe" in plain(ann.get("/reader?id=r-1"))
    assert ann.post("/reader/unlink", id="r-1", object="cus_77").status_code == 422
    assert ann.post("/reader/unlink", id="r-1", object="cus_78", sure="1").status_code == 404
    assert ann.post("/reader/unlink", id="r-1", object="cus_77", sure="1").status_code == 303
    assert "Link to Stripe removed" in plain(ann.get("/reader?id=r-1"))
    assert admin_app.reader("r-1")["customers"] == []


def test_merge_shows_comparison_before_it_takes_effect(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    granted(admin_app, "r-old")
    text = plain(ann.get("/reader/merge?id=r-new&from=r-old"))
    assert "You can’t undo this" in text
    assert ann.post("/reader/merge", id="r-new", from_="r-old").status_code == 422
    assert not admin_app.reader("r-new")["access"]
    assert ann.post("/reader/merge", id="r-new", from_="r-old", sure="1", reason="twice").status_code == 303
    assert admin_app.reader("r-new")["access"]
    assert "This reader was merged into" in plain(ann.get("/reader?id=r-old"))
    assert ann.post("/reader/merge", id="r-old", from_="r-new", sure="1").status_code == 409
    assert ann.get("/reader/merge?id=r-new&from=r-new").status_code == 422


def test_reader_is_erased_only_with_typed_id(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    granted(admin_app, "r-1")
    export = ann.get("/reader/export?id=r-1")
    assert export.headers["Content-Disposition"].startswith("attachment")
    assert export.get_json()["reader"] == "r-1"
    assert ann.post("/reader/erase", id="r-1", typed="r-2", reason="asked").status_code == 422
    assert admin_app.reader("r-1")["access"]
    assert ann.post("/reader/erase", id="r-1", typed="r-1", reason="asked").status_code == 303
    text = plain(ann.get("/reader?id=r-1"))
    assert "Erased" in text
    assert not admin_app.reader("r-1")["access"]


def test_api_key_is_shown_once_and_signs_in(staff: MakeStaff) -> None:
    ann = staff()
    answer = ann.post("/keys", name="desk", role="granter", reason="for the desk")
    key = answer.text.partition('data-copy="')[2].partition('"')[0]
    assert key.startswith("paywall_")
    assert key not in ann.get("/keys").text
    assert ann.post("/keys", name="desk", role="granter").status_code == 409
    someone = staff(key=key)
    assert someone.get("/imports").status_code == 200
    assert "tick the box" in plain(ann.post("/keys/end", name="desk"))
    assert ann.post("/keys/end", name="desk", sure="1").status_code == 303
    wait_until(lambda: someone.get("/imports").status_code == 303)
    assert ann.post("/keys/end", name="ann", sure="1").status_code == 409


@pytest.mark.parametrize(
    ("story_url", "link"),
    [
        (
            "https://www.example.news/story/{story}",
            "https://www.example.news/story/a%2Fb%20%26c?pass=",
        ),
        (
            "https://www.example.news/read?id={story}",
            "https://www.example.news/read?id=a%2Fb%20%26c&pass=",
        ),
    ],
)
def test_gift_link_with_story_url_is_shown_whole(make_app: MakeApp, valkey_url: str, story_url: str, link: str) -> None:
    app = make_app(valkey_url, POLICY.replace("[site]", f'[site]\nstory_url = "{story_url}"', 1))
    ann = owner_of(app)
    made = ann.post("/passes", story="a/b &c", openings="3", ends="7", reason="newsletter")
    page = plain(ann.get(made.headers["Location"].removeprefix("/admin")))
    carried = app.call("GET", "/v1/passes", admin=True).get_json()["items"][0]["pass"]
    assert f"{link}{carried}" in page


def test_gift_link_is_created_and_revoked(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    made = ann.post("/passes", story="s-gift", openings="3", ends="7", reason="newsletter")
    assert made.status_code == 303
    text = ann.get(made.headers["Location"].removeprefix("/admin")).text
    link = text.partition('data-copy="')[2].partition('"')[0]
    question = {"story": {"id": "s-gift", "tier": "supporters"}, "reader": "r-9", "pass": link}
    assert admin_app.call("POST", "/v1/access", question).get_json()["show"] == "full"
    name = made.headers["Location"].partition("id=")[2]
    assert ann.post("/pass/revoke", id=name, sure="1").status_code == 303
    assert admin_app.call("POST", "/v1/access", question).get_json()["show"] == "upsell"
    assert ann.post("/passes", story="s", openings="many", ends="7", reason="x").status_code == 422
    assert ann.post("/passes", story="s", openings="3", ends="never", reason="x").status_code == 422


SHEET = "reader,plan,until,reason\r\n{}"


def sent(someone: Staff, file: str | bytes, **form: Any) -> Any:
    content = file.encode() if isinstance(file, str) else file
    return someone.post("/imports", file=(io.BytesIO(content), "grants.csv"), **form)


def test_file_of_links_is_validated_and_imported(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    ann.get("/imports")
    file = "reader,customer\nr-1,cus_1\n"
    found = sent(ann, file, kind="links")
    assert "Import 1 row" in plain(found)
    assert "cus_1" in plain(found)
    mark = found.text.partition('name="mark" value="')[2].partition('"')[0]
    assert "This is not the file that you validated" in plain(sent(ann, file, kind="grants", go="1", mark=mark))
    place = sent(ann, file, kind="links", go="1", mark=mark).headers["Location"].removeprefix("/admin")
    wait_until(lambda: "Done" in plain(ann.get(place)))
    assert admin_app.reader("r-1")["customers"] == ["cus_1"]
    assert "Each customer and subscription gets the link" in plain(ann.get(place))
    assert "choose what the file holds" in plain(sent(ann, file, kind="stories"))


def test_import_takes_only_the_validated_file(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    ann.get("/imports")
    end = in_days(30)
    right = SHEET.format(f"r-1,vip,{end},press\r\nr-2,vip,{end},press\r\n")
    found = sent(ann, right)
    mark = found.text.partition('name="mark" value="')[2].partition('"')[0]
    assert "Import 2 rows" in plain(found)
    assert not admin_app.reader("r-1")["access"]
    other = sent(ann, right + f"r-3,vip,{end},press\r\n", go="1", mark=mark)
    assert "This is not the file that you validated" in plain(other)
    assert not admin_app.reader("r-1")["access"]
    done = sent(ann, right, go="1", mark=mark)
    assert done.status_code == 303
    wait_until(lambda: admin_app.reader("r-2")["access"])
    place = done.headers["Location"].removeprefix("/admin")
    wait_until(lambda: "Done" in plain(ann.get(place)))
    name = place.partition("id=")[2]
    assert ann.post("/import/undo", id=name, reason="", sure="1").status_code == 422
    assert ann.post("/import/undo", id=name, reason="the wrong list").status_code == 422
    assert ann.post("/import/undo", id=name, reason="the wrong list", sure="1").status_code == 303
    wait_until(lambda: not admin_app.reader("r-2")["access"])
    wait_until(lambda: "Undone" in plain(ann.get(place)))


def test_import_with_errors_names_every_line_and_is_refused(staff: MakeStaff) -> None:
    ann = staff()
    ann.get("/imports")
    found = sent(ann, SHEET.format("r-1,vip,,press\r\nr/2,none,never,\r\nr-3,vip,2083-01-01T00:00:00Z,<b>x</b>\r\n"))
    assert "Fix these errors" in plain(found)
    assert 'name="go"' not in found.text
    assert "<b>x</b>" not in found.text
    assert sent(ann, "").status_code == 422
    assert "Line 1: header" in plain(sent(ann, "a,b\r\n1,2\r\n"))
    assert "is not UTF-8" in plain(sent(ann, b"reader,plan,until,reason\r\nr-1,vip,never,caf\xe9\r\n"))


def test_each_chart_has_table_and_csv(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    admin_app.ask("s-1", reader="r-1")
    admin_app.service.usage_counters.flush()
    shown = ann.get("/").text + ann.get("/system").text
    for path in ("plots/checks", "plots/upsell", "plots/entitlements", "system/webhooks", "system/delay"):
        assert f"/admin/{path}.csv" in shown
        answer = ann.get(f"/{path}.csv")
        assert answer.mimetype == "text/csv"
        lines = len(answer.text.splitlines())
        assert lines in (6, 7) if path == "plots/upsell" else lines == 31, "conversion is by week"
    assert "1 check in 30 days" in plain(ann.get("/"))
    assert "Full story: metered (free story)" in ann.get("/plots/checks.csv").text
    assert ann.get("/plots/none.csv").status_code == 404


def test_audit_log_is_filtered(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    granted(admin_app, "r-1", reason="the first")
    granted(admin_app, "r-2", reason="the second")
    text = plain(ann.get("/audit?reader=r-2&actor=&action=&target="))
    assert "the second" in text
    assert "the first" not in text
    assert "No matching records" in plain(ann.get("/audit?action=merge"))
    assert ann.get("/audit?after=nonsense").status_code == 422


def test_pager_keeps_any_parameter_of_the_address(staff: MakeStaff) -> None:
    second_page = cursor("audit", 9)
    page = staff("viewer").get(f"/audit?after={second_page}&endpoint=x&_scheme=y")
    assert page.status_code == 200
    assert 'href="/admin/audit?endpoint=x&amp;_scheme=y"' in page.text


def test_log_contains_no_key_and_no_reader(staff: MakeStaff, capfd: pytest.CaptureFixture[str]) -> None:
    ann = staff()
    ann.post("/reader/grant", id="r-secret-reader", **GRANT)
    ann.get("/reader?id=r-secret-reader")
    text = "".join(capfd.readouterr())
    assert "r-secret-reader" not in text
    assert SITE_KEY not in text


def test_import_with_a_mark_that_is_not_ascii_is_validated_again(staff: MakeStaff) -> None:
    someone = staff("granter")
    someone.get("/imports")
    answer = sent(someone, SHEET.format("r-1,vip,never,press card"), go="1", mark="é")
    assert answer.status_code == 200
    assert "press card" in plain(answer)


@pytest.mark.parametrize("hidden", "\u00ad\u034f\u115f\u180b\u200b\u2800\u3164\ufe0f\U000e0041\U000e0100")
def test_invisible_character_of_an_id_is_written_out(hidden: str) -> None:
    assert format_text(f"r-10{hidden}42") == f"<bdi>r-10⟨U+{ord(hidden):04X}⟩42</bdi>"


@pytest.mark.parametrize("text", ["r-1042", "Zoë", "Zoe\u0308", "読者", "a b", "रीडर"])
def test_visible_text_is_shown_as_it_is(text: str) -> None:
    assert format_text(text) == f"<bdi>{text}</bdi>"
