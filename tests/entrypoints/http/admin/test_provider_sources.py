"""Test how the staff pages show subscriptions of other providers than Stripe, and take their snapshots."""

from __future__ import annotations

from tests.entrypoints.http.admin.conftest import MakeStaff, plain
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
