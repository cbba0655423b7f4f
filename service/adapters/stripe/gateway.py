"""Asking Stripe. Answers are ours (`StripeFacts`, `PriceTag`, …), never the SDK's objects; errors are those of `errors`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import stripe

from service.adapters.stripe import list_requests as lists
from service.adapters.stripe import object_requests as objects
from service.adapters.stripe.json_fields import fields, ident, text
from service.adapters.stripe.rate_limit import RateLimit
from service.adapters.stripe.transport import Patience, Transport
from service.adapters.stripe.webhook import Envelope
from service.domain.errors import NoSuchObject, StripeUnavailable
from service.domain.prices import PriceTag
from service.domain.stripe_facts import ObjectRef, PaymentRef, StripeFacts

_STEPS = 3
"""From a refund over its charge and intent to the session."""


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An endpoint as it is registered at Stripe. `types` may be `*`."""

    id: str
    url: str
    enabled: bool
    livemode: bool
    api_version: str | None
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A Checkout session just asked for; without a `url` it can no longer be paid on."""

    id: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Account:
    """Whose key it is, and how far our clock is ahead of Stripe's, in seconds (`None` if it did not say)."""

    id: str
    name: str | None
    clock_ahead: float | None


class Gateway:
    """One for a process; threads share it. Nothing is asked before the first call.

    Every call raises `StripeUnavailable` (later), `StripeRefused` (not without a person) or `NoSuchObject`. `inline`
    patience gives up within 5 s, since Stripe waits for a 200; `click` is for a reader who waits; a `worker` waits its turn.
    """

    def __init__(self, key: str, base: str | None, allowance: RateLimit) -> None:
        self._transport = Transport(key, base, allowance)

    def read(self, ref: ObjectRef, *, patience: Patience = "inline", paid_at: int | None = None) -> StripeFacts:
        """An object as it is now. `paid_at`: of a one-time session, since when events said that it is paid.

        Without `paid_at` a pass starts when its charge was made, or with the session; it costs a request more.
        """
        with self._transport.client(patience) as client:
            facts = objects.READERS[ref.kind](client, ref.id, paid_at)
        if facts.ref != ref:  # Whoever answers with another object than the one asked for is not Stripe.
            raise StripeUnavailable("odd_answer")
        return facts

    def resolve(self, ref: PaymentRef, *, patience: Patience = "inline") -> tuple[ObjectRef, ...]:
        """What a payment or an invoice leads to; empty where it has nothing to do with us (a subscription's payment)."""
        with self._transport.client(patience) as client:
            return _resolved(client, ref)

    def events_since(self, since: int | None) -> Iterator[Envelope]:
        """Events of the handled types with `created` ≥ since, the oldest first, delivered or not; `None`: all kept."""
        with self._transport.client("worker") as client:
            yield from lists.events_since(client, since)

    def newest_event(self) -> int | None:
        """When the last event of the handled types was made; `None` where there is none."""
        with self._transport.client("worker") as client:
            return lists.newest_event(client)

    def all_subscriptions(self) -> Iterator[StripeFacts]:
        """For the sweep: every subscription, whatever its status."""
        with self._transport.client("worker") as client:
            yield from lists.all_subscriptions(client)

    def subscriptions_of(self, customer: str) -> list[StripeFacts]:
        """What a customer has running, for who is about to buy."""
        with self._transport.client("click") as client:
            return list(lists.subscriptions_of(client, customer))

    def sessions(self, since: int) -> Iterator[StripeFacts]:
        """For the sweep: completed Checkout sessions of this time; see `lists.sessions`."""
        with self._transport.client("worker") as client:
            yield from lists.sessions(client, since)

    def customers(self) -> Iterator[StripeFacts]:
        """For the sweep: every customer that was not deleted, with whose it says it is."""
        with self._transport.client("worker") as client:
            yield from lists.customers(client)

    def prices(self, words: Sequence[str], *, patience: Patience = "worker") -> dict[str, PriceTag]:
        """By price id or lookup key, as it was asked for."""
        with self._transport.client(patience) as client:
            return lists.prices(client, words)

    def prices_of(self, product: str) -> list[PriceTag]:
        """A product's active prices."""
        with self._transport.client("worker") as client:
            return lists.prices_of(client, product)

    def active_prices(self) -> list[PriceTag]:
        """Everything that can be bought at this account."""
        with self._transport.client("worker") as client:
            return lists.active_prices(client)

    def open_session(self, params: Mapping[str, Any], key: str) -> OpenSession:
        """A Checkout page; for the same idempotency `key` the same one again, as long as it can still be paid on."""
        asked: Any = params  # `checkout` builds it, and a test holds it to Stripe's OpenAPI description.
        made, repeated = self._post(lambda client, options: client.v1.checkout.sessions.create(asked, options), key)
        if repeated:  # Stripe repeats its first answer as it was; the session may be paid or over by now.
            with self._transport.client("click") as client:
                made = objects.plain(client.v1.checkout.sessions.retrieve(objects.named(ident(made) or "")))
        return OpenSession(ident(made) or "", _address(made) if made.get("status") == "open" else None)

    def new_customer(self, params: Mapping[str, Any], key: str) -> tuple[str, bool]:
        """A customer's id; for the same idempotency `key` the same one again. And whether it is new."""
        asked: Any = params
        made, repeated = self._post(lambda client, options: client.v1.customers.create(asked, options), key)
        return ident(made) or "", not repeated

    def open_portal(self, customer: str, return_url: str) -> str:
        """The address of a portal page for this customer."""
        with self._transport.client("click") as client:
            made = client.v1.billing_portal.sessions.create({"customer": customer, "return_url": return_url})
            return _address(objects.plain(made))

    def webhook_endpoints(self) -> list[WebhookEndpoint]:
        with self._transport.client("worker") as client:
            listed = client.v1.webhook_endpoints.list({"limit": objects.PAGE})
            return [_endpoint(row) for row in objects.pages(listed)]

    def account(self, clock: Callable[[], float] = time.time) -> Account:
        """The account of the key, and what the clocks say; `clock` is ours."""
        with self._transport.client("worker") as client:
            before = clock()
            found = client.v1.accounts.retrieve_current()
            between = (before + clock()) / 2
            facts = objects.plain(found)
            answer = found.last_response
            date = answer.headers.get("Date") if answer is not None else None
        name = text(fields(fields(facts.get("settings")).get("dashboard")).get("display_name"))
        return Account(ident(facts) or "", name, between - moment if date and (moment := _moment(date)) else None)

    def _post(
        self, make: Callable[[stripe.StripeClient, stripe.RequestOptions], stripe.StripeObject], idempotency_key: str
    ) -> tuple[dict[str, Any], bool]:
        """The answer, and whether it is the repeat of an earlier one.

        Asked again while the same request is under way: a double click arrives twice at once.
        """
        for turn in range(_TURNS):
            try:
                with self._transport.client("click") as client:
                    made = make(client, {"idempotency_key": idempotency_key})
                    answer = made.last_response
                    repeated = answer is not None and answer.headers.get("Idempotent-Replayed") == "true"
                    return objects.plain(made), repeated
            except StripeUnavailable as trouble:
                if trouble.why != "in_use" or turn == _TURNS - 1:
                    raise
                time.sleep(trouble.retry_after)
        raise AssertionError("unreachable")


_TURNS = 10


def _resolved(client: stripe.StripeClient, ref: PaymentRef) -> tuple[ObjectRef, ...]:
    found: list[ObjectRef | PaymentRef] = [ref]
    for _ in range(_STEPS):
        found = [
            onward
            for step in found
            for onward in (objects.leads_to(client, step) if isinstance(step, PaymentRef) else [step])
        ]
    return tuple(step for step in found if isinstance(step, ObjectRef))


def _address(made: dict[str, Any]) -> str:
    url = text(made.get("url"))
    if url is None:
        raise NoSuchObject
    return url


def _endpoint(row: dict[str, Any]) -> WebhookEndpoint:
    types = row.get("enabled_events")
    return WebhookEndpoint(
        id=ident(row) or "",
        url=text(row.get("url")) or "",
        enabled=row.get("status") == "enabled",
        livemode=row.get("livemode") is True,
        api_version=text(row.get("api_version")),
        types=tuple(word for word in types if isinstance(word, str)) if isinstance(types, list) else (),
    )


def _moment(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() + 0.5  # It is in whole seconds, rounded down.
    except ValueError:
        return None
