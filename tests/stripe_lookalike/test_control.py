"""Test the control routes: clock, faults, limits, journal, recorded lifecycles and single objects."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from service.adapters.stripe.gateway import Gateway
from service.adapters.stripe.transport import RateLimit
from stripe_lookalike import RunningLookalike, serve_lookalike
from tests.store_servers import wait_until

pytestmark = pytest.mark.full


def test_clock_follows_the_wall_clock_until_frozen(control: Any) -> None:
    began = control.post("/clock", {"to": 1_800_000_000})["now"]
    wait_until(lambda: control.now() > began)
    stands = control.post("/clock", {"advance": 60, "frozen": True})["now"]
    assert control.now() == stands
    assert control.post("/clock", {"frozen": False})["now"] == stands


@pytest.mark.parametrize("followed", [True, False])
def test_answer_date_follows_the_wall_clock_or_the_clock_file(followed: bool, tmp_path: Path) -> None:
    """Without a clock file, dates follow the wall clock, since the doctor compares them with its own."""
    with serve_lookalike(clock_file=tmp_path / "clock" if followed else None) as running:
        requests.post(f"{running.url}/_lookalike/clock", json={"advance": 86_400}, timeout=60)
        ahead = Gateway("sk_test_x", running.url, RateLimit()).read_account().clock_ahead
    assert ahead is not None
    assert abs(-ahead - (86_400 if followed else 0)) < 600


def test_due_work_runs_without_requests(
    lookalike: RunningLookalike, client: stripe.StripeClient, control: Any, new_customer: Any
) -> None:
    subscription = client.v1.subscriptions.create({"customer": new_customer().id, "items": [{"price": "price_month"}]})
    client.v1.subscriptions.update(subscription.id, {"cancel_at": control.now() + 1})
    kept = lookalike.lookalike.world.table("subscription")[subscription.id]
    wait_until(lambda: kept["status"] == "canceled")


@pytest.mark.parametrize("body", [{}, {"advance": "soon"}, {"to": 1.5}, {"forward": 3}])
def test_invalid_clock_request_is_rejected(control: Any, body: dict[str, Any]) -> None:
    assert "error" in control.post("/clock", body, expect=400)


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/delivery", {"retries": 3}),
        ("/delivery", {"mode": "asleep"}),
        ("/delivery", {"colour": "red"}),
        ("/faults", {"status": "500"}),
        ("/rate_limit", {"per_second": [1]}),
        ("/policy", {"retry_days": ["soon"]}),
        ("/load", {"events": 1}),
        ("/object", {"object": {"id": "x"}}),
        ("/webhook_endpoints", {"url": "http://127.0.0.1:9/"}),
    ],
)
def test_invalid_control_request_is_rejected_and_changes_nothing(
    client: stripe.StripeClient, control: Any, route: str, body: dict[str, Any]
) -> None:
    before = control.get("/delivery"), control.get("/policy")
    assert control.post(route, body, expect=400)["error"]["message"]
    assert (control.get("/delivery"), control.get("/policy")) == before
    client.v1.customers.list()


def test_fail_rate_fails_only_a_share_of_matching_requests(client: stripe.StripeClient, control: Any) -> None:
    control.post("/faults", {"match": "/v1/subscriptions", "fail_rate": 0.5, "status": 500, "seed": 1})
    failed = 0
    for _ in range(40):
        try:
            client.v1.subscriptions.list()
        except stripe.APIError:
            failed += 1
    assert 5 < failed < 35
    client.v1.customers.list()
    control.delete("/faults")
    client.v1.subscriptions.list()


def test_hanging_request_continues_when_the_fault_is_removed(client: stripe.StripeClient, control: Any) -> None:
    control.post("/faults", {"match": "/v1/events", "hang": 60})
    with ThreadPoolExecutor(1) as pool:
        begun = time.monotonic()
        hanging = pool.submit(client.v1.events.list)
        client.v1.customers.list()
        assert not hanging.done(), "others are served meanwhile"
        control.delete("/faults")
        hanging.result(timeout=40)
    assert time.monotonic() - begun < 50


def test_exceeded_rate_limit_is_429_with_the_reason_of_stripe(client: stripe.StripeClient, control: Any) -> None:
    control.post("/rate_limit", {"endpoint_per_second": 0.001, "burst": 3})
    for _ in range(3):
        client.v1.customers.list()
    with pytest.raises(stripe.RateLimitError) as refused:
        client.v1.customers.list()
    assert (refused.value.headers or {})["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    client.v1.subscriptions.list()
    control.post("/rate_limit", {})
    client.v1.customers.list()


def test_journal_lists_every_request_with_its_parameters(client: stripe.StripeClient, control: Any) -> None:
    customer = client.v1.customers.create({"metadata": {"reader_id": "r-1"}}).id
    client.v1.customers.retrieve(customer)
    client.v1.customers.retrieve(customer)
    journal = control.get("/requests")
    assert journal["counts"] == {"POST /v1/customers": 1, "GET /v1/customers/{customer}": 2}
    assert journal["paths"][f"GET /v1/customers/{customer}"] == 2
    assert journal["requests"][0]["params"] == {"metadata": {"reader_id": "r-1"}}
    assert control.get("/requests", path=f"/v1/customers/{customer}", method="GET")["matching"] == 2
    assert control.delete("/requests")["total"] == 0


def _story(papers: Path, name: str) -> dict[str, Any]:
    story: dict[str, Any] = json.loads((papers / "lifecycles" / f"{name}.json").read_text("utf-8"))
    return story


def test_recorded_lifecycle_is_served_with_final_objects_and_events(
    client: stripe.StripeClient, control: Any, stripe_reference: Path
) -> None:
    names = [file.stem for file in sorted((stripe_reference / "lifecycles").iterdir())]
    stories = [_story(stripe_reference, name) for name in names]
    for story in stories:
        control.post("/load", story)
    for story in stories:
        for subscription_id, final in story["final"]["subscriptions"].items():
            assert client.v1.subscriptions.retrieve(subscription_id).to_dict(for_json=True) == final
        for session_id, rows in story["final"]["checkout_line_items"].items():
            assert len(client.v1.checkout.sessions.line_items.list(session_id).data) == len(rows)
    listed = {event.id for event in client.v1.events.list({"limit": 100}).auto_paging_iter()}
    assert listed == {event["id"] for story in stories for event in story["events"]}


def test_recorded_lifecycle_can_be_loaded_partially(
    client: stripe.StripeClient, control: Any, stripe_reference: Path
) -> None:
    story = _story(stripe_reference, "dunning_to_canceled")
    (subscription,) = story["final"]["subscriptions"]
    control.post("/load", story, upto=20)
    assert client.v1.subscriptions.retrieve(subscription).status == "past_due"


def test_loaded_lifecycle_continues_when_live(
    client: stripe.StripeClient, control: Any, stripe_reference: Path
) -> None:
    story = _story(stripe_reference, "signup_active")
    (subscription,) = story["final"]["subscriptions"]
    end = story["final"]["subscriptions"][subscription]["items"]["data"][0]["current_period_end"]
    control.post("/clock", {"to": story["events"][-1]["created"], "frozen": True})
    control.post("/load", story, live=1)
    control.post("/clock", {"to": end + 7200})
    renewed = client.v1.subscriptions.retrieve(subscription, {"expand": ["latest_invoice"]})
    assert renewed["items"].data[0].current_period_start == end
    assert renewed.latest_invoice.status == "paid"  # type: ignore[union-attr] # expanded


def test_loaded_lifecycle_sends_its_events_when_asked(control: Any, receiver: Any, stripe_reference: Path) -> None:
    story = _story(stripe_reference, "signup_active")
    control.post("/load", story, send=1)
    wait_until(lambda: len(receiver.taken) == len(story["events"]))
    assert {event["id"] for event in receiver.events} == {event["id"] for event in story["events"]}


def test_object_can_be_stored_and_changed_with_and_without_an_event(
    client: stripe.StripeClient, control: Any, new_customer: Any
) -> None:
    subscription = client.v1.subscriptions.create({"customer": new_customer().id, "items": [{"price": "price_month"}]})
    newest = client.v1.events.list({"limit": 1}).data[0].id
    patch = {"id": subscription.id, "object": "subscription", "status": "unheard_of", "metadata": {"a": "b"}}
    control.post("/object", {"object": patch})
    assert client.v1.subscriptions.retrieve(subscription.id).status == "unheard_of"
    assert client.v1.events.list({"limit": 1}).data[0].id == newest
    patch["status"] = "unpaid"
    control.post("/object", {"object": patch, "event": "customer.subscription.updated"})
    event = client.v1.events.list({"limit": 1}).data[0].to_dict()
    assert event["data"]["previous_attributes"] == {"status": "unheard_of"}


def test_stored_entitlement_is_listed_only_for_its_customer(
    client: stripe.StripeClient, control: Any, new_customer: Any
) -> None:
    customer = new_customer().id
    row = {"object": "entitlements.active_entitlement", "feature": "feat_1", "lookup_key": "notebook"}
    control.post("/object", {"object": {**row, "id": "ent_of_nobody"}})
    control.post("/object", {"object": {**row, "id": "ent_of_theirs", "_customer": customer}})
    listed = client.v1.entitlements.active_entitlements.list({"customer": customer})
    assert [held.id for held in listed.data] == ["ent_of_theirs"]


def test_reset_restores_the_initial_catalogue_and_endpoints(client: stripe.StripeClient, control: Any) -> None:
    client.v1.customers.create({})
    control.post("/faults", {"status": 500})
    control.post("/clock", {"advance": 10**8})
    control.post("/reset")
    assert not client.v1.customers.list().data
    assert len(client.v1.prices.list().data) == 5
    assert abs(control.now() - time.time()) < 5


def test_command_serves_and_ends_on_sigterm() -> None:
    command = [sys.executable, "-m", "stripe_lookalike", "--port", "0", "--webhook", "http://127.0.0.1:9/"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        answer = requests.get(f"{url}/v1/prices", headers={"Authorization": "Bearer sk_test_x"}, timeout=60)
        assert len(answer.json()["data"]) == 5
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
