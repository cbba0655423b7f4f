"""Test webhooks over the whole app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.in_process_app import UnreadBody
from tests.stripe_fixtures import BORN, MONTH, SECRET, Made

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp

Json = dict[str, Any]


@pytest.fixture
def app(make_app: MakeApp, valkey_url: str) -> InProcessApp:
    """Return an app without a Stripe key, which has only payloads."""
    made = make_app(valkey_url, STRIPE_WEBHOOK_SECRETS=SECRET)
    made.clock.now = BORN + 60
    return made


@pytest.mark.parametrize("scheduled", [{"cancel_at": BORN + MONTH}, {"cancel_at_period_end": True}])
def test_scheduled_end_is_listed_as_ending_before_and_after_it(scheduled: Json, app: InProcessApp) -> None:
    app.deliver(Made.event("customer.subscription.updated", Made.subscription(**scheduled)))
    for seconds, standing in ((MONTH - 1, "good"), (MONTH, "ended"), (2 * MONTH, "ended")):
        app.clock.now = BORN + seconds
        (source,) = app.reader("r-1")["sources"]
        assert (source["status"], source["standing"], source["ending"]) == ("active", standing, True)


@pytest.mark.parametrize("name", ["cancel_at", "trial_end", "ended_at", "created", "start", "end"])
@pytest.mark.parametrize("moment", [-(10**14), -1, 0, 10**14])
def test_time_outside_the_calendar_does_not_fail_the_reader(name: str, moment: int, app: InProcessApp) -> None:
    status = {"trial_end": "trialing", "ended_at": "canceled"}.get(name, "active")
    about = Made.subscription(status=status)
    if name in ("start", "end"):
        about["items"]["data"][0][f"current_period_{name}"] = moment
    else:
        about[name] = moment
    app.deliver(Made.event("customer.subscription.updated", about))
    for at in (None, "2026-11-02T00:00:00Z", "2027-01-01T00:00:00Z"):
        assert len(app.reader("r-1", at)["sources"]) == 1
    answer = app.ask("a", reader="r-1", explain=True)
    assert answer["explain"]
    assert app.call("GET", f"/v1/decisions/{answer['decision_id']}", admin=True).status_code == 200


def test_doctor_without_stripe_key_reports_last_event(app: InProcessApp) -> None:
    assert app.service.doctor.findings()[-1].message == "no event has been received yet"
    app.deliver(Made.event("customer.subscription.created", Made.subscription()))
    assert app.service.doctor.findings()[-1].message == "the last event received is of 2026-11-01T00:01:00Z"


def test_empty_entitlement_summary_is_listed_and_gives_nothing(app: InProcessApp) -> None:
    app.deliver(Made.event("customer.updated", {"id": "cus_1", "object": "customer", "metadata": {"reader_id": "r-1"}}))
    for number, (keys, access) in enumerate(((["notebook"], True), ([], False))):
        rows = [{"id": f"ent_{key}", "object": "entitlements.active_entitlement", "lookup_key": key} for key in keys]
        summary = {
            "object": "entitlements.active_entitlement_summary",
            "customer": "cus_1",
            "entitlements": {"object": "list", "data": rows, "has_more": False},
        }
        app.deliver(
            Made.event(
                "entitlements.active_entitlement_summary.updated", summary, id=f"evt_e{number}", created=BORN + number
            )
        )
        facts = app.reader("r-1")
        (source,) = facts["sources"]
        assert (source["type"], source["id"], source["status"]) == ("stripe_entitlement", "cus_1", "active")
        assert (source["features"], facts["access"]) == (keys, access)


@pytest.mark.parametrize("header", [None, "", "t=1", "v1=" + "0" * 64, "t=x,v1=" + "0" * 64, "t=1,v1=0", "nonsense"])
def test_delivery_without_well_formed_signature_is_refused_before_the_body(
    app: InProcessApp, header: str | None
) -> None:
    headers = {} if header is None else {"Stripe-Signature": header}
    answer = app.client.post("/v1/stripe/webhook", input_stream=UnreadBody(bytes(1_000)), headers=headers)
    assert (answer.status_code, answer.get_json()["title"]) == (400, "Not from Stripe")


def test_delivery_above_1_mib_is_413_before_its_signature(app: InProcessApp) -> None:
    answer = app.client.post("/v1/stripe/webhook", input_stream=UnreadBody(bytes(1024 * 1024 + 1)))
    assert answer.status_code == 413


@pytest.mark.parametrize(("change", "asked"), [({}, True), ({"livemode": True}, False), ({"account": "acct_1"}, False)])
def test_price_event_of_our_account_refreshes_prices(change: Json, asked: bool, app: InProcessApp) -> None:
    before = app.service.prices_changed.read()
    app.deliver(Made.event("price.updated", {"id": "price_month", "object": "price"}, **change))
    assert app.service.prices_changed.read() == before + asked
