"""Checkout sessions: paid by card, declined, paid by bank debit, or expired."""

from __future__ import annotations

from typing import Any

from stripe_lookalike import ids
from stripe_lookalike.domain import customers, items, payments, subscriptions
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World


class DeclinedError(Exception):
    """The card was declined. The session stays open."""


def open_session(world: World, lines: list[items.Row], base_url: str, **fields: Any) -> Json:
    """Create a session to pay for `lines`. Fields that begin with `_` are private and never sent."""
    session_id = "cs_test_" + ids.letters(40)
    now = world.now()
    private = {key: fields.pop(key) for key in list(fields) if key.startswith("_")}
    fields.setdefault("expires_at", now + 86_400)
    trial = bool(private.get("_trial_end") or private.get("_trial_days"))
    total = 0 if trial else sum(row.price["unit_amount"] * row.quantity for row in lines)
    setup = fields["mode"] == "setup"
    session = blank(
        "checkout_session",
        id=session_id,
        created=now,
        amount_subtotal=None if setup else total,
        amount_total=None if setup else total,
        url=f"{base_url}/c/pay/{session_id}",
        **fields,
    )
    if lines:
        session["currency"] = lines[0].price["currency"]
    session["payment_method_collection"] = "always" if fields["mode"] == "subscription" else "if_required"
    session.update(private, _rows=lines)
    world.table("line_items")[session_id] = {"data": [_line_item(world, row) for row in lines]}
    world.schedule.add(session["expires_at"], "expire_session", session_id)
    return world.add(session)


def _line_item(world: World, row: items.Row) -> Json:
    amount = row.price["unit_amount"] * row.quantity
    return blank(
        "line_item",
        id="li_1" + ids.letters(23),
        amount_subtotal=amount,
        amount_total=amount,
        currency=row.price["currency"],
        description=world.table("product").get(row.price["product"], {}).get("name"),
        price=row.price,
        quantity=row.quantity,
    )


def _still_open(session: Json) -> None:
    if session["status"] != "open":
        raise invalid(f"This Checkout session is {session['status']}.")


def pay(world: World, session: Json, email: str | None = None, last4: str = customers.WORKING_CARD) -> None:
    """Pay with a card. Raises: `DeclinedError` if it is declined, after emitting the events of the attempt."""
    _still_open(session)
    if last4 != customers.WORKING_CARD and session["amount_total"]:
        _decline(world, session, last4)
    customer = _customer(world, session, email)
    method = _card(world, customer, last4)
    session["status"] = "complete"
    if session["mode"] == "subscription":
        assert customer is not None
        _subscribe(world, session, customer)
    elif session["mode"] == "payment" and session["amount_total"]:
        intent = _intent(world, session, customer, method)
        payments.attempt_payment(world, intent, method)
    elif session["mode"] == "setup":
        _set_up(world, session, customer, method)
    _complete(world, session, customer, email, "paid" if session["amount_total"] else "no_payment_required")


def pay_later(world: World, session: Json, email: str | None = None) -> None:
    """Pay by bank debit: the session completes unpaid, and the money arrives days later."""
    _still_open(session)
    if session["mode"] != "payment" or not session["amount_total"]:
        raise invalid("A bank debit is offered for one-time payments only.")
    customer = _customer(world, session, email)
    debit = {"id": ids.new("pm_1"), "object": "payment_method", "type": "us_bank_account", "customer": None}
    intent = _intent(world, session, customer, world.add(debit))
    intent.update(status="processing", payment_method_types=["us_bank_account"])
    world.emit("payment_intent.processing", intent)
    world.schedule.add(world.now() + world.policy.settle_debit_after, "settle", session["id"])
    session["status"] = "complete"
    _complete(world, session, customer, email, "unpaid")


def settle(world: World, session: Json, succeed: bool) -> None:
    """Record the bank's answer for a session that was paid by debit."""
    intent = world.table("payment_intent").get(session["payment_intent"] or "")
    if intent is None or intent["status"] != "processing":
        raise invalid("No bank debit is under way for this session.")
    method = dict(world.get("payment_method", intent["payment_method"]))
    if not succeed:
        method.update(type="card", card={"last4": customers.DECLINED_CARD, "fingerprint": ""})
    payments.attempt_payment(world, intent, method)
    if succeed:
        session["payment_status"] = "paid"
    outcome = "succeeded" if succeed else "failed"
    world.emit(f"checkout.session.async_payment_{outcome}", session)


def settle_due(world: World, session_id: str) -> None:
    """Settle a bank debit as succeeded when it is due, unless a control route settled it before."""
    session = world.table("checkout.session").get(session_id, {})
    intent = world.table("payment_intent").get(session.get("payment_intent") or "")
    if intent is not None and intent["status"] == "processing":
        settle(world, session, succeed=True)


def expire(world: World, session: Json) -> None:
    if session["status"] != "open":
        raise invalid("Only Checkout Sessions with a status of `open` can be expired.")
    session.update(status="expired", url=None)
    world.emit("checkout.session.expired", session)


def expire_due(world: World, session_id: str) -> None:
    session = world.table("checkout.session").get(session_id)
    if session is not None and session["status"] == "open" and session["expires_at"] <= world.now():
        expire(world, session)


def _customer(world: World, session: Json, email: str | None) -> Json | None:
    if session["customer"]:
        return customers.existing(world, session["customer"])
    if session["mode"] != "subscription" and session["customer_creation"] != "always":
        return None
    return customers.create(world, email=session["customer_email"] or email, name="Robin Reader")


def _card(world: World, customer: Json | None, last4: str) -> Json:
    if customer is None:
        return customers.new_card(world, last4)
    held = customers.default_card(world, customer)
    if held is not None and held["type"] == "card" and held["card"]["last4"] == last4:
        return held
    method = customers.attach(world, customers.new_card(world, last4)["id"], customer)
    customers.set_default(world, customer, method)
    return method


def _subscribe(world: World, session: Json, customer: Json) -> None:
    order = subscriptions.Order(customer=customer, rows=session["_rows"], **session["_order"])
    days = session["_trial_days"]  # they count from the payment, not from the session's creation
    order.trial_end = world.now() + days * 86_400 if days else session["_trial_end"]
    subscription = subscriptions.create(world, order)
    session.update(subscription=subscription["id"], invoice=subscription["latest_invoice"])


def _set_up(world: World, session: Json, customer: Json | None, method: Json) -> None:
    intent = blank(
        "setup_intent",
        id=ids.new("seti_1"),
        created=world.now(),
        customer=customer["id"] if customer else None,
        payment_method=method["id"],
        metadata=session["_intent_metadata"],
    )
    world.add(intent)
    world.emit("setup_intent.succeeded", intent)
    session["setup_intent"] = intent["id"]


def _intent(world: World, session: Json, customer: Json | None, method: Json) -> Json:
    known = world.table("payment_intent").get(session.get("_intent", ""))
    customer_id = customer["id"] if customer else None
    if known is not None:
        known.update(customer=customer_id, payment_method=method["id"])
        return known
    intent = payments.create_intent(
        world,
        session["amount_total"],
        session["currency"],
        customer_id,
        metadata=dict(session["_intent_metadata"]),
        payment_method=method["id"],
        status="requires_confirmation",
    )
    session["_intent"] = intent["id"]
    world.emit("payment_intent.created", intent)
    return intent


def _decline(world: World, session: Json, last4: str) -> None:
    card = customers.new_card(world, last4)
    if session["mode"] == "payment":
        intent = _intent(world, session, None, card)
    else:
        intent = payments.create_intent(world, session["amount_total"], session["currency"], session["customer"])
    payments.attempt_payment(world, intent, card)
    raise DeclinedError


def _complete(world: World, session: Json, customer: Json | None, email: str | None, payment_status: str) -> None:
    who = (customer or {}).get("email") or session["customer_email"] or email or "reader@example.org"
    session.update(
        customer=customer["id"] if customer else None,
        payment_status=payment_status,
        payment_intent=session.get("_intent"),
        url=None,
        customer_details={
            "address": {
                "city": None,
                "country": "US",
                "line1": None,
                "line2": None,
                "postal_code": None,
                "state": None,
            },
            "business_name": None,
            "email": who,
            "individual_name": None,
            "name": (customer or {}).get("name"),
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [],
        },
    )
    world.emit("checkout.session.completed", session)
