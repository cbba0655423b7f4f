"""The search for Stripe objects that are not linked to a reader."""

from __future__ import annotations

import re

import pytest

from service.adapters.stripe.webhook import Envelope
from tests.entrypoints.http.admin.conftest import MakeStaff, plain
from tests.in_process_app import InProcessApp
from tests.stripe_fixtures import Made


def bought(app: InProcessApp, name: str, customer: str | None) -> None:
    """Deliver the event of a day pass whose Checkout session names no reader."""
    now = int(app.clock())
    changes = {"id": name, "customer": customer, "client_reference_id": None, "metadata": {"price_id": "price_day"}}
    session = Made.session(**changes, payment_intent=f"pi_{name}", created=now)
    event = Envelope(f"evt_{name}", "checkout.session.completed", now, False, None, session)
    app.service.event_processor.receive_event(event, app.clock())


@pytest.mark.parametrize("query", ["cs_test_1", "cus_payer"])
def test_unassigned_pass_is_linked_from_search_result(staff: MakeStaff, admin_app: InProcessApp, query: str) -> None:
    bought(admin_app, "cs_test_1", "cus_payer")
    ann = staff()
    page = ann.get(f"/readers?q={query}").text
    assert "not linked to a reader" in page
    linked = re.search(r'name="object" value="([^"]+)"', page)
    assert linked is not None
    assert ann.post("/reader/link", id="r-1", object=linked.group(1)).status_code == 303
    assert [source["id"] for source in admin_app.reader("r-1")["sources"]] == ["cs_test_1"]
    assert ann.get(f"/readers?q={query}").headers["Location"] == "/admin/reader?id=r-1"


def test_unassigned_pass_without_customer_shows_advice(staff: MakeStaff, admin_app: InProcessApp) -> None:
    bought(admin_app, "cs_test_1", None)
    ann = staff()
    page = plain(ann.get("/readers?q=cs_test_1"))
    assert "names no customer" in page
    assert "grant access on their page" in page


def test_viewer_sees_no_link_form(staff: MakeStaff, admin_app: InProcessApp) -> None:
    bought(admin_app, "cs_test_1", "cus_payer")
    assert 'name="object"' not in staff("viewer").get("/readers?q=cs_test_1").text


def test_mistyped_decision_id_is_named_in_search_error(staff: MakeStaff, admin_app: InProcessApp) -> None:
    """Staff search for the decision ID of a page a week later, or with a letter missing."""
    question = {"story": {"id": "s-1"}, "reader": "r-1"}
    name = admin_app.call("POST", "/v1/access", question).get_json()["decision_id"]
    ann = staff()
    assert ann.get(f"/readers?q={name}").status_code == 303
    page = ann.get(f"/readers?q={name[:-1]}")
    assert page.status_code == 422
    assert "It is not the ID of a decision of the last seven days either." in plain(page)
    assert "decision of the last" not in plain(ann.get("/readers?q=a/b"))
