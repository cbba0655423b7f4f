"""Reading many objects: for the catch-up, the sweep and the offer."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import stripe
import structlog

from service.adapters.stripe import events, translate
from service.adapters.stripe.errors import unless_missing
from service.adapters.stripe.json_fields import Json, cut_off, fields, ident, text, whole
from service.adapters.stripe.object_requests import PAGE, named, pages, payment_from, plain, subscription
from service.adapters.stripe.webhook import Envelope, NotStripe, envelope
from service.domain.prices import PriceTag
from service.domain.stripe_facts import StripeFacts

KEPT = 30 * 86_400
"""Seconds that Stripe keeps events."""
LOOKUP_KEYS_A_CALL = 10


def events_since(client: stripe.StripeClient, since: int | None) -> Iterator[Envelope]:
    """Handled events from `since` on, the oldest first. `None`: all that Stripe keeps."""
    groups = [_ascending(client, types, since, None) for types in events.type_groups()]
    for row in heapq.merge(*groups, key=lambda row: whole(row.get("created")) or 0):
        try:
            yield envelope(row)
        except NotStripe as odd:  # Not even an id or a type: nothing could be recorded of it.
            structlog.get_logger().warning("stripe_event_unreadable", why=odd.why)


def _ascending(
    client: stripe.StripeClient, types: list[str], since: int | None, until: int | None
) -> Iterator[dict[str, Any]]:
    """Stripe lists the newest first. What does not fit on a page is asked for in two halves, the older one first.

    `since` and `until` are both within the span. Nothing is kept in memory beyond a page, and what was handled need not
    be listed again if the rest fails.
    """
    span = {name: moment for name, moment in (("gte", since), ("lte", until)) if moment is not None}
    params: Any = {"types": types, "limit": PAGE, **({"created": span} if span else {})}
    page = client.v1.events.list(params)
    if not page.data:
        return
    if not page.has_more:
        yield from (plain(row) for row in reversed(page.data))
        return
    newest = page.data[0].created
    oldest = newest - KEPT if since is None else since
    if newest <= oldest:  # More of one second than a page holds.
        yield from reversed(list(pages(page)))
        return
    if since is None:  # Beyond what Stripe promises to keep there may still be something.
        yield from _ascending(client, types, None, oldest - 1)
    middle = (oldest + newest) // 2
    yield from _ascending(client, types, oldest, middle)
    yield from _ascending(client, types, middle + 1, until)


def newest_event(client: stripe.StripeClient) -> int | None:
    """`created` of the last event of the handled types."""
    found = [client.v1.events.list({"types": types, "limit": 1}).data for types in events.type_groups()]
    return max((rows[0].created for rows in found if rows), default=None)


def all_subscriptions(client: stripe.StripeClient) -> Iterator[StripeFacts]:
    """Every subscription, also those that have ended: without a status Stripe leaves them out."""
    for row in pages(client.v1.subscriptions.list({"status": "all", "limit": PAGE})):
        facts = translate.subscription(row)
        if facts is not None:
            yield subscription(client, facts.ref.id) if cut_off(row.get("items")) else facts


def subscriptions_of(client: stripe.StripeClient, customer: str) -> Iterator[StripeFacts]:
    """A customer's subscriptions that have not ended; none where Stripe does not know the customer."""
    asked: Any = {"customer": named(customer), "limit": PAGE}
    for row in unless_missing(lambda: list(pages(client.v1.subscriptions.list(asked)))) or []:
        facts = translate.subscription(row)
        if facts is not None and facts.customer == customer:
            yield facts


def customers(client: stripe.StripeClient) -> Iterator[StripeFacts]:
    """Every customer; Stripe leaves out those that were deleted."""
    for row in pages(client.v1.customers.list({"limit": PAGE})):
        if facts := translate.customer(row):
            yield facts


def sessions(client: stripe.StripeClient, since: int) -> Iterator[StripeFacts]:
    """Completed Checkout sessions begun at `since` or later, the newest first, with what has become of the payments.

    Those of mode subscription too: what they say of their reader counts for the subscription. A pass's `paid_at` is the
    session's beginning here, and its price is not looked up; read the session if that matters.
    """
    since_then: Any = {"created": {"gte": since}, "limit": PAGE}
    refunds = _by_intent(pages(client.v1.refunds.list(since_then)))
    disputes = _by_intent(pages(client.v1.disputes.list(since_then)))
    complete: Any = {**since_then, "status": "complete"}
    for row in pages(client.v1.checkout.sessions.list(complete)):
        intent, amount = ident(row.get("payment_intent")), whole(row.get("amount_total")) or 0
        payment = payment_from(intent, amount, refunds.get(intent, []), disputes.get(intent, []))
        facts = translate.session(row, payment=payment)
        if facts is not None:
            yield facts


def _by_intent(found: Iterable[Json]) -> dict[str | None, list[Json]]:
    grouped: dict[str | None, list[Json]] = {}
    for row in found:
        if intent := ident(row.get("payment_intent")):
            grouped.setdefault(intent, []).append(row)
    return grouped


def prices(client: stripe.StripeClient, words: Sequence[str]) -> dict[str, PriceTag]:
    """The prices of these ids and lookup keys, by the word that was asked for; what Stripe does not know is not there."""
    found: dict[str, PriceTag] = {}
    for start in range(0, len(words), LOOKUP_KEYS_A_CALL):
        keys = list(words[start : start + LOOKUP_KEYS_A_CALL])
        for row in pages(client.v1.prices.list({"lookup_keys": keys, "limit": PAGE})):
            if tag := price_tag(row):
                found[tag.lookup_key or tag.id] = tag
    for word in words:
        if word not in found and (tag := unless_missing(partial(_price, client, word))):
            found[word] = tag
    return {word: found[word] for word in words if word in found}


def prices_of(client: stripe.StripeClient, product: str) -> list[PriceTag]:
    """A product's active prices."""
    asked: Any = {"product": named(product), "active": True, "limit": PAGE}
    listed = unless_missing(lambda: list(pages(client.v1.prices.list(asked)))) or []
    return [tag for row in listed if (tag := price_tag(row))]


def _price(client: stripe.StripeClient, name: str) -> PriceTag | None:
    return price_tag(plain(client.v1.prices.retrieve(named(name))))


def active_prices(client: stripe.StripeClient) -> list[PriceTag]:
    """All prices that can be bought."""
    return [tag for row in pages(client.v1.prices.list({"active": True, "limit": PAGE})) if (tag := price_tag(row))]


def price_tag(row: Json) -> PriceTag | None:
    name = ident(row)
    if name is None:
        return None
    rhythm = fields(row.get("recurring"))
    return PriceTag(
        id=name,
        lookup_key=text(row.get("lookup_key")),
        amount=whole(row.get("unit_amount")),
        currency=text(row.get("currency")) or "",
        interval=text(rhythm.get("interval")),
        product=ident(row.get("product")),
        active=row.get("active") is True,
        interval_count=whole(rhythm.get("interval_count")) or 1,
    )
