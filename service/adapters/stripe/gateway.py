"""Call Stripe's API. Results are domain values (`StripeFacts`, `PriceTag`, …), never objects of the SDK."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import stripe

from service.adapters.stripe import api_requests as requests
from service.adapters.stripe.api_requests import PAGE, checked_id, read_pages, to_json
from service.adapters.stripe.observation import Observe, unobserved
from service.adapters.stripe.translate import id_of, mapping, text
from service.adapters.stripe.transport import Patience, RateLimit, Transport
from service.adapters.stripe.webhook import Envelope
from service.domain.errors import NoSuchObject, StripeUnavailable
from service.domain.prices import PriceTag
from service.domain.stripe_facts import ObjectRef, PaymentRef, StripeFacts

_ATTEMPTS = 10
"""Attempts to create an object while Stripe processes the same request."""


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """A webhook endpoint as it is registered at Stripe. `types` may hold `*`."""

    id: str
    url: str
    enabled: bool
    livemode: bool
    api_version: str | None
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckoutPage:
    """A Checkout session; without a `url` it can no longer be paid."""

    id: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Account:
    """The account of the key; `clock_ahead`: seconds by which this clock is ahead of Stripe's, `None` if unknown."""

    id: str
    name: str | None
    clock_ahead: float | None


class Gateway:
    """Stripe's API, for all threads of a process. It connects with the first call.

    Every call raises `StripeUnavailable` (retry later), `StripeRefused` (a person must act) or `NoSuchObject`. The
    patience `inline` fails within 5 s, the time in which Stripe wants a webhook answered; `click` is for a reader who
    waits, `worker` for background work.
    """

    def __init__(self, key: str, base: str | None, rate_limit: RateLimit, observe: Observe = unobserved) -> None:
        self._transport = Transport(key, base, rate_limit, observe)

    def read_object(self, ref: ObjectRef, *, patience: Patience = "inline", paid_at: int | None = None) -> StripeFacts:
        """Return an object as it is now. `paid_at`: of a one-time session, when an event first reported the payment.

        Without `paid_at` a pass starts when its charge was made, or with the session; that costs one more request.
        """
        with self._transport.client(patience) as client:
            facts = requests.READERS[ref.kind](client, ref.id, paid_at)
        if facts.ref != ref:  # A server that answers with another object is not Stripe.
            raise StripeUnavailable("odd_answer")
        return facts

    def resolve_payment(self, ref: PaymentRef, *, patience: Patience = "inline") -> tuple[ObjectRef, ...]:
        """Return the stored objects that a payment or an invoice leads to: none for a payment of something else."""
        with self._transport.client(patience) as client:
            return requests.resolve_payment(client, ref)

    def list_events_since(self, since: int | None) -> Iterator[Envelope]:
        """Yield events of the handled types with `created` ≥ since, the oldest first, delivered or not; `None`: all."""
        with self._transport.client("worker") as client:
            yield from requests.list_events_since(client, since)

    def find_newest_event(self) -> int | None:
        """Return `created` of the newest event of the handled types (epoch seconds), or `None`."""
        with self._transport.client("worker") as client:
            return requests.find_newest_event(client)

    def list_subscriptions(self) -> Iterator[StripeFacts]:
        """Yield every subscription, whatever its status."""
        with self._transport.client("worker") as client:
            yield from requests.list_subscriptions(client)

    def list_customer_subscriptions(self, customer: str) -> list[StripeFacts]:
        """Return a customer's subscriptions that have not ended, for a reader who is about to buy."""
        with self._transport.client("click") as client:
            return list(requests.list_customer_subscriptions(client, customer))

    def list_sessions(self, since: int) -> Iterator[StripeFacts]:
        """Yield completed Checkout sessions; see `api_requests.list_sessions`."""
        with self._transport.client("worker") as client:
            yield from requests.list_sessions(client, since)

    def list_customers(self) -> Iterator[StripeFacts]:
        """Yield every customer that is not deleted, with its claims."""
        with self._transport.client("worker") as client:
            yield from requests.list_customers(client)

    def find_prices(self, words: Sequence[str], *, patience: Patience = "worker") -> dict[str, PriceTag]:
        """Return prices by the price ID or lookup key that was asked for."""
        with self._transport.client(patience) as client:
            return requests.find_prices(client, words)

    def list_product_prices(self, product: str) -> list[PriceTag]:
        """Return a product's active prices."""
        with self._transport.client("worker") as client:
            return requests.list_product_prices(client, product)

    def list_active_prices(self) -> list[PriceTag]:
        """Return every price that can be bought at this account."""
        with self._transport.client("worker") as client:
            return requests.list_active_prices(client)

    def create_checkout_session(self, params: Mapping[str, Any], key: str) -> CheckoutPage:
        """Create a Checkout session; for the same idempotency `key` return the same one, while it can be paid."""
        request: Any = params  # `checkout` builds it, and a test validates it against Stripe's OpenAPI description.
        made, repeated = self._create(lambda client, options: client.v1.checkout.sessions.create(request, options), key)
        if repeated:  # Stripe repeats its first response as it was; the session may be paid or expired by now.
            with self._transport.client("click") as client:
                made = to_json(client.v1.checkout.sessions.retrieve(checked_id(id_of(made) or "")))
        return CheckoutPage(id_of(made) or "", _url(made) if made.get("status") == "open" else None)

    def create_customer(self, params: Mapping[str, Any], key: str) -> tuple[str, bool]:
        """Create a customer, one for each idempotency `key`. Return its ID, and whether it is new."""
        request: Any = params
        made, repeated = self._create(lambda client, options: client.v1.customers.create(request, options), key)
        return id_of(made) or "", not repeated

    def create_portal_session(self, customer: str, return_url: str) -> str:
        """Return the URL of a portal page for this customer."""
        with self._transport.client("click") as client:
            made = client.v1.billing_portal.sessions.create({"customer": customer, "return_url": return_url})
            return _url(to_json(made))

    def list_webhook_endpoints(self) -> list[WebhookEndpoint]:
        """Return the webhook endpoints that are registered at this account."""
        with self._transport.client("worker") as client:
            return [_endpoint(row) for row in read_pages(client.v1.webhook_endpoints.list({"limit": PAGE}))]

    def read_account(self, clock: Callable[[], float] = time.time) -> Account:
        """Return the account of the key, and the difference of the clocks; `clock` is this machine's."""
        with self._transport.client("worker") as client:
            before = clock()
            found = client.v1.accounts.retrieve_current()
            between = (before + clock()) / 2
            account = to_json(found)
            response = found.last_response
            date = response.headers.get("Date") if response is not None else None
        name = text(mapping(mapping(account.get("settings")).get("dashboard")).get("display_name"))
        return Account(id_of(account) or "", name, between - moment if date and (moment := _moment(date)) else None)

    def _create(
        self, make: Callable[[stripe.StripeClient, stripe.RequestOptions], stripe.StripeObject], idempotency_key: str
    ) -> tuple[dict[str, Any], bool]:
        """Return what Stripe created, and whether the response repeats an earlier one.

        The request is repeated while the same one is under way: a double click sends two at once.
        """
        for attempt in range(_ATTEMPTS):
            try:
                with self._transport.client("click") as client:
                    made = make(client, {"idempotency_key": idempotency_key})
                    response = made.last_response
                    repeated = response is not None and response.headers.get("Idempotent-Replayed") == "true"
                    return to_json(made), repeated
            except StripeUnavailable as trouble:
                if trouble.why != "in_use" or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(trouble.retry_after)
        raise AssertionError("unreachable")


def _url(made: dict[str, Any]) -> str:
    url = text(made.get("url"))
    if url is None:
        raise NoSuchObject
    return url


def _endpoint(row: dict[str, Any]) -> WebhookEndpoint:
    types = row.get("enabled_events")
    return WebhookEndpoint(
        id=id_of(row) or "",
        url=text(row.get("url")) or "",
        enabled=row.get("status") == "enabled",
        livemode=row.get("livemode") is True,
        api_version=text(row.get("api_version")),
        types=tuple(word for word in types if isinstance(word, str)) if isinstance(types, list) else (),
    )


def _moment(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() + 0.5  # The header has whole seconds, rounded down.
    except ValueError:
        return None
