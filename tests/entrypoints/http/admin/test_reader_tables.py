"""The tables of readers and grants, without a browser."""

from __future__ import annotations

import pytest

from service.entrypoints.http.admin.reader_tables import first_of_next_month
from tests.entrypoints.http.admin.conftest import MakeStaff, plain
from tests.in_process_app import InProcessApp
from tests.running_service import in_days


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


def test_date_filter_is_the_start_of_the_day_at_the_site(staff: MakeStaff, filled: InProcessApp) -> None:
    ann, soon = staff("viewer"), in_days(40)[:10]
    text = plain(ann.get(f"/readers/table?ends_before={soon}"))
    assert "r-22" in text
    assert "r-15" not in text
    assert ann.get("/readers/table?ends_before=soon").status_code == 422


def test_grant_table_filters_and_links_to_readers(staff: MakeStaff, filled: InProcessApp) -> None:
    ann = staff("viewer")
    text = ann.get("/grants?plan=quiet")
    assert "/admin/reader?id=zoe" in text.text
    assert "r-00" not in text.text
    assert "No matching grants" in plain(ann.get("/grants?status=revoked"))
    assert ann.get("/grants.csv?reader=r-03").text.splitlines()[1].split(",")[1] == "r-03"


def test_overview_links_lead_to_their_lists(staff: MakeStaff, filled: InProcessApp) -> None:
    page = staff("viewer").get("/")
    for label in ("Who has VIP?", "Whose payment failed?", "What ends this month?", "Which grants end this month?"):
        assert label in plain(page).replace(" ?", "?")
    assert "/admin/readers/table?plan=vip&amp;access=true" in page.text


def test_next_month_begins_in_the_zone_of_the_site(filled: InProcessApp) -> None:
    zone = filled.service.settings.catalogue.zone
    assert first_of_next_month(1_798_779_600, zone) == "2027-02-01"  # 2027-01-01T05:00Z is midnight in New York.
    assert first_of_next_month(1_798_779_599, zone) == "2027-01-01"
