"""Read objects and lists from Stripe's API, whole: with what a webhook leaves out, and every list to its end."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import stripe

from service.adapters.stripe import events, translate
from service.adapters.stripe.errors import none_if_missing
from service.adapters.stripe.translate import Json, id_of, integer, is_cut_off, rows, timestamp
from service.adapters.stripe.webhook import Envelope, NotStripe, parse_api_event
from service.domain.catalogue import READER_METADATA
from service.domain.errors import NoSuchObject, StripeUnavailable
from service.domain.payments import Payment, with_totals
from service.domain.stripe_facts import ObjectKind, ObjectRef, PaymentKind, PaymentRef, StripeFacts

_log = logging.getLogger(__name__)

PAGE = 100
LONGEST_ID = 255
KEPT = 30 * 86_400
"""Seconds for which Stripe keeps events."""
STEPS = 3
"""From a refund over its charge and its intent to the session."""


def to_json(obj: stripe.StripeObject) -> dict[str, Any]:
    """Return an object of the SDK as JSON: no class of the SDK leaves this package."""
    return obj.to_dict(for_json=True)


def read_pages(listed: Any) -> Iterator[dict[str, Any]]:
    """Yield every row of a list and of the pages after it. Raises: StripeUnavailable, if the list repeats itself."""
    seen: set[str] = set()
    for row in listed.auto_paging_iter():
        found = to_json(row)
        name = id_of(found)
        if name in seen:
            raise StripeUnavailable("odd_answer")
        if name:
            seen.add(name)
        yield found


def list_if_known(listing: Callable[[], Any]) -> list[Json]:
    """Return every row of a list; none where Stripe does not know what the list is about."""
    return none_if_missing(lambda: list(read_pages(listing()))) or []


def checked_id(name: str) -> str:
    """Return an ID that is safe in a path of the API. Raises: NoSuchObject, for one that leads to another path."""
    if not name or len(name) > LONGEST_ID or name in (".", "..") or not name.isprintable():
        raise NoSuchObject
    return name


# -------------------------------------------------------------------------------------------------- single objects


class Reading(NamedTuple):
    """How objects are read: the metadata keys that name their readers, and of a session when it was paid, if that is known."""

    reader_metadata: Sequence[str] = READER_METADATA
    paid_at: int | None = None

    def named(self, obj: Json) -> Json:
        """Return an object whose metadata names the reader as `reader_id`."""
        return translate.with_reader_id(obj, self.reader_metadata)


def read_subscription(client: stripe.StripeClient, name: str, reading: Reading) -> StripeFacts:
    """Return a subscription with all of its items."""
    found = reading.named(to_json(client.v1.subscriptions.retrieve(checked_id(name))))
    items = None
    if is_cut_off(found.get("items")):
        items = list(read_pages(client.v1.subscription_items.list({"subscription": name, "limit": PAGE})))
    return _with_id(translate.subscription_facts(found, items))


def read_session(client: stripe.StripeClient, name: str, reading: Reading) -> StripeFacts:
    """Return a Checkout session; of a paid one-time payment also what was bought, with refunds and disputes."""
    found = reading.named(to_json(client.v1.checkout.sessions.retrieve(checked_id(name), {"expand": ["line_items"]})))
    facts = _with_id(translate.session_facts(found, paid_at=reading.paid_at))
    if facts.source is None:
        return facts
    lines = _read_lines(client, name, found)
    payment = _read_payment(client, found)
    starts_at = _read_paid_at(client, found) if reading.paid_at is None else reading.paid_at
    return _with_id(translate.session_facts(found, paid_at=starts_at, payment=payment, lines=lines))


def _read_lines(client: stripe.StripeClient, name: str, found: Json) -> list[Json]:
    """Return what was bought. A session holds ten lines; they alone name the product and the lookup key of a price."""
    held = found.get("line_items")
    if held is not None and not is_cut_off(held):
        return rows(held)
    return list_if_known(lambda: client.v1.checkout.sessions.line_items.list(name, {"limit": PAGE}))


def _read_payment(client: stripe.StripeClient, found: Json) -> Payment:
    """Return the payment of a session with all its refunds and disputes. A free session has neither."""
    intent, amount = id_of(found.get("payment_intent")), integer(found.get("amount_total")) or 0
    if intent is None:
        return Payment(None, amount)
    refunds = _list_of_payment(lambda: client.v1.refunds.list({"payment_intent": intent, "limit": PAGE}), intent)
    disputes = _list_of_payment(lambda: client.v1.disputes.list({"payment_intent": intent, "limit": PAGE}), intent)
    return payment_from(intent, amount, refunds, disputes)


def payment_from(intent: str | None, amount: int, refunds: list[Json], disputes: list[Json]) -> Payment:
    """Return a payment, made of all of its refunds and disputes."""
    updates = [found for row in (*refunds, *disputes) if (found := translate.payment_update(row))]
    return with_totals(
        Payment(
            intent=intent,
            amount=amount,
            refunds={one.id: (one.amount, one.status) for one in updates if one.kind == "refund"},
            disputes={one.id: one.status for one in updates if one.kind == "dispute"},
        )
    )


def _list_of_payment(listing: Callable[[], Any], intent: str) -> list[Json]:
    # For an intent that Stripe no longer knows it answers with an error instead of an empty list.
    return [row for row in list_if_known(listing) if id_of(row.get("payment_intent")) in (None, intent)]


def _read_paid_at(client: stripe.StripeClient, found: Json) -> int | None:
    """Return when a payment succeeded, by its charge, for a payment that no event reported. `None` without a charge."""
    intent = id_of(found.get("payment_intent"))
    if intent is None:
        return None
    made = list_if_known(lambda: client.v1.charges.list({"payment_intent": intent, "limit": PAGE}))
    succeeded = [row for row in made if row.get("status") == "succeeded"]
    return max((when for row in succeeded if (when := timestamp(row.get("created")))), default=None)


def read_customer(client: stripe.StripeClient, name: str, reading: Reading) -> StripeFacts:
    return _with_id(translate.customer_facts(reading.named(to_json(client.v1.customers.retrieve(checked_id(name))))))


def read_entitlements(client: stripe.StripeClient, name: str, reading: Reading) -> StripeFacts:
    """Return all entitlements of a customer, by the API's list: the `url` in a summary is no path of the API."""
    listed = client.v1.entitlements.active_entitlements.list({"customer": checked_id(name), "limit": PAGE})
    return translate.entitlements_facts(name, list(read_pages(listed)))


READERS: dict[ObjectKind, Callable[[stripe.StripeClient, str, Reading], StripeFacts]] = {
    "subscription": read_subscription,
    "session": read_session,
    "customer": read_customer,
    "entitlements": read_entitlements,
}
"""How each kind of object is read."""


def resolve_payment(client: stripe.StripeClient, ref: PaymentRef) -> tuple[ObjectRef, ...]:
    """Return the stored objects that a payment or an invoice leads to."""
    found: list[ObjectRef | PaymentRef] = [ref]
    for _ in range(STEPS):
        found = [
            onward
            for step in found
            for onward in (_next_step(client, step) if isinstance(step, PaymentRef) else [step])
        ]
    return tuple(step for step in found if isinstance(step, ObjectRef))


def _next_step(client: stripe.StripeClient, ref: PaymentRef) -> list[ObjectRef | PaymentRef]:
    """Return what is one step closer to a stored object."""
    obj = to_json(_RETRIEVE[ref.kind](client, checked_id(ref.id))) if ref.kind != "intent" else {}
    if ref.kind == "intent":
        listed = client.v1.checkout.sessions.list({"payment_intent": checked_id(ref.id), "limit": PAGE})
        return [ObjectRef("session", name) for row in read_pages(listed) if (name := id_of(row))]
    if ref.kind == "invoice":
        billed = translate.subscription_billed_by(obj)
        return [ObjectRef("subscription", billed)] if billed else []
    if intent := id_of(obj.get("payment_intent")):
        return [PaymentRef("intent", intent)]
    charge = id_of(obj.get("charge"))
    return [PaymentRef("charge", charge)] if charge and ref.kind != "charge" else []


_RETRIEVE: dict[PaymentKind, Callable[[stripe.StripeClient, str], stripe.StripeObject]] = {
    "charge": lambda client, name: client.v1.charges.retrieve(name),
    "refund": lambda client, name: client.v1.refunds.retrieve(name),
    "dispute": lambda client, name: client.v1.disputes.retrieve(name),
    "invoice": lambda client, name: client.v1.invoices.retrieve(name),
}


def _with_id(facts: StripeFacts | None) -> StripeFacts:
    """Return the facts. Raises: StripeUnavailable, for a response without an ID, which is not Stripe's."""
    if facts is None:
        raise StripeUnavailable("odd_answer")
    return facts


# ---------------------------------------------------------------------------------------------------------- lists


def list_events_since(client: stripe.StripeClient, since: int | None) -> Iterator[Envelope]:
    """Yield events of the handled types from `since` on, the oldest first. `None`: all that Stripe keeps."""
    groups = [_list_ascending(client, types, since, None) for types in events.type_groups()]
    for row in heapq.merge(*groups, key=lambda row: integer(row.get("created")) or 0):
        try:
            yield parse_api_event(row)
        except NotStripe as trouble:  # Without an ID or a type, nothing of it could be recorded.
            _log.warning("stripe_event_unreadable", extra={"why": trouble.why})


def _list_ascending(
    client: stripe.StripeClient, types: list[str], since: int | None, until: int | None
) -> Iterator[dict[str, Any]]:
    """Yield events from `since` up to and including `until`, the oldest first, although Stripe lists the newest first.

    What does not fit on a page is listed in two halves, the older one first. So no more than a page is in memory, and
    events that were processed need not be listed again if the rest fails.
    """
    span = {name: moment for name, moment in (("gte", since), ("lte", until)) if moment is not None}
    params: Any = {"types": types, "limit": PAGE, **({"created": span} if span else {})}
    page = client.v1.events.list(params)
    if not page.data:
        return
    if not page.has_more:
        yield from (to_json(row) for row in reversed(page.data))
        return
    newest = page.data[0].created
    oldest = newest - KEPT if since is None else since
    if newest <= oldest:  # One second has more events than a page holds.
        yield from reversed(list(read_pages(page)))
        return
    if since is None:  # Stripe may keep events longer than it promises.
        yield from _list_ascending(client, types, None, oldest - 1)
    middle = (oldest + newest) // 2
    yield from _list_ascending(client, types, oldest, middle)
    yield from _list_ascending(client, types, middle + 1, until)


def list_sessions(client: stripe.StripeClient, since: int, reading: Reading) -> Iterator[StripeFacts]:
    """Yield completed Checkout sessions created at `since` or later, the newest first, with refunds and disputes.

    Sessions of mode subscription are included: their claims count for the subscription. The `paid_at` of a pass is the
    creation of the session here, and its price is not looked up; read the session where that matters.
    """
    created: Any = {"created": {"gte": since}, "limit": PAGE}
    refunds = _group_by_intent(read_pages(client.v1.refunds.list(created)))
    disputes = _group_by_intent(read_pages(client.v1.disputes.list(created)))
    complete: Any = {**created, "status": "complete"}
    for row in read_pages(client.v1.checkout.sessions.list(complete)):
        intent, amount = id_of(row.get("payment_intent")), integer(row.get("amount_total")) or 0
        payment = payment_from(intent, amount, refunds.get(intent, []), disputes.get(intent, []))
        facts = translate.session_facts(reading.named(row), payment=payment)
        if facts is not None:
            yield facts


def _group_by_intent(found: Iterable[Json]) -> dict[str | None, list[Json]]:
    grouped: dict[str | None, list[Json]] = {}
    for row in found:
        if intent := id_of(row.get("payment_intent")):
            grouped.setdefault(intent, []).append(row)
    return grouped
