"""Forms that are sent twice, too late, or beside other forms of the same page."""

from __future__ import annotations

import re

from tests.entrypoints.http.admin.conftest import MakeStaff, granted, plain
from tests.in_process_app import InProcessApp
from tests.running_service import ADMIN_KEY, in_days


def test_forms_of_one_page_sent_together_both_take_effect(staff: MakeStaff, admin_app: InProcessApp) -> None:
    """Each grant has a form; all forms of a page share one token, and can be sent from several tabs."""
    ann, grants = staff(), [granted(admin_app, "r-1")["id"] for _ in range(2)]
    ann.get("/reader?id=r-1")
    mark = ann.mark()
    for grant in grants:
        assert ann.post("/reader/revoke", id="r-1", grant=grant, once=mark, reason="left", sure="1").status_code == 303
    assert [source["status"] for source in admin_app.reader("r-1")["sources"]] == ["revoked", "revoked"]


def test_form_sent_again_with_other_fields_takes_effect(staff: MakeStaff, admin_app: InProcessApp) -> None:
    """A user goes back to a cached page and grants another plan."""
    ann = staff()
    ann.get("/reader?id=r-1")
    mark = ann.mark()
    for what in ("plan:vip", "feature:no_ads", "feature:no_ads"):
        sent = ann.post("/reader/grant", id="r-1", once=mark, what=what, ends="30", reason="the jury", sure="1")
        assert sent.status_code == 303
    found = admin_app.reader("r-1")["sources"]
    assert [(source["plan"], source["features"]) for source in found if source["plan"] is None] == [(None, ["no_ads"])]
    assert len(found) == 2


def test_grant_form_after_revocation_is_refused(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann, grant = staff(), granted(admin_app, "r-1")["id"]
    ann.get("/reader?id=r-1")
    revoked = admin_app.call("DELETE", f"/v1/readers/r-1/grants/{grant}", {"reason": "left"}, admin=True)
    assert revoked.status_code == 200
    late = ann.post("/reader/extend", id="r-1", grant=grant, ends="90", reason="longer")
    assert late.status_code == 409
    assert plain(late).count("This grant was revoked and cannot be changed. Create a new grant.") == 1
    gone = ann.post("/reader/revoke", id="r-1", grant="gr_none", reason="left", sure="1")
    assert plain(gone).count("This reader has no grant with this ID.") == 1


def test_rejected_form_does_not_fill_in_other_forms(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann, (first, _) = staff(), [granted(admin_app, "r-1")["id"] for _ in range(2)]
    refused = ann.post("/reader/extend", id="r-1", grant=first, ends="date", until="", reason="one more season")
    assert refused.status_code == 422
    assert refused.text.count('value="one more season"') == 1


def test_form_after_session_end_shows_input_and_way_back(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    ann.get("/reader?id=r-1")
    token = ann.token()
    ann.client.delete_cookie("paywall_session", path="/admin")
    came = {"Sec-Fetch-Site": "same-origin", "Referer": "http://localhost/admin/reader?id=r-1"}
    late = ann.post(
        "/reader/grant",
        token=token,
        headers=came,
        id="r-1",
        what="plan:vip",
        ends="30",
        reason="<b>a jury</b> of twelve",
    )
    assert late.status_code == 401
    assert "Reason <b>a jury</b> of twelve" in plain(late)
    back = re.search(r'href="/admin(/sign-in[^"]*)"', late.text)
    assert back is not None
    ann.get(back.group(1).replace("&amp;", "&"))
    then = re.search(r'name="then" value="([^"]*)"', ann.here)
    assert then is not None
    assert ann.post("/sign-in", key=ADMIN_KEY, then=then.group(1)).headers["Location"] == "/admin/reader?id=r-1"
    assert not admin_app.reader("r-1")["access"]


def test_form_of_another_session_or_site_is_refused(staff: MakeStaff) -> None:
    ann, ben = staff(), staff(key="key-of-ben-in-the-tests")
    home = {"Sec-Fetch-Site": "same-origin", "Referer": "http://localhost/admin/reader?id=r-1"}
    mixed = ann.post("/reader/grant", token=ben.token(), headers=home, id="r-1", reason="a jury of twelve")
    assert mixed.status_code == 403
    assert "Reason a jury of twelve" in plain(mixed)
    assert 'href="/admin/reader?id=r-1"' in mixed.text
    away = {"Sec-Fetch-Site": "cross-site", "Referer": "http://localhost/admin/reader?id=r-1"}
    forged = ann.post("/reader/grant", headers=away, id="r-1", reason="call 555-0100 with your key")
    assert forged.status_code == 403
    assert "555-0100" not in forged.text


def test_typed_key_is_on_no_page(staff: MakeStaff) -> None:
    someone = staff(None)
    someone.get("/sign-in")
    answer = someone.post("/sign-in", token="0" * 64, key=ADMIN_KEY, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 403
    assert ADMIN_KEY not in answer.text


def test_maximum_uses_with_many_digits_is_refused(staff: MakeStaff) -> None:
    ann = staff()
    for digits in (10, 5_000):
        answer = ann.post("/passes", story="s-1", openings="9" * digits, ends="30", reason="the newsletter")
        assert answer.status_code == 422
        assert "Maximum uses must be" in plain(answer)


def test_approved_import_is_reported_as_started(staff: MakeStaff, admin_app: InProcessApp) -> None:
    sheet = "reader,plan,until,reason\n" + "".join(f"r-{number},vip,{in_days(30)},press\n" for number in range(101))
    head = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "text/csv"}
    asked = admin_app.client.post("/v1/grants/import", data=sheet.encode(), headers=head)
    assert asked.status_code == 202
    ben = staff(key="key-of-ben-in-the-tests")
    ben.get("/approvals")
    approval = re.search(r'name="approval" value="([^"]+)"', ben.here)
    assert approval is not None
    done = ben.post("/approvals/confirm", approval=approval.group(1))
    assert done.headers["Location"] == f"/admin/import?id={asked.get_json()['id']}"
    text = plain(ben.get(done.headers["Location"].removeprefix("/admin")))
    assert "The import has started" in text
    assert "The change is in effect" not in text
