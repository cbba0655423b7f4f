"""Reading one object that is kept, whole: with what a webhook leaves out, and every list to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import stripe

from service.adapters.stripe import translate
from service.adapters.stripe.errors import unless_missing
from service.adapters.stripe.json_fields import Json, cut_off, ident, moment, rows, whole
from service.domain.errors import NoSuchObject, StripeUnavailable
from service.domain.payments import settled
from service.domain.stripe_facts import Kind, ObjectRef, Payment, PaymentKind, PaymentRef, StripeFacts

PAGE = 100
LONGEST_NAME = 255


def plain(obj: stripe.StripeObject) -> dict[str, Any]:
    """The SDK's object as JSON: the one place where Stripe's classes end."""
    return obj.to_dict(for_json=True)


def pages(listed: Any) -> Iterator[dict[str, Any]]:
    """Every row of a list and of those after it. A list that turns in a circle is `StripeUnavailable`."""
    seen: set[str] = set()
    for row in listed.auto_paging_iter():
        found = plain(row)
        name = ident(found)
        if name in seen:
            raise StripeUnavailable("odd_answer")
        if name:
            seen.add(name)
        yield found


def named(name: str) -> str:
    """The name of an object, if it can be one. `NoSuchObject` for what would lead to another path of the API."""
    if not name or len(name) > LONGEST_NAME or name in (".", "..") or not name.isprintable():
        raise NoSuchObject
    return name


def subscription(client: stripe.StripeClient, name: str, paid_at: int | None = None) -> StripeFacts:
    found = plain(client.v1.subscriptions.retrieve(named(name)))
    items = None
    if cut_off(found.get("items")):
        items = list(pages(client.v1.subscription_items.list({"subscription": name, "limit": PAGE})))
    return _told(translate.subscription(found, items))


def session(client: stripe.StripeClient, name: str, paid_at: int | None = None) -> StripeFacts:
    """A session; of a paid one-time payment also what was bought, and what has become of the money."""
    found = plain(client.v1.checkout.sessions.retrieve(named(name), {"expand": ["line_items"]}))
    facts = _told(translate.session(found, paid_at=paid_at))
    if facts.source is None:
        return facts
    lines = _lines(client, name, found)
    payment = payment_of(client, found)
    moment = paid_moment(client, found) if paid_at is None else paid_at
    return _told(translate.session(found, paid_at=moment, payment=payment, lines=lines))


def _lines(client: stripe.StripeClient, name: str, found: Json) -> list[Json]:
    """What was bought; a session brings ten lines along. Of a price that our checkout named, too, they alone say of
    which product it is, and by which lookup key."""
    held = found.get("line_items")
    if held is not None and not cut_off(held):
        return rows(held)
    return unless_missing(lambda: list(pages(client.v1.checkout.sessions.line_items.list(name, {"limit": PAGE})))) or []


def payment_of(client: stripe.StripeClient, found: Json) -> Payment:
    """The payment of a session, with all its refunds and disputes. A free one has neither."""
    intent, amount = ident(found.get("payment_intent")), whole(found.get("amount_total")) or 0
    if intent is None:
        return Payment(None, amount)
    refunds = _of_payment(lambda: client.v1.refunds.list({"payment_intent": intent, "limit": PAGE}), intent)
    disputes = _of_payment(lambda: client.v1.disputes.list({"payment_intent": intent, "limit": PAGE}), intent)
    return payment_from(intent, amount, refunds, disputes)


def payment_from(intent: str | None, amount: int, refunds: list[Json], disputes: list[Json]) -> Payment:
    """A payment from all of its refunds and disputes."""
    news = [found for row in (*refunds, *disputes) if (found := translate.payment_news(row))]
    return settled(
        Payment(
            intent=intent,
            amount=amount,
            refunds={one.id: (one.amount, one.status) for one in news if one.what == "refund"},
            disputes={one.id: one.status for one in news if one.what == "dispute"},
        )
    )


def _of_payment(listing: Callable[[], Any], intent: str) -> list[Json]:
    # Of an intent that it does not know any more Stripe says so, instead of listing nothing.
    found = unless_missing(lambda: list(pages(listing()))) or []
    return [row for row in found if ident(row.get("payment_intent")) in (None, intent)]


def paid_moment(client: stripe.StripeClient, found: Json) -> int | None:
    """When a payment succeeded, where no event told: when its charge was made. `None` where there is none."""
    intent = ident(found.get("payment_intent"))
    if intent is None:
        return None
    made = unless_missing(lambda: list(pages(client.v1.charges.list({"payment_intent": intent, "limit": PAGE})))) or []
    good = [row for row in made if row.get("status") == "succeeded"]
    return max((when for row in good if (when := moment(row.get("created")))), default=None)


def customer(client: stripe.StripeClient, name: str, paid_at: int | None = None) -> StripeFacts:
    return _told(translate.customer(plain(client.v1.customers.retrieve(named(name)))))


def entitlements(client: stripe.StripeClient, name: str, paid_at: int | None = None) -> StripeFacts:
    """All of a customer's, by the API's own list: the `url` in a summary is no path of the API."""
    listed = client.v1.entitlements.active_entitlements.list({"customer": named(name), "limit": PAGE})
    return translate.entitlements_of(name, list(pages(listed)))


READERS: dict[Kind, Callable[[stripe.StripeClient, str, int | None], StripeFacts]] = {
    "subscription": subscription,
    "session": session,
    "customer": customer,
    "entitlements": entitlements,
}
"""How each kind is read."""


def leads_to(client: stripe.StripeClient, ref: PaymentRef) -> list[ObjectRef | PaymentRef]:
    """One step from an object that is not kept towards one that is."""
    obj = plain(_RETRIEVE[ref.kind](client, named(ref.id))) if ref.kind != "intent" else {}
    if ref.kind == "intent":
        listed = client.v1.checkout.sessions.list({"payment_intent": named(ref.id), "limit": PAGE})
        return [ObjectRef("session", name) for row in pages(listed) if (name := ident(row))]
    if ref.kind == "invoice":
        billed = translate.subscription_billed_by(obj)
        return [ObjectRef("subscription", billed)] if billed else []
    if intent := ident(obj.get("payment_intent")):
        return [PaymentRef("intent", intent)]
    charge = ident(obj.get("charge"))
    return [PaymentRef("charge", charge)] if charge and ref.kind != "charge" else []


_RETRIEVE: dict[PaymentKind, Callable[[stripe.StripeClient, str], stripe.StripeObject]] = {
    "charge": lambda client, name: client.v1.charges.retrieve(name),
    "refund": lambda client, name: client.v1.refunds.retrieve(name),
    "dispute": lambda client, name: client.v1.disputes.retrieve(name),
    "invoice": lambda client, name: client.v1.invoices.retrieve(name),
}


def _told(facts: StripeFacts | None) -> StripeFacts:
    """An answer without an id is no object of Stripe's."""
    if facts is None:
        raise StripeUnavailable("odd_answer")
    return facts
