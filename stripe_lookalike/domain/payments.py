"""Payment intents and charges."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.domain import customers
from stripe_lookalike.errors import Json
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World

_DECLINED_ERROR = {
    "code": "card_declined",
    "decline_code": "generic_decline",
    "message": "Your card was declined.",
    "type": "card_error",
}


def create_intent(world: World, amount: int, currency: str, customer: str | None, **fields: object) -> Json:
    """Create an unpaid payment intent without an event: Stripe emits `payment_intent.created` only at Checkout."""
    intent_id = ids.new("pi_3")
    intent = blank(
        "payment_intent",
        id=intent_id,
        amount=amount,
        currency=currency,
        customer=customer,
        created=world.now(),
        client_secret=f"{intent_id}_secret_{ids.letters(10)}",
        **fields,
    )
    return world.add(intent)


def attempt_payment(world: World, intent: Json, method: Json | None) -> bool:
    """Charge the card and emit the events; return whether it succeeds. Without a card, fail without a charge."""
    succeeded = method is not None and customers.accepts_charge(method)
    charge = _charge(world, intent, method, succeeded) if method is not None else None
    if charge is not None:
        intent["latest_charge"] = charge["id"]
    if succeeded and method is not None:
        intent.update(
            status="succeeded", amount_received=intent["amount"], payment_method=method["id"], last_payment_error=None
        )
        world.emit("payment_intent.succeeded", intent)
        return True
    error = {**_DECLINED_ERROR, "charge": charge["id"]} if charge else None
    intent.update(status="requires_payment_method", payment_method=None, last_payment_error=error)
    world.emit("payment_intent.payment_failed", intent)
    return False


def _charge(world: World, intent: Json, method: Json, succeeded: bool) -> Json:
    charge = blank(
        "charge",
        id=ids.new("ch_3"),
        amount=intent["amount"],
        amount_captured=intent["amount"] if succeeded else 0,
        balance_transaction=ids.new("txn_3") if succeeded else None,
        captured=succeeded,
        created=world.now(),
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        metadata=dict(intent["metadata"]),
        paid=succeeded,
        payment_intent=intent["id"],
        payment_method=method["id"],
        status="succeeded" if succeeded else "failed",
    )
    _describe_card(charge, method)
    if succeeded:
        charge["receipt_url"] = f"https://pay.stripe.com/receipts/payment/{charge['id']}"
    else:
        charge.update(failure_code=_DECLINED_ERROR["code"], failure_message=_DECLINED_ERROR["message"])
        charge["outcome"].update(
            network_status="declined_by_network",
            reason="generic_decline",
            seller_message="The bank did not return any further details with this decline.",
            type="issuer_declined",
        )
    world.add(charge)
    world.emit("charge.succeeded" if succeeded else "charge.failed", charge)
    return charge


def _describe_card(charge: Json, method: Json) -> None:
    if method["type"] != "card":
        charge["payment_method_details"] = {"type": method["type"], method["type"]: {}}
        return
    card = charge["payment_method_details"]["card"]
    card.update(last4=method["card"]["last4"], fingerprint=method["card"]["fingerprint"])
    card["amount_authorized"] = charge["amount"] if charge["paid"] else None
    card["overcapture"]["maximum_amount_capturable"] = charge["amount"]


def latest_charge(world: World, intent: Json) -> Json | None:
    """Return the latest charge of an intent."""
    return world.table("charge").get(intent["latest_charge"] or "")
