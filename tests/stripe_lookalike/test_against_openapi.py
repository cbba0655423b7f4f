"""Test the look-alike's requests and answers against Stripe's OpenAPI description."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import stripe
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types

from stripe_lookalike import RunningLookalike

pytestmark = pytest.mark.full

# Fields that API 2026-10-28.endive sends beyond the description of 2026-08-26.dahlia.
BEYOND = {
    "subscription": {"status_details"},
    "subscription_item": {"plan"},
    "invoice": {"status_details"},
    "dispute": {"submission_method"},
    "charge": {"source"},
    "product": {"type"},
}
NOT_DESCRIBED = re.compile(
    r"/v1/(coupons.*|promotion_codes.*|payment_methods/.*|customers/[^/]+/payment_methods|subscriptions/[^/]+/pause)"
)


def _with_nulls(node: Any) -> Any:
    """Translate OpenAPI 3.0's `nullable` to JSON Schema."""
    if isinstance(node, list):
        return [_with_nulls(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    made = {key: _with_nulls(inner) for key, inner in node.items() if key != "nullable"}
    return {"anyOf": [made, {"type": "null"}]} if node.get("nullable") is True else made


class Answers:
    """Keep every answer and list its problems."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.seen: list[tuple[str, str, Any]] = []
        self._document = document
        self._schemas = _with_nulls(document["components"]["schemas"])
        paths = sorted(document["paths"], key=lambda path: path.count("{"))
        self._paths = [(re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path)), path) for path in paths]

    def keep(self, answer: requests.Response, *args: Any, **kwargs: Any) -> None:
        path = str(answer.request.path_url).partition("?")[0]
        if answer.status_code == 200 and path.startswith("/v1/"):
            self.seen.append((str(answer.request.method).lower(), path, answer.json()))

    def operations(self) -> set[tuple[str, str]]:
        return {(method, self._template(path)) for method, path, _ in self.seen}

    def _template(self, path: str) -> str:
        return next((known for pattern, known in self._paths if pattern.fullmatch(path)), path)

    def problems(self) -> Iterator[str]:
        for method, path, answer in self.seen:
            if NOT_DESCRIBED.fullmatch(path):
                continue
            content = self._document["paths"][self._template(path)][method]["responses"]["200"]["content"]
            schema = _with_nulls(content["application/json"]["schema"])
            validator = Draft202012Validator({**schema, "components": {"schemas": self._schemas}})
            for error in validator.iter_errors(answer):
                yield f"{method} {path}: {error.json_path} {error.message[:300]}"
            for kind, names in self._unknown(answer):
                yield f"{method} {path}: {kind} has {names}"

    def _unknown(self, node: Any) -> Iterator[tuple[str, set[str]]]:
        """Yield the fields that the description of an object lacks."""
        if isinstance(node, list):
            for inner in node:
                yield from self._unknown(inner)
        if isinstance(node, dict):
            kind = str(node.get("object"))
            described = self._document["components"]["schemas"].get(kind)
            if described and "properties" in described and not node.get("deleted"):
                names = node.keys() - described["properties"].keys() - BEYOND.get(kind, set())
                if names:
                    yield kind, names
            for inner in node.values():
                yield from self._unknown(inner)


@pytest.fixture
def answers(openapi: dict[str, Any]) -> Answers:
    return Answers(openapi)


@pytest.fixture
def strict(lookalike: RunningLookalike, openapi: dict[str, Any], answers: Answers) -> Iterator[stripe.StripeClient]:
    """Return the SDK's client for a strict look-alike that records its answers."""
    lookalike.lookalike.set_openapi(openapi)
    with requests.Session() as session:
        session.hooks["response"].append(answers.keep)
        yield stripe.StripeClient(
            "sk_test_x",
            base_addresses={"api": lookalike.url},
            http_client=stripe.RequestsClient(timeout=(2, 10), session=session),
        )


def _sell(c: stripe.StripeClient, control: Any, mode: Any, price: str, **more: Any) -> stripe.checkout.Session:
    params: Any = {
        "mode": mode,
        "line_items": [{"price": price, "quantity": 2}],
        "success_url": "https://www.example.news/?s={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://www.example.news/",
        "client_reference_id": "r-1",
        "metadata": {"reader_id": "r-1", "7": "digits are names too"},
        **more,
    }
    session = c.v1.checkout.sessions.create(params)
    c.v1.checkout.sessions.retrieve(session.id)
    control.post(f"/checkout/{session.id}/pay", {})
    return c.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items", "subscription", "payment_intent"]})


def _options(c: stripe.StripeClient, control: Any) -> None:
    coupon = c.v1.coupons.create({"percent_off": 50, "duration": "forever"})
    c.v1.coupons.retrieve(coupon.id)
    code = c.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HALF"})
    c.v1.promotion_codes.list({"code": "HALF"})
    customer = c.v1.customers.create({"email": "tax@example.org"}).id
    options: Any = {
        "customer": customer,
        "automatic_tax": {"enabled": True},
        "tax_id_collection": {"enabled": True},
        "customer_update": {"address": "auto", "name": "auto"},
        "billing_address_collection": "required",
        "discounts": [{"promotion_code": code.id}],
        "locale": "de",
        "currency": "eur",
    }
    session = _sell(c, control, "subscription", "price_month", **options)
    expand: Any = {"expand": ["discounts.promotion_code.promotion.coupon"]}
    c.v1.checkout.sessions.retrieve(session.id, expand)
    c.v1.subscriptions.retrieve(session.subscription.id, {"expand": ["discounts", "latest_invoice"]})  # type: ignore[union-attr] # expanded
    c.v1.prices.retrieve("price_month", {"expand": ["currency_options"]})


def _catalogue(c: stripe.StripeClient) -> None:
    c.v1.accounts.retrieve_current()
    product = c.v1.products.create({"name": "Extra", "metadata": {"a": "b"}})
    c.v1.products.update(product.id, {"description": "More"})
    c.v1.products.retrieve(product.id)
    feature = c.v1.entitlements.features.create({"lookup_key": "notebook", "name": "Notebook"})
    c.v1.entitlements.features.retrieve(feature.id)
    c.v1.entitlements.features.list({"lookup_key": "notebook"})
    attached = c.v1.products.features.create("prod_supporter", {"entitlement_feature": feature.id})
    c.v1.products.features.list("prod_supporter")
    c.v1.products.features.create(product.id, {"entitlement_feature": feature.id})
    c.v1.products.features.delete(product.id, c.v1.products.features.list(product.id).data[0].id)
    assert attached.id
    price = c.v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 700, "recurring": {"interval": "month"}}
    )
    c.v1.prices.update(price.id, {"lookup_key": "extra_monthly"})
    found = c.v1.prices.list({"lookup_keys": ["extra_monthly"], "active": True, "expand": ["data.product"]})
    assert [row.id for row in found.data] == [price.id]
    c.v1.products.list({"active": True, "limit": 2})


def _subscription(c: stripe.StripeClient, control: Any) -> None:
    subscription_id = str(_sell(c, control, "subscription", "price_month").subscription.id)  # type: ignore[union-attr] # expanded
    subscription = c.v1.subscriptions.retrieve(
        subscription_id, {"expand": ["latest_invoice.payments", "customer.subscriptions", "items.data.price.product"]}
    )
    item = subscription["items"].data[0].id
    c.v1.subscription_items.list({"subscription": subscription_id})
    c.v1.subscription_items.retrieve(item)
    c.v1.subscription_items.update(item, {"quantity": 3, "proration_behavior": "always_invoice"})
    c.v1.subscription_items.create({"subscription": subscription_id, "price": "price_seat_month"})
    extra = c.v1.subscription_items.list({"subscription": subscription_id}).data[1].id
    c.v1.subscription_items.delete(extra)
    c.v1.subscriptions.update(subscription_id, {"items": [{"id": item, "price": "price_year"}], "metadata": {"x": "y"}})
    c.v1.subscriptions.update(subscription_id, {"pause_collection": {"behavior": "void"}})
    c.v1.subscriptions.update(subscription_id, {"pause_collection": ""})
    c.v1.subscriptions.update(subscription_id, {"cancel_at": control.now() + 86_400})
    c.v1.subscriptions.update(subscription_id, {"cancel_at": ""})
    c.v1.subscriptions.update(subscription_id, {"cancel_at_period_end": True})
    c.v1.subscriptions.update(subscription_id, {"cancel_at_period_end": False})
    c.v1.subscriptions.pause(subscription_id)
    c.v1.subscriptions.resume(subscription_id)
    customer = str(subscription.customer.id)  # type: ignore[union-attr] # expanded
    c.v1.entitlements.active_entitlements.list({"customer": customer})
    c.v1.billing_portal.sessions.create({"customer": customer, "return_url": "https://www.example.news/"})
    control.advance(400 * 86_400)
    _invoices(c, subscription_id)
    c.v1.subscriptions.list({"status": "all", "customer": customer, "price": "price_year"})
    c.v1.subscriptions.cancel(subscription_id, {"cancellation_details": {"comment": "too dear"}})


def _invoices(c: stripe.StripeClient, subscription: str) -> None:
    newest = c.v1.invoices.list({"subscription": subscription, "expand": ["data.payments"]}).data[0]
    c.v1.invoices.retrieve(newest.id)
    c.v1.invoices.line_items.list(newest.id)
    payment = c.v1.invoice_payments.list({"invoice": newest.id}).data[0]
    c.v1.invoice_payments.retrieve(payment.id)
    intent = str(payment.payment.payment_intent)
    c.v1.invoice_payments.list({"payment": {"type": "payment_intent", "payment_intent": intent}})


def _money(c: stripe.StripeClient, control: Any) -> None:
    session = _sell(c, control, "payment", "price_day", customer_creation="always")
    intent = str(session.payment_intent.id)  # type: ignore[union-attr] # expanded
    c.v1.payment_intents.retrieve(intent, {"expand": ["latest_charge"]})
    c.v1.payment_intents.list({"limit": 3})
    charge = c.v1.charges.list({"payment_intent": intent}).data[0].id
    refund = c.v1.refunds.create({"charge": charge, "amount": 100, "reason": "requested_by_customer"})
    c.v1.refunds.update(refund.id, {"metadata": {"why": "kind"}})
    c.v1.refunds.retrieve(refund.id)
    c.v1.refunds.list({"charge": charge})
    control.post(f"/refunds/{refund.id}", {"status": "failed"})
    c.v1.charges.retrieve(charge, {"expand": ["refunds"]})
    dispute = control.post("/disputes", {"charge": charge})["id"]
    c.v1.disputes.update(dispute, {"evidence": {"product_description": "Access"}})
    c.v1.disputes.retrieve(dispute)
    c.v1.disputes.list({"charge": charge})
    c.v1.disputes.close(dispute)


def _rest(c: stripe.StripeClient, control: Any) -> None:
    customer = c.v1.customers.create({"email": "a@example.org", "metadata": {"reader_id": "r-2"}})
    c.v1.customers.update(customer.id, {"name": "A", "metadata": {"reader_id": ""}})
    c.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
    card = c.v1.customers.payment_methods.list(customer.id).data[0].id
    c.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card}})
    failed = c.v1.subscriptions.create({"customer": customer.id, "items": [{"price": "price_month"}]})
    assert failed.status == "incomplete"
    c.v1.invoices.mark_uncollectible(str(failed.latest_invoice))
    c.v1.invoices.void_invoice(str(failed.latest_invoice))
    c.v1.subscriptions.create({"customer": customer.id, "items": [{"price": "price_month"}], "trial_period_days": 7})
    c.v1.customers.list({"email": "a@example.org"})
    c.v1.customers.delete(customer.id)
    assert c.v1.customers.retrieve(customer.id).deleted
    session = c.v1.checkout.sessions.create(
        {"mode": "payment", "line_items": [{"price": "price_day"}], "success_url": "https://www.example.news/"}
    )
    c.v1.checkout.sessions.expire(session.id)
    c.v1.checkout.sessions.list({"status": "expired"})
    c.v1.checkout.sessions.line_items.list(session.id)
    endpoint = c.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["invoice.paid"]})
    c.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    c.v1.webhook_endpoints.retrieve(endpoint.id)
    c.v1.webhook_endpoints.list()
    c.v1.webhook_endpoints.delete(endpoint.id)
    events = c.v1.events.list({"types": ["customer.created"], "created": {"gte": 1}, "delivery_success": True})
    c.v1.events.retrieve(events.data[0].id)


def test_answers_match_the_openapi_description(strict: stripe.StripeClient, control: Any, answers: Answers) -> None:
    _catalogue(strict)
    _subscription(strict, control)
    _money(strict, control)
    _rest(strict, control)
    _options(strict, control)
    assert len(answers.operations()) > 65
    problems = sorted(set(answers.problems()))
    assert problems == [], "\n".join(problems)


def test_every_sent_event_matches_the_openapi_description(
    strict: stripe.StripeClient, control: Any, openapi: dict[str, Any]
) -> None:
    _catalogue(strict)
    _subscription(strict, control)
    _money(strict, control)
    _options(strict, control)
    control.post("/policy", {"keep_events_for": 10**9})
    problems = set()
    schemas = _with_nulls(openapi["components"]["schemas"])
    for event in strict.v1.events.list({"limit": 100}).auto_paging_iter():
        found = json.loads(json.dumps(event.to_dict(for_json=True)["data"]["object"]))
        if found["object"] in schemas:
            schema = {"$ref": f"#/components/schemas/{found['object']}", "components": {"schemas": schemas}}
            problems |= {
                f"{event.type} {e.json_path} {e.message[:200]}" for e in Draft202012Validator(schema).iter_errors(found)
            }
    assert problems == set()


Call = Callable[[stripe.StripeClient], object]
BAD_CALLS: list[tuple[Call, str, str | None]] = [
    (lambda c: c.raw_request("get", "/v1/customers", colour="red"), "colour", "parameter_unknown"),
    (
        lambda c: c.raw_request("post", "/v1/subscriptions", customer="cus_1", items=[{"price": "p", "colour": "red"}]),
        "items[0][colour]",
        "parameter_unknown",
    ),
    (lambda c: c.raw_request("get", "/v1/customers", limit="many"), "limit", "parameter_invalid_integer"),
    (lambda c: c.raw_request("get", "/v1/subscriptions", status="asleep"), "status", None),
    (lambda c: c.raw_request("get", "/v1/entitlements/active_entitlements"), "customer", "parameter_missing"),
    (
        lambda c: c.raw_request("post", "/v1/subscriptions/sub_1", cancel_at_period_end="maybe"),
        "cancel_at_period_end",
        None,
    ),
    (lambda c: c.raw_request("post", "/v1/subscriptions/sub_1/pause", colour="red"), "colour", "parameter_unknown"),
]


@pytest.mark.parametrize(("call", "param", "code"), BAD_CALLS)
def test_strict_mode_rejects_what_the_description_does_not_allow(
    strict: stripe.StripeClient, call: Call, param: str, code: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        call(strict)
    assert (refused.value.http_status, refused.value.param, refused.value.code) == (400, param, code)


def test_strict_mode_is_switched_over_http(client: stripe.StripeClient, control: Any, openapi: dict[str, Any]) -> None:
    assert control.put("/strict", openapi) == {"strict": True}
    with pytest.raises(stripe.InvalidRequestError, match="Invalid status"):
        client.raw_request("get", "/v1/checkout/sessions", status="asleep")
    assert control.delete("/strict") == {"strict": False}
    assert client.raw_request("get", "/v1/checkout/sessions", status="asleep")
