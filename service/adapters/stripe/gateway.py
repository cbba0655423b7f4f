"""Call Stripe's API. Results are domain values (`StripeFacts`, `PriceTag`, …), never objects of the SDK."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import chain, islice
from typing import Any

import stripe

from service.adapters.batches import batched
from service.adapters.stripe import api_requests as requests
from service.adapters.stripe import events, translate
from service.adapters.stripe.api_requests import PAGE, checked_id, read_pages, to_json
from service.adapters.stripe.errors import WRONG_REQUEST, none_if_missing
from service.adapters.stripe.observation import Observe, unobserved
from service.adapters.stripe.translate import Json, id_of, integer, is_cut_off, mapping, text
from service.adapters.stripe.transport import Patience, RateLimit, Transport
from service.adapters.stripe.webhook import Envelope
from service.domain.catalogue import READER_METADATA
from service.domain.errors import InvalidFields, NoSuchObject, StripeRefused, StripeUnavailable
from service.domain.ownership import resolve_owner
from service.domain.prices import PriceTag
from service.domain.stripe_facts import ObjectRef, PaymentRef, StripeFacts

LOOKUP_KEYS_A_CALL = 10
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
class UnnamedSubscription:
    """A subscription whose metadata, and its customer's, names no reader; `keys`: the metadata keys that they have."""

    id: str
    keys: tuple[str, ...]


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

    def __init__(
        self,
        key: str,
        base: str | None,
        rate_limit: RateLimit,
        observe: Observe = unobserved,
        reader_metadata: Sequence[str] = READER_METADATA,
    ) -> None:
        self._transport = Transport(key, base, rate_limit, observe)
        self._reading = requests.Reading(reader_metadata)

    def read_object(self, ref: ObjectRef, *, patience: Patience = "inline", paid_at: int | None = None) -> StripeFacts:
        """Return an object as it is now. `paid_at`: of a one-time session, when an event first reported the payment.

        Without `paid_at` a pass starts when its charge was made, or with the session; that costs one more request.
        """
        with self._transport.client(patience) as client:
            facts = requests.READERS[ref.kind](client, ref.id, self._reading._replace(paid_at=paid_at))
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
            found = [client.v1.events.list({"types": types, "limit": 1}).data for types in events.type_groups()]
            return max((rows[0].created for rows in found if rows), default=None)

    def list_subscriptions(self, after: str | None = None) -> Iterator[StripeFacts]:
        """Yield every subscription, the newest first, also ended ones: without a status Stripe leaves them out.

        `after` is the ID of the one after which the list begins.
        """
        params: Any = {"status": "all", "limit": PAGE, **({"starting_after": after} if after else {})}
        with self._transport.client("worker") as client:
            for row in read_pages(client.v1.subscriptions.list(params)):
                if facts := translate.subscription_facts(self._reading.named(row)):
                    cut_off = is_cut_off(row.get("items"))
                    yield requests.read_subscription(client, facts.ref.id, self._reading) if cut_off else facts

    def list_unnamed_subscriptions(self, most: int) -> list[UnnamedSubscription]:
        """Return which of the newest `most` subscriptions that have not ended name no reader."""
        params: Any = {"limit": PAGE, "expand": ["data.customer"]}
        with self._transport.client("worker") as client:
            listed = list(islice(read_pages(client.v1.subscriptions.list(params)), most))
        found = []
        for row in listed:
            metadata = [mapping(mapping(obj).get("metadata")) for obj in (row, row.get("customer"))]
            own, customer = [translate.owner_claims(self._reading.named({"metadata": one})) for one in metadata]
            if not own.gift_pending and resolve_owner(own, customer=customer).reader is None:
                found.append(UnnamedSubscription(id_of(row) or "", tuple(dict.fromkeys(chain(*metadata)))))
        return found

    def list_customer_subscriptions(self, customer: str) -> list[StripeFacts]:
        """Return a customer's subscriptions, also ended ones; none for a customer that Stripe does not know."""
        params: Any = {"customer": checked_id(customer), "status": "all", "limit": PAGE}
        with self._transport.client("click") as client:
            found = requests.list_if_known(lambda: client.v1.subscriptions.list(params))
        listed = [facts for row in found if (facts := translate.subscription_facts(self._reading.named(row)))]
        return [facts for facts in listed if facts.customer == customer]

    def list_sessions(self, since: int) -> Iterator[StripeFacts]:
        """Yield completed Checkout sessions; see `api_requests.list_sessions`."""
        with self._transport.client("worker") as client:
            yield from requests.list_sessions(client, since, self._reading)

    def find_prices(self, words: Sequence[str], *, patience: Patience = "worker") -> dict[str, PriceTag]:
        """Return the prices of these IDs and lookup keys, by the word that was asked for, without unknown ones."""
        found: dict[str, PriceTag] = {}
        with self._transport.client(patience) as client:
            for keys in batched(words, LOOKUP_KEYS_A_CALL):
                listed = read_pages(client.v1.prices.list({"lookup_keys": list(keys), "limit": PAGE}))
                found |= {tag.lookup_key or tag.id: tag for row in listed if (tag := _price_tag(row))}
            for word in words:
                if word not in found and (tag := none_if_missing(partial(_read_price, client, word))):
                    found[word] = tag
        return {word: found[word] for word in words if word in found}

    def list_active_prices(self, product: str | None = None) -> list[PriceTag]:
        """Return every price that can be bought: at this account, or of a product; none of one that Stripe does not know."""
        with self._transport.client("worker") as client:
            params: Any = {"active": True, "limit": PAGE, **({"product": checked_id(product)} if product else {})}
            listed = requests.list_if_known(lambda: client.v1.prices.list(params))
            return [tag for row in listed if (tag := _price_tag(row))]

    def create_checkout_session(self, params: Mapping[str, Any], key: str) -> str | None:
        """Create a Checkout session, one for each idempotency `key`. Return its URL; `None` if it can no longer be paid.

        Raises: `InvalidFields` for a parameter that Stripe refuses; `NoSuchObject` if the customer is gone.
        """
        request: Any = (
            params  # `checkout_session` builds it, and a test checks it against Stripe's OpenAPI description.
        )
        try:
            made, repeated = self._create(
                lambda client, options: client.v1.checkout.sessions.create(request, options), key
            )
        except (StripeRefused, NoSuchObject) as refused:
            about_customer = refused.param == "customer" or "customer" in refused.message or not refused.message
            is_gone = isinstance(refused, NoSuchObject) and about_customer
            if is_gone or (isinstance(refused, StripeRefused) and refused.why != WRONG_REQUEST):
                raise
            raise InvalidFields([(refused.param, f"Stripe refuses this: {refused.message}")]) from None
        if repeated:  # Stripe repeats its first response as it was; the session may be paid or expired by now.
            with self._transport.client("click") as client:
                made = to_json(client.v1.checkout.sessions.retrieve(checked_id(id_of(made) or "")))
        return _url(made) if made.get("status") == "open" else None

    def create_customer(self, params: Mapping[str, Any], key: str) -> tuple[str, bool]:
        """Create a customer, one for each idempotency `key`. Return its ID, and whether it is new."""
        request: Any = params
        made, repeated = self._create(lambda client, options: client.v1.customers.create(request, options), key)
        return id_of(made) or "", not repeated

    def create_portal_session(self, customer: str, return_url: str) -> str:
        with self._transport.client("click") as client:
            made = client.v1.billing_portal.sessions.create({"customer": customer, "return_url": return_url})
            return _url(to_json(made))

    def list_webhook_endpoints(self) -> list[WebhookEndpoint]:
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


def _read_price(client: stripe.StripeClient, name: str) -> PriceTag | None:
    return _price_tag(to_json(client.v1.prices.retrieve(checked_id(name))))


def _price_tag(row: Json) -> PriceTag | None:
    name = id_of(row)
    if name is None:
        return None
    recurring = mapping(row.get("recurring"))
    interval, count = text(recurring.get("interval")), integer(recurring.get("interval_count"))
    return PriceTag(
        id=name,
        lookup_key=text(row.get("lookup_key")),
        amount=integer(row.get("unit_amount")),
        currency=text(row.get("currency")) or "",
        interval=f"{count} {interval}s" if interval is not None and count is not None and count > 1 else interval,
        product=id_of(row.get("product")),
        active=row.get("active") is True,
    )


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
