"""Test how the staff pages show subscriptions of other providers than Stripe, and take their snapshots."""

from __future__ import annotations

import io
from typing import Any

from werkzeug.test import TestResponse

from tests.entrypoints.http.admin.conftest import MakeStaff, Staff, plain
from tests.in_process_app import InProcessApp


def test_readers_page_names_the_provider_of_a_subscription(staff: MakeStaff, admin_app: InProcessApp) -> None:
    body = {"plan": "supporter", "until": "2099-01-01T05:00:00Z"}
    assert admin_app.call("PUT", "/v1/readers/r-1/external/print/77", body, admin=True).status_code == 200
    page = plain(staff().get("/reader?id=r-1"))
    assert "Print subscription · Supporter Active" in page
    assert "print:77" in page
    assert "Supporter until" in page
    assert "Other provider" not in page
    assert "Subscription of a provider reported" not in page  # The change of the source says it already.


def upload(user: Staff, *rows: str, kind: str = "snapshot:print", **more: Any) -> TestResponse:
    body = "id,reader,plan,until\n" + "".join(f"{row}\n" for row in rows)
    return user.post("/imports", file=(io.BytesIO(body.encode()), "print.csv"), kind=kind, **more)


def mark_in(answer: TestResponse) -> str:
    return answer.text.partition('name="mark" value="')[2].partition('"')[0]


def test_snapshot_is_compared_and_taken_on_the_page(staff: MakeStaff, admin_app: InProcessApp) -> None:
    user = staff("granter")
    form = user.get("/imports?kind=snapshot:print")
    assert "Print subscription: all subscriptions" in form.text
    rows = [f"{number},r-{number},supporter," for number in range(5)]
    compared = upload(user, *rows)
    assert "New 5" in plain(compared)
    assert "You can’t undo it" in compared.text
    started = upload(user, *rows, go="1", mark=mark_in(compared), once=user.mark())
    assert started.status_code == 303
    admin_app.service.imports.finish_all()
    progress = user.get(started.headers["Location"].removeprefix("/admin"))
    assert "Done" in plain(progress)
    assert "Undo" not in plain(progress)
    user.get("/imports")
    shrunk = upload(user, *rows[:2])
    assert "would end 3 of the 5 running subscriptions" in plain(shrunk)
    assert 'name="force" value="1" required' in shrunk.text
    refused = upload(user, *rows[:2], go="1", mark=mark_in(shrunk), once=user.mark())
    assert refused.status_code == 409
    user.get("/imports")
    forced = upload(user, *rows[:2], go="1", mark=mark_in(shrunk), once=user.mark(), force="1")
    assert forced.status_code == 303
    admin_app.service.imports.finish_all()
    assert not admin_app.reader("r-4")["access"]
    system = plain(user.get("/system"))
    assert "Print subscription the last snapshot is of" in system
    assert "Google Play no snapshot yet" in system
    user.get("/imports")
    assert "duplicate of line 2" in plain(upload(user, rows[0], rows[0]))
    assert upload(user, kind="snapshot:paper").status_code == 422


def test_snapshot_cannot_be_undone_by_a_form(staff: MakeStaff, admin_app: InProcessApp) -> None:
    user = staff()
    body = "id,reader,plan,until\n1,r-1,vip,\n"
    path = "/v1/providers/print/snapshot"
    done = admin_app.call("PUT", path, admin=True, content_type="text/csv", data=body).get_json()
    user.get("/imports")
    answer = user.post("/import/undo", id=done["id"], reason="wrong", sure="1", once=user.mark())
    assert answer.status_code == 409
