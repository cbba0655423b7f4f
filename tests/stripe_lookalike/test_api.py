"""Test the look-alike's API with the SDK: keys, errors, idempotency, lists, expansion and concurrency."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import stripe

from stripe_lookalike import RunningLookalike

pytestmark = pytest.mark.full

Customers = Callable[..., stripe.Customer]


def _subscribe(
    client: stripe.StripeClient, customer: str, price: str = "price_month", **more: Any
) -> stripe.Subscription:
    params: Any = {"customer": customer, "items": [{"price": price}], **more}
    return client.v1.subscriptions.create(params)


# --- keys and errors


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer sk_live_123456789"}, {"Authorization": "Basic c2s6"}])
def test_request_without_test_key_is_401_in_stripe_format(
    lookalike: RunningLookalike, http: requests.Session, header: dict[str, str]
) -> None:
    answer = http.get(f"{lookalike.url}/v1/customers", headers=header, timeout=60)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "sk_live_123456789" not in answer.text


def test_unknown_object_is_resource_missing(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.subscriptions.retrieve("sub_none")
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    assert refused.value.request_id


def test_unknown_path_is_404_and_counted(client: stripe.StripeClient, control: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        client.raw_request("get", "/v1/teapots")
    assert control.get("/requests")["counts"] == {"GET (unknown)": 1}


def test_unknown_parameter_is_rejected_without_strict_mode(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.raw_request("get", "/v1/subscriptions", colour="red")
    assert refused.value.code == "parameter_unknown"


def test_request_with_foreign_host_is_403(lookalike: RunningLookalike, http: requests.Session) -> None:
    answer = http.get(f"{lookalike.url}/_lookalike/clock", headers={"Host": "evil.example"}, timeout=60)
    assert answer.status_code == 403


# --- idempotency


def test_same_idempotency_key_and_parameters_get_the_same_answer(client: stripe.StripeClient) -> None:
    first, second = (client.v1.customers.create({"email": "a@example.org"}, {"idempotency_key": "k"}) for _ in range(2))
    assert first.id == second.id
    assert len(client.v1.customers.list().data) == 1


def test_same_idempotency_key_with_other_parameters_is_rejected(client: stripe.StripeClient) -> None:
    client.v1.customers.create({"email": "a@example.org"}, {"idempotency_key": "k"})
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({"email": "b@example.org"}, {"idempotency_key": "k"})


def test_lost_answer_is_replayed_for_the_same_idempotency_key(client: stripe.StripeClient, control: Any) -> None:
    control.post("/faults", {"match": "/v1/customers", "status": 500, "when": "after", "times": 1})
    with pytest.raises(stripe.APIError):
        client.v1.customers.create({"email": "a@example.org"}, {"idempotency_key": "k"})
    client.v1.customers.create({"email": "a@example.org"}, {"idempotency_key": "k"})
    assert len(client.v1.customers.list().data) == 1


# --- lists and expansion


def test_lists_page_in_both_directions_newest_first(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create({"name": str(n)}).id for n in range(7)][::-1]
    page = client.v1.customers.list({"limit": 3})
    assert ([row.id for row in page.data], page.has_more) == (made[:3], True)
    back = client.v1.customers.list({"limit": 3, "ending_before": made[5]})
    assert ([row.id for row in back.data], back.has_more) == (made[2:5], True)
    assert [row.id for row in client.v1.customers.list({"limit": 2}).auto_paging_iter()] == made
    older_to_newer = client.v1.customers.list({"limit": 2, "ending_before": made[-1]}).auto_paging_iter()
    assert [row.id for row in older_to_newer] == made[:-1][::-1]


@pytest.mark.parametrize("limit", [0, 101])
def test_limit_outside_1_to_100_is_rejected(client: stripe.StripeClient, limit: int) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.list({"limit": limit})


def test_field_that_cannot_be_expanded_is_rejected(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"email": "a@example.org", "expand": ["subscriptions"]})
    assert customer.subscriptions is not None
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        client.v1.customers.retrieve(customer.id, {"expand": ["email"]})


def test_prices_are_found_by_lookup_key_and_the_key_can_move(client: stripe.StripeClient) -> None:
    client.v1.prices.update("price_month", {"lookup_key": "monthly"})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.prices.update("price_year", {"lookup_key": "monthly"})
    client.v1.prices.update("price_year", {"lookup_key": "monthly", "transfer_lookup_key": True})
    assert [price.id for price in client.v1.prices.list({"lookup_keys": ["monthly"]}).data] == ["price_year"]


def test_subscriptions_are_listed_by_status_customer_and_price(
    client: stripe.StripeClient, new_customer: Customers
) -> None:
    one, two = new_customer().id, new_customer().id
    gone, month, year = _subscribe(client, one), _subscribe(client, one), _subscribe(client, two, "price_year")
    client.v1.subscriptions.cancel(gone.id)

    def ids(**filters: Any) -> set[str]:
        params: Any = filters
        return {row.id for row in client.v1.subscriptions.list(params).data}

    assert ids() == {month.id, year.id}
    assert ids(status="all") == {gone.id, month.id, year.id}
    assert ids(status="canceled") == ids(status="ended") == {gone.id}
    assert ids(customer=one) == {month.id}
    assert ids(price="price_year") == {year.id}


# --- many at once


def test_fifty_concurrent_clients_are_served(lookalike: RunningLookalike) -> None:
    headers = {"Authorization": "Bearer sk_test_x"}

    def ask(n: int) -> set[int]:
        with requests.Session() as session:
            url = f"{lookalike.url}/v1/customers"
            return {session.post(url, headers=headers, data={"name": n}, timeout=60).status_code for _ in range(4)}

    with ThreadPoolExecutor(50) as pool:
        assert set().union(*pool.map(ask, range(50))) == {200}
    assert len(lookalike.lookalike.world.table("customer")) == 200
