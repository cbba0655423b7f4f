"""The tables of readers and grants, without a browser."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from service.entrypoints.http.admin.reader_tables import after_this_month
from tests.entrypoints.http.admin.conftest import MakeStaff, deliver_subscription, plain
from tests.in_process_app import InProcessApp
from tests.running_service import in_days
from tests.store_servers import wait_until


@pytest.fixture
def filled(admin_app: InProcessApp) -> InProcessApp:
    for number in range(30):
        admin_app.grant(f"r-{number:02d}", until=in_days(60 - number))
    admin_app.grant("zoe", plan="quiet", until=in_days(300))
    admin_app.service.reader_lists.updates.settle()
    return admin_app


def test_reader_table_filters_and_turns_pages(staff: MakeStaff, filled: InProcessApp) -> None:
    ann = staff("viewer")
    first = ann.get("/readers/table")
    assert "r-24" in plain(first)
    assert "r-25" not in plain(first)
    following = first.text.partition('rel="next" href="/admin')[2].partition('"')[0].replace("&amp;", "&")
    second = plain(ann.get(following))
    assert "r-25" in second
    assert "zoe" in second
    assert "r-24" not in second
    assert "r-10" in plain(ann.get("/readers/table?prefix=r-1"))
    assert "r-20" not in plain(ann.get("/readers/table?prefix=r-1"))
    assert "zoe" in plain(ann.get("/readers/table?plan=quiet"))
    assert "r-00" not in plain(ann.get("/readers/table?plan=quiet"))
    assert "not an ID" in plain(ann.get("/readers/table?prefix=zoe@example.org"))


def test_reader_table_by_end_shows_first_to_end_first(staff: MakeStaff, filled: InProcessApp) -> None:
    ann = staff("viewer")
    first = plain(ann.get("/readers/table?sort=end"))
    assert first.index("r-29") < first.index("r-28") < first.index("r-10")
    assert "r-00" not in first
    page = ann.get("/readers/table?sort=end")
    following = page.text.partition('rel="next" href="/admin')[2].partition('"')[0].replace("&amp;", "&")
    second = plain(ann.get(following))
    assert second.index("r-04") < second.index("r-00") < second.index("zoe")
    lines = ann.get("/readers/table.csv?sort=end").text.splitlines()
    assert [line.partition(",")[0] for line in lines[1:4]] == ["r-29", "r-28", "r-27"]


def test_span_filter_counts_from_now(staff: MakeStaff, filled: InProcessApp) -> None:
    ann = staff("viewer")
    assert "r-25" in plain(ann.get("/readers/table?ends_before=36d"))
    assert "r-24" not in plain(ann.get("/readers/table?ends_before=36d"))
    assert "r-24" not in plain(ann.get("/grants?ends_before=36d"))


def test_past_date_is_the_start_of_the_day_at_the_site(staff: MakeStaff, filled: InProcessApp) -> None:
    page = staff("viewer").get("/reader?id=r-00&at=2026-01-01&zone=Europe/Berlin")
    assert "1 Jan 2026, 05:00 UTC" in plain(page)


def test_date_filter_is_the_start_of_the_day_at_the_site(staff: MakeStaff, filled: InProcessApp) -> None:
    ann, soon = staff("viewer"), in_days(40)[:10]
    text = plain(ann.get(f"/readers/table?ends_before={soon}"))
    assert "r-22" in text
    assert "r-15" not in text
    assert ann.get("/readers/table?ends_before=soon").status_code == 422


def test_ended_subscription_without_an_end_has_no_date(staff: MakeStaff, admin_app: InProcessApp) -> None:
    deliver_subscription(admin_app, "sub_1", "price_month", "r-1", status="incomplete_expired")
    admin_app.service.reader_lists.updates.settle()
    text = plain(staff("viewer").get("/readers/table"))
    assert "Subscription –" in text
    assert "no expiry" not in text


def test_grant_table_filters_and_links_to_readers(staff: MakeStaff, filled: InProcessApp) -> None:
    ann = staff("viewer")
    text = ann.get("/grants?plan=quiet")
    assert "/admin/reader?id=zoe" in text.text
    assert "r-00" not in text.text
    assert "No matching grants" in plain(ann.get("/grants?status=revoked"))
    assert ann.get("/grants.csv?reader=r-03").text.splitlines()[1].split(",")[1] == "r-03"


def test_grant_table_finds_readers_by_prefix_and_orders_by_end(staff: MakeStaff, filled: InProcessApp) -> None:
    ann = staff("viewer")
    text = plain(ann.get("/grants?prefix=r-1"))
    assert "r-19" in text
    assert "r-20" not in text
    first = ann.get("/grants?sort=end")
    assert plain(first).index("r-29") < plain(first).index("r-28")
    assert "r-00" not in plain(first)
    following = first.text.partition('rel="next" href="/admin')[2].partition('"')[0].replace("&amp;", "&")
    second = plain(ann.get(following))
    assert second.index("r-04") < second.index("r-00") < second.index("zoe")


@pytest.mark.parametrize(("path", "order"), [("/grants", "Newest first"), ("/readers/table", "By ID")])
def test_each_option_of_a_table_has_a_label(staff: MakeStaff, filled: InProcessApp, path: str, order: str) -> None:
    shown = staff().get(path).text
    assert f'<option value="">{order}</option>' in shown
    assert '<option value="">Any</option>' in shown
    assert "></option>" not in shown


def test_chosen_grants_are_counted_and_then_revoked(staff: MakeStaff, filled: InProcessApp) -> None:
    ann = staff("granter")
    page = ann.get("/grants?plan=quiet").text
    (grant,) = re.findall(r'name="grant" value="([^"]+)"', page)
    form: dict[str, Any] = {"f.plan": "quiet", "grant": grant, "ends": "revoke", "reason": "left"}
    counted = ann.post("/grants/change", **form)
    assert "Revoke 1 grant" in plain(counted)
    assert filled.reader("zoe")["access"]
    fields: dict[str, Any] = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', counted.text))
    done = ann.post("/grants/change", **{**fields, "token": ann.token(), "go": "1"})
    assert done.status_code == 303
    wait_until(lambda: not filled.reader("zoe")["access"])


def test_all_grants_of_a_filter_are_extended_after_a_look_at_the_counts(staff: MakeStaff, filled: InProcessApp) -> None:
    ann, until = staff("granter"), in_days(80)[:10]
    ann.get("/grants")
    form: dict[str, Any] = {"f.plan": "vip", "all": "1", "ends": "date", "until": until, "reason": "season"}
    assert "Change 30 grants" in plain(ann.post("/grants/change", **form))
    assert "These are the counts now" in plain(ann.post("/grants/change", **form, go="29"))
    done = ann.post("/grants/change", **form, go="30")
    assert done.status_code == 303
    place = done.headers["Location"].removeprefix("/admin")
    wait_until(lambda: "Done" in plain(ann.get(place)))
    ends = [source["until"] for n in range(30) for source in filled.reader(f"r-{n:02d}")["sources"]]
    assert min(ends) > in_days(79)


@pytest.mark.parametrize("form", [{"ends": "revoke"}, {"reason": "x"}, {"ends": "30", "reason": "x"}])
def test_change_of_grants_that_is_not_clear_is_refused(
    staff: MakeStaff, filled: InProcessApp, form: dict[str, Any]
) -> None:
    ann = staff("granter")
    ann.get("/grants")
    assert "Nothing was changed" in plain(ann.post("/grants/change", **form))


def test_overview_links_lead_to_their_lists(staff: MakeStaff, filled: InProcessApp) -> None:
    page = staff("viewer").get("/")
    for label in ("Who has VIP?", "Whose payment failed?", "What ends this month?", "Which grants end this month?"):
        assert label in plain(page).replace(" ?", "?")
    assert "/admin/readers/table?plan=vip&amp;access=true" in page.text


def test_month_ends_in_the_zone_of_the_site(filled: InProcessApp) -> None:
    zone = filled.service.settings.catalogue.zone
    assert after_this_month(1_798_779_600, zone) == "2027-02-01T00:00:01"  # 2027-01-01T05:00Z is midnight in New York.
    assert after_this_month(1_798_779_599, zone) == "2027-01-01T00:00:01"


def test_overview_counts_the_last_day_of_the_month_to_it(staff: MakeStaff, filled: InProcessApp) -> None:
    month_end = after_this_month(filled.clock.now, filled.service.settings.catalogue.zone)
    zone = filled.service.settings.catalogue.zone
    midnight = datetime.fromisoformat(month_end).replace(second=0, tzinfo=zone)
    filled.grant("last-day", until=midnight.isoformat())
    filled.grant("next-day", until=(midnight + timedelta(seconds=1)).isoformat())
    filled.service.reader_lists.updates.settle()
    ann = staff("viewer")
    for label in ("What ends this month?", "Which grants end this month?"):
        address = ann.get("/").text.partition(f'">{label}')[0].rpartition('href="/admin')[2].replace("&amp;", "&")
        listed = ann.get(address)
        # A browser sends what its field can show: a date field would lose the second after midnight.
        (typed,) = re.findall(r'name="ends_before" type="datetime-local" step="1" value="([^"]+)"', listed.text)
        refined = ann.get(f"{address.partition('?')[0]}?prefix=&ends_before={typed}")
        for text in map(plain, (listed, refined)):
            assert "last-day" in text
            assert "next-day" not in text
