"""Forms that are sent twice, too late, or beside others of the same page."""

from __future__ import annotations

from tests.admin.conftest import MakeStaff, granted, plain
from tests.within import DeskApp


def test_two_forms_of_one_page_are_both_done(staff: MakeStaff, admin_desk: DeskApp) -> None:
    """Each grant has a form of its own, and may be sent into a tab of its own: they share the page's mark."""
    ann, grants = staff(), [granted(admin_desk, "r-1")["id"] for _ in range(2)]
    ann.get("/reader?id=r-1")
    mark = ann.mark()
    for grant in grants:
        assert ann.post("/reader/revoke", id="r-1", grant=grant, once=mark, reason="left").status_code == 303
    assert [source["status"] for source in admin_desk.reader("r-1")["sources"]] == ["revoked", "revoked"]


def test_a_form_that_is_filled_in_anew_is_not_told_as_done_before_it_is(staff: MakeStaff, admin_desk: DeskApp) -> None:
    """Somebody goes back to a page that the browser kept, and gives another plan."""
    ann = staff()
    ann.get("/reader?id=r-1")
    mark, form = ann.mark(), {"ends": "30", "reason": "the jury"}
    for what in ("plan:vip", "feature:no_ads", "feature:no_ads"):
        assert ann.post("/reader/grant", id="r-1", once=mark, what=what, **form).status_code == 303
    found = admin_desk.reader("r-1")["sources"]
    assert [(source["plan"], source["features"]) for source in found if source["plan"] is None] == [(None, ["no_ads"])]
    assert len(found) == 2


def test_a_form_whose_grant_was_revoked_meanwhile_says_so(staff: MakeStaff, admin_desk: DeskApp) -> None:
    ann, grant = staff(), granted(admin_desk, "r-1")["id"]
    ann.get("/reader?id=r-1")
    revoked = admin_desk.call("DELETE", f"/v1/readers/r-1/grants/{grant}", {"reason": "left"}, admin=True)
    assert revoked.status_code == 200
    late = ann.post("/reader/extend", id="r-1", grant=grant, ends="90", reason="longer")
    assert late.status_code == 409
    assert plain(late).count("This grant was revoked, and stays so; give a new one.") == 1
    gone = ann.post("/reader/revoke", id="r-1", grant="gr_none", reason="left")
    assert plain(gone).count("This reader has no such grant.") == 1


def test_what_one_form_said_stands_in_no_other(staff: MakeStaff, admin_desk: DeskApp) -> None:
    ann, (first, _) = staff(), [granted(admin_desk, "r-1")["id"] for _ in range(2)]
    refused = ann.post("/reader/extend", id="r-1", grant=first, ends="date", until="", reason="one more season")
    assert refused.status_code == 422
    assert refused.text.count('value="one more season"') == 1
