"""Customers and their cards."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.domain import taxes
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World

# Stripe's test cards: the last four digits, and whether a charge succeeds. All of them can be attached.
WORKING_CARD, DECLINED_CARD = "4242", "0341"
TOKENS = {
    "pm_card_visa": WORKING_CARD,
    "pm_card_mastercard": WORKING_CARD,
    "pm_card_chargeCustomerFail": DECLINED_CARD,
    "pm_card_visa_chargeDeclined": DECLINED_CARD,
}


def create(world: World, **fields: object) -> Json:
    """Create a customer and emit the event."""
    customer = blank(
        "customer", id="cus_" + ids.letters(14), created=world.now(), invoice_prefix=ids.letters(8).upper(), **fields
    )
    world.add(customer)
    world.emit("customer.created", customer)
    return customer


def existing(world: World, customer_id: str, param: str = "customer", status: int = 400) -> Json:
    """Return a customer. Raises: `ApiError` if there is none with this ID or it was deleted."""
    customer = world.get("customer", customer_id, param, status)
    if customer.get("deleted"):
        raise invalid(f"No such customer: '{customer_id}'", param, "resource_missing")
    return customer


def tax_percent(customer: Json) -> int:
    """Return the percentage of tax that a customer pays."""
    return taxes.percent(customer.get("address"), bool(customer.get("_tax_ids")))


def new_card(world: World, last4: str) -> Json:
    """Create a card without a customer."""
    method = blank("payment_method", id=ids.new("pm_1"), created=world.now())
    method["card"].update(last4=last4, fingerprint=ids.letters(16))
    return world.add(method)


def attach(world: World, method_id: str, customer: Json) -> Json:
    """Attach a card to a customer. `method_id` is a card's ID or one of Stripe's test tokens."""
    if method_id in TOKENS:
        method = new_card(world, TOKENS[method_id])
    else:
        method = world.get("payment_method", method_id, "payment_method")
    if method["customer"] != customer["id"]:
        method["customer"] = customer["id"]
        world.emit("payment_method.attached", method)
    return method


def set_default(world: World, customer: Json, method: Json) -> None:
    """Make this card the default for the customer's invoices."""
    with world.changing(customer, "customer.updated"):
        customer["invoice_settings"] = {**customer["invoice_settings"], "default_payment_method": method["id"]}


def add_card(world: World, customer: Json, last4: str) -> Json:
    """Attach a new card to a customer, and make it the default."""
    method = attach(world, new_card(world, last4)["id"], customer)
    set_default(world, customer, method)
    return method


def default_card(world: World, customer: Json, subscription: Json | None = None) -> Json | None:
    """Return the card that pays: the subscription's, else the customer's; `None` without either."""
    chosen = (subscription or {}).get("default_payment_method")
    chosen = chosen or customer["invoice_settings"]["default_payment_method"]
    return world.table("payment_method").get(chosen) if chosen else None


def accepts_charge(method: Json) -> bool:
    """Return whether a charge to this payment method succeeds."""
    return method.get("type") != "card" or method["card"]["last4"] == WORKING_CARD
