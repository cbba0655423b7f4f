"""Checkout sessions: paid by card, declined, paid by bank debit, or expired."""

from __future__ import annotations

from typing import Any

from stripe_lookalike import ids
from stripe_lookalike.domain import catalogue, customers, discounts, items, payments, subscriptions, taxes
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World

_HOME_ADDRESS: Json = {
    "city": None,
    "country": taxes.HOME,
    "line1": None,
    "line2": None,
    "postal_code": None,
    "state": None,
}

_DEBIT_SETTLED_AFTER = 3 * 86_400  # seconds


class DeclinedError(Exception):
    """The card was declined. The session stays open."""


def open_session(world: World, lines: list[items.Row], base_url: str, **fields: Any) -> Json:
    """Create a session to pay for `lines`. Fields that begin with `_` are private and never sent."""
    session_id = "cs_test_" + ids.letters(40)
    now = world.now()
    private = {key: fields.pop(key) for key in list(fields) if key.startswith("_")}
    url = f"{base_url}/c/pay/{session_id}"
    session = blank("checkout_session", id=session_id, created=now, expires_at=now + 86_400, url=url, **fields)
    session["payment_method_collection"] = "always" if fields["mode"] == "subscription" else "if_required"
    customer = world.table("customer").get(session["customer"] or "", {})
    session.update(private, _rows=lines, _address=customer.get("address"), _tax_id=None, _business_name=None)
    made = [_line_item(world, row, session["currency"]) for row in lines]
    world.table("line_items")[session_id] = {"data": made}
    price_session(world, session)
    world.schedule.add(session["expires_at"], "expire_session", session_id)
    return world.add(session)


def _line_item(world: World, row: items.Row, currency: str) -> Json:
    return blank(
        "line_item",
        id="li_1" + ids.letters(23),
        adjustable_quantity=row.adjustable_quantity,
        currency=currency,
        description=world.table("product").get(row.price["product"], {}).get("name"),
        price=row.price,
    )


def price_session(world: World, session: Json) -> None:
    """Work out what is due, by line and in all, from quantities, discount, and the tax at the address."""
    taxed, address = session["automatic_tax"]["enabled"], session["_address"]
    percentage = taxes.percent(address, bool(session["_tax_id"])) if taxed else 0
    coupon = discount_of(world, session)
    sums = {"amount_subtotal": 0, "amount_discount": 0, "amount_tax": 0, "amount_total": 0}
    rows: list[items.Row] = session["_rows"]
    for row, line in zip(rows, world.table("line_items")[session["id"]]["data"], strict=True):
        amount = 0 if session["_trial_days"] else catalogue.unit_amount(row.price, session["currency"]) * row.quantity
        left = None if coupon is None else coupon["amount_off"]
        cut = discounts.cut(coupon, amount) if left is None else min(left - sums["amount_discount"], amount)
        tax = taxes.tax_on(amount - cut, percentage)
        line.update(amount_subtotal=amount, amount_discount=cut, amount_tax=tax, amount_total=amount - cut + tax)
        line["quantity"] = row.quantity
        sums = {name: value + line[name] for name, value in sums.items()}
    session.update({name: sums[name] for name in ("amount_subtotal", "amount_total")})
    session["total_details"].update({name: sums[name] for name in ("amount_discount", "amount_tax")})
    if taxed:
        session["automatic_tax"]["status"] = "complete" if address else "requires_location_inputs"


def discount_of(world: World, session: Json) -> Json | None:
    """Return the coupon that the session has."""
    if not session["discounts"]:
        return None
    code = code_of(world, session)
    return discounts.coupon_of(world, code) if code else world.get("coupon", session["discounts"][0]["coupon"])


def code_of(world: World, session: Json) -> Json | None:
    """Return the promotion code that the session has."""
    name = session["discounts"][0]["promotion_code"] if session["discounts"] else None
    return world.get("promotion_code", name) if name else None


def enter(world: World, session: Json, entered: Json) -> None:
    """Take what a reader enters on the page: address, tax ID, quantity, and promotion code. Raises: `ApiError` 400."""
    _still_open(session)
    if entered.get("country"):
        session["_address"] = {
            **_HOME_ADDRESS,
            "country": entered["country"],
            "postal_code": entered.get("postal_code"),
        }
    session["_tax_id"], session["_business_name"] = entered.get("tax_id"), entered.get("business_name")
    quantity = str(entered.get("quantity") or "")
    for row in session["_rows"]:
        limits = row.adjustable_quantity or {}
        if limits.get("enabled") and quantity.isdecimal():
            row.quantity = min(max(int(quantity), limits["minimum"]), limits["maximum"])
    if session["allow_promotion_codes"] and (word := entered.get("promotion_code")):
        codes = world.table("promotion_code").values()
        found = next((code for code in codes if code["code"].lower() == word.lower()), None)
        if found is None:
            raise invalid("This code is invalid.", "promotion_code")
        discounts.usable_code(world, found, session["customer"], session["currency"], "promotion_code")
        session["discounts"] = [{"coupon": None, "promotion_code": found["id"]}]
    price_session(world, session)


def _still_open(session: Json) -> None:
    if session["status"] != "open":
        raise invalid(f"This Checkout session is {session['status']}.")


def pay(world: World, session: Json, email: str | None = None, last4: str = customers.WORKING_CARD) -> None:
    """Pay with a card. Raises: `DeclinedError` if it is declined, after emitting the events of the attempt."""
    _still_open(session)
    if session["_address"] is None:
        session["_address"] = _HOME_ADDRESS
        price_session(world, session)
    if last4 != customers.WORKING_CARD and session["amount_total"]:
        _decline(world, session, last4)
    customer = _customer(world, session, email)
    if customer is not None:
        _save_entered(world, session, customer)
    method = _card(world, customer, last4)
    session["status"] = "complete"
    if session["mode"] == "subscription":
        assert customer is not None
        _subscribe(world, session, customer)
    elif session["amount_total"]:
        intent = _intent(world, session, customer, method)
        payments.attempt_payment(world, intent, method)
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
    world.schedule.add(world.now() + _DEBIT_SETTLED_AFTER, "settle", session["id"])
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
    session["_updates"] = ("address", "name")
    if session["mode"] != "subscription" and session["customer_creation"] != "always":
        return None
    return customers.create(world, email=email, name="Robin Reader")


def _save_entered(world: World, session: Json, customer: Json) -> None:
    """Save with the customer what `customer_update` allows; a tax ID is saved in any case."""
    with world.changing(customer, "customer.updated"):
        if "address" in session["_updates"] and (session["automatic_tax"]["enabled"] or session["_tax_id"]):
            customer["address"] = session["_address"]
        if "name" in session["_updates"] and session["_business_name"]:
            customer["name"] = session["_business_name"]
        if session["_tax_id"]:
            customer["_tax_ids"] = tax_ids(session)


def tax_ids(session: Json) -> list[Json]:
    """Return the tax ID that the reader entered, in a list."""
    kind = "us_ein" if (session["_address"] or {}).get("country") == taxes.HOME else "eu_vat"
    return [{"type": kind, "value": session["_tax_id"]}] if session["_tax_id"] else []


def _card(world: World, customer: Json | None, last4: str) -> Json:
    if customer is None:
        return customers.new_card(world, last4)
    held = customers.default_card(world, customer)
    if held is not None and held["type"] == "card" and held["card"]["last4"] == last4:
        return held
    return customers.add_card(world, customer, last4)


def _subscribe(world: World, session: Json, customer: Json) -> None:
    order = subscriptions.Order(customer=customer, rows=session["_rows"], **session["_order"])
    order.currency, order.automatic_tax = session["currency"], session["automatic_tax"]["enabled"]
    order.coupon, order.promotion_code = discount_of(world, session), code_of(world, session)
    days = session["_trial_days"]  # they count from the payment, not from the session's creation
    order.trial_end = world.now() + days * 86_400 if days else None
    subscription = subscriptions.create(world, order)
    session.update(subscription=subscription["id"], invoice=subscription["latest_invoice"])


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
    who = (customer or {}).get("email") or email or "reader@example.org"
    session.update(
        customer=customer["id"] if customer else None,
        payment_status=payment_status,
        payment_intent=session.get("_intent"),
        url=None,
        customer_details={
            "address": session["_address"] or _HOME_ADDRESS,
            "business_name": session["_business_name"],
            "email": who,
            "individual_name": None,
            "name": (customer or {}).get("name"),
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": tax_ids(session),
        },
    )
    for used in filter(None, (code_of(world, session), discount_of(world, session))):
        used["times_redeemed"] += 1
    world.emit("checkout.session.completed", session)
