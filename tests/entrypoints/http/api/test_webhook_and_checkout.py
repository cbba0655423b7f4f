"""Test webhooks and checkout over the whole app."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import stripe

from service.use_cases.operations.background_tasks import BackgroundTasks
from tests.stripe_fixtures import BORN, MONTH, SECRET

if TYPE_CHECKING:
    from stripe_lookalike import RunningLookalike
    from tests.in_process_app import InProcessApp, MakeApp
    from tests.store_servers import Until

Json = dict[str, Any]
Deliver = Callable[[Json], Any]


@pytest.fixture
def app(make_app: MakeApp, valkey_url: str) -> InProcessApp:
    """Return an app without a Stripe key, which has only payloads."""
    made = make_app(valkey_url, STRIPE_WEBHOOK_SECRETS=SECRET)
    made.clock.now = BORN + 60
    return made


@pytest.fixture
def deliver(app: InProcessApp, sign: Callable[..., str]) -> Deliver:
    def delivering(event: Json) -> Any:
        body = json.dumps(event).encode()
        signature = sign(body, at=int(app.clock()))
        answer = app.client.post("/v1/stripe/webhook", data=body, headers={"Stripe-Signature": signature})
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    return delivering


@pytest.mark.parametrize("scheduled", [{"cancel_at": BORN + MONTH}, {"cancel_at_period_end": True}])
def test_scheduled_end_is_listed_as_ending_before_and_after_it(
    scheduled: Json, app: InProcessApp, deliver: Deliver, made: Any
) -> None:
    deliver(made.event("customer.subscription.updated", made.subscription(**scheduled)))
    for seconds, standing in ((MONTH - 1, "good"), (MONTH, "ended"), (2 * MONTH, "ended")):
        app.clock.now = BORN + seconds
        (source,) = app.reader("r-1")["sources"]
        assert (source["status"], source["standing"], source["ending"]) == ("active", standing, True)


@pytest.mark.parametrize("name", ["cancel_at", "trial_end", "ended_at", "created", "start", "end"])
@pytest.mark.parametrize("moment", [-(10**14), -1, 0, 10**14])
def test_time_outside_the_calendar_does_not_fail_the_reader(
    name: str, moment: int, app: InProcessApp, deliver: Deliver, made: Any
) -> None:
    status = {"trial_end": "trialing", "ended_at": "canceled"}.get(name, "active")
    about = made.subscription(status=status)
    if name in ("start", "end"):
        about["items"]["data"][0][f"current_period_{name}"] = moment
    else:
        about[name] = moment
    deliver(made.event("customer.subscription.updated", about))
    for at in (None, "2026-11-02T00:00:00Z", "2027-01-01T00:00:00Z"):
        assert len(app.reader("r-1", at)["sources"]) == 1
    answer = app.ask("a", reader="r-1", explain=True)
    assert answer["explain"]
    assert app.call("GET", f"/v1/decisions/{answer['decision_id']}", admin=True).status_code == 200


@pytest.fixture
def shop(make_app: MakeApp, valkey_url: str, lookalike: RunningLookalike) -> InProcessApp:
    """Return an app that sells through the look-alike."""
    return make_app(valkey_url, STRIPE_API_KEY="sk_test_x", STRIPE_API_BASE=lookalike.url)


def buying(shop: InProcessApp, return_url: str) -> Any:
    body = {"reader": "r-1", "price": "price_month", "return_url": return_url}
    return shop.call("POST", "/v1/checkout", body)


def test_return_url_in_capitals_is_accepted(shop: InProcessApp) -> None:
    assert buying(shop, "HTTPS://WWW.Example.news/Back?Yes#Top").status_code == 200


@pytest.mark.parametrize("path", ["straße", "a b", "{CHECKOUT_SESSION_ID}", "a\\b"])
def test_return_url_with_unencoded_characters_is_rejected_with_a_hint(shop: InProcessApp, path: str) -> None:
    answer = buying(shop, f"https://www.example.news/{path}")
    (error,) = answer.get_json()["errors"]
    assert (answer.status_code, error["field"]) == (422, "return_url")
    assert "percent-encoded" in error["message"]


def test_all_mistakes_of_a_checkout_request_are_reported_at_once(shop: InProcessApp) -> None:
    elsewhere = {"return_url": "https://www.example.org/"}
    for path, body, wrong in (
        ("checkout", {"reader": "a/b", "plan": "nope", **elsewhere}, ["reader", "return_url", "plan"]),
        ("checkout", {"reader": "r", "plan": "supporter", **elsewhere}, ["return_url", "price"]),
        ("checkout", {"reader": "r", "plan": 7, **elsewhere}, ["plan", "return_url"]),
        ("checkout", {"reader": "r", "plan": "vip", "return_url": 7}, ["return_url", "plan"]),
        ("portal", {"reader": 7, **elsewhere}, ["reader", "return_url"]),
    ):
        answer = shop.call("POST", f"/v1/{path}", body)
        named = [error["field"] for error in answer.get_json()["errors"]]
        assert (answer.status_code, named) == (422, wrong)


def test_checkout_without_stripe_key_is_503(app: InProcessApp) -> None:
    answer = buying(app, "https://www.example.news/")
    assert (answer.status_code, answer.get_json()["title"]) == (503, "Stripe is unavailable")


def test_doctor_without_stripe_key_reports_last_event(app: InProcessApp, deliver: Deliver, made: Any) -> None:
    assert app.service.doctor.findings()[-1].message == "no event has been received yet"
    deliver(made.event("customer.subscription.created", made.subscription()))
    assert app.service.doctor.findings()[-1].message == "the last event received is of 2026-11-01T00:01:00Z"


@pytest.mark.parametrize("page", ["https://www.example.news/", "https://www.example.news/another-story"])
def test_paid_reader_cannot_buy_again_before_the_webhook(page: str, shop: InProcessApp, control: Any) -> None:
    paid = buying(shop, "https://www.example.news/").get_json()["url"].rsplit("/", 1)[1]
    control.pay(paid)
    assert shop.reader("r-1")["sources"] == []
    assert buying(shop, page).status_code == 409
    assert shop.reader("r-1")["access"]


def test_first_purchase_makes_only_the_needed_stripe_requests(shop: InProcessApp, control: Any) -> None:
    control.forget()
    assert buying(shop, "https://www.example.news/").status_code == 200
    assert [path for method, path in control.asked() if "prices" not in path] == [
        "/v1/customers",
        "/v1/checkout/sessions",
    ]


def test_gift_to_another_reader_does_not_block_a_purchase(
    shop: InProcessApp, control: Any, stripe_client: stripe.StripeClient
) -> None:
    control.pay(buying(shop, "https://www.example.news/").get_json()["url"].rsplit("/", 1)[1])
    (given,) = stripe_client.v1.subscriptions.list().data
    stripe_client.v1.subscriptions.update(given.id, {"metadata": {"gift_recipient": "r-2"}})
    assert buying(shop, "https://www.example.news/").status_code == 200


@pytest.mark.parametrize(("sold", "level"), [(True, "wrong"), (False, "note")])
def test_doctor_reports_missing_webhook_secret_as_wrong_when_selling(
    sold: bool, level: str, shop: InProcessApp, make_app: MakeApp, valkey_url: str
) -> None:
    found = (shop if sold else make_app(valkey_url)).service.doctor.findings()
    (webhook,) = [finding for finding in found if finding.subject == "webhook"]
    assert webhook.level == level


def test_empty_entitlement_summary_is_listed_and_gives_nothing(app: InProcessApp, deliver: Deliver, made: Any) -> None:
    deliver(made.event("customer.updated", {"id": "cus_1", "object": "customer", "metadata": {"reader_id": "r-1"}}))
    for number, (keys, access) in enumerate(((["notebook"], True), ([], False))):
        rows = [{"id": f"ent_{key}", "object": "entitlements.active_entitlement", "lookup_key": key} for key in keys]
        summary = {
            "object": "entitlements.active_entitlement_summary",
            "customer": "cus_1",
            "entitlements": {"object": "list", "data": rows, "has_more": False},
        }
        deliver(
            made.event(
                "entitlements.active_entitlement_summary.updated", summary, id=f"evt_e{number}", created=BORN + number
            )
        )
        facts = app.reader("r-1")
        (source,) = facts["sources"]
        assert (source["type"], source["id"], source["status"]) == ("stripe_entitlement", "cus_1", "active")
        assert (source["features"], facts["access"]) == (keys, access)


@pytest.mark.parametrize(("change", "asked"), [({}, True), ({"livemode": True}, False), ({"account": "acct_1"}, False)])
def test_price_event_of_our_account_refreshes_prices(
    change: Json, asked: bool, app: InProcessApp, deliver: Deliver, made: Any
) -> None:
    before = app.service.prices_changed.read()
    deliver(made.event("price.updated", {"id": "price_month", "object": "price"}, **change))
    assert app.service.prices_changed.read() == before + asked


def test_background_tasks_run_once_at_start(app: InProcessApp, until: Until) -> None:
    looked: list[int] = []
    care = BackgroundTasks([lambda: looked.append(app.service.prices_changed.read())], every=3_600)
    care.start()
    try:
        until(lambda: looked == [0])
    finally:
        care.stop()
