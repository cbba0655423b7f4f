"""Where the search leads with what is known and nobody's: to whoever it is, by the customer that it names."""

from __future__ import annotations

import re
from typing import Any

import pytest

from service.adapters.stripe.webhook import Envelope
from tests.entrypoints.http.admin.conftest import MakeStaff, plain
from tests.within import DeskApp


def bought(desk: DeskApp, name: str, customer: str | None) -> None:
    """What Stripe's message about a day pass that names no reader leaves here."""
    now = int(desk.clock())
    session: dict[str, Any] = {
        "id": name,
        "object": "checkout.session",
        "mode": "payment",
        "status": "complete",
        "payment_status": "paid",
        "customer": customer,
        "client_reference_id": None,
        "metadata": {"price_id": "price_day"},
        "payment_intent": f"pi_{name}",
        "subscription": None,
        "created": now,
    }
    event = Envelope(f"evt_{name}", "checkout.session.completed", now, False, None, session)
    desk.service.engine.receive(event, desk.clock())


@pytest.mark.parametrize("query", ["cs_test_1", "cus_payer"])
def test_a_pass_that_is_nobodys_is_linked_from_where_the_search_leads(
    staff: MakeStaff, admin_desk: DeskApp, query: str
) -> None:
    bought(admin_desk, "cs_test_1", "cus_payer")
    ann = staff()
    page = ann.get(f"/readers?q={query}").text
    assert "is known, but nobody’s" in page
    linked = re.search(r'name="object" value="([^"]+)"', page)
    assert linked is not None
    assert ann.post("/reader/link", id="r-1", object=linked.group(1)).status_code == 303
    assert [source["id"] for source in admin_desk.reader("r-1")["sources"]] == ["cs_test_1"]
    assert ann.get(f"/readers?q={query}").headers["Location"] == "/admin/reader?id=r-1"


def test_a_pass_that_names_no_customer_says_what_can_be_done(staff: MakeStaff, admin_desk: DeskApp) -> None:
    bought(admin_desk, "cs_test_1", None)
    ann = staff()
    page = plain(ann.get("/readers?q=cs_test_1"))
    assert "names no customer" in page
    assert "give her access on her page" in page


def test_who_may_not_link_is_shown_no_form(staff: MakeStaff, admin_desk: DeskApp) -> None:
    bought(admin_desk, "cs_test_1", "cus_payer")
    assert 'name="object"' not in staff("viewer").get("/readers?q=cs_test_1").text


def test_a_decision_that_is_no_longer_kept_is_not_only_called_no_reader(staff: MakeStaff, admin_desk: DeskApp) -> None:
    """What the website showed is searched a week later, or with a letter lost on the way."""
    question = {"story": {"id": "s-1"}, "reader": "r-1"}
    name = admin_desk.call("POST", "/v1/access", question).get_json()["decision_id"]
    ann = staff()
    assert ann.get(f"/readers?q={name}").status_code == 303
    page = ann.get(f"/readers?q={name[:-1]}")
    assert page.status_code == 422
    assert "Nor is it a decision’s of the last seven days." in plain(page)
    assert "Nor is it" not in plain(ann.get("/readers?q=a/b"))
