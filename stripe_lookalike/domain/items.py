"""Subscription items (price, quantity, period) and their invoice lines."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from stripe_lookalike import ids
from stripe_lookalike.domain import catalogue, periods
from stripe_lookalike.errors import Json
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World


@dataclass
class Row:
    """One line of an order."""

    price: Json
    quantity: int = 1
    metadata: Json = field(default_factory=dict)
    adjustable_quantity: Json | None = None  # of a Checkout session: enabled, minimum, maximum


def new(world: World, subscription_id: str, row: Row, period: tuple[int, int]) -> Json:
    """Return a new item in its first period (start and end in epoch seconds)."""
    item = blank(
        "subscription_item",
        id="si_" + ids.letters(14),
        created=world.now(),
        metadata=row.metadata,
        quantity=row.quantity,
        subscription=subscription_id,
    )
    set_price(item, row.price)
    set_period(item, *period)
    return item


def set_price(item: Json, price: Json) -> None:
    """Set the item's price, and the `plan` that repeats it."""
    item.update(price=copy.deepcopy(price), plan=catalogue.legacy_plan(price))


def set_period(item: Json, start: int, end: int) -> None:
    item.update(current_period_start=start, current_period_end=end, billed_until=end)


def next_period(item: Json, anchor: int) -> tuple[int, int]:
    """Return the start and end of the period after the current one."""
    start = item["current_period_end"]
    return start, periods.end(anchor, start, item["price"]["recurring"])


def line(world: World, item: Json, period: tuple[int, int], trial: bool = False) -> Json:
    """Return an invoice line for the item in `period`."""
    price, quantity = item["price"], item["quantity"]
    currency = world.get("subscription", item["subscription"])["currency"]
    unit = 0 if trial else catalogue.unit_amount(price, currency)
    amount = unit * quantity
    text = f"{quantity} × {catalogue.line_label(world, price, currency)}"
    if trial:
        text = f"Free trial for {quantity} × {catalogue.product_name(world, price)}"
    obj = blank(
        "invoice_line",
        id=ids.new("il_1"),
        amount=amount,
        subtotal=amount,
        currency=currency,
        description=text,
        period={"start": period[0], "end": period[1]},
        quantity=quantity,
        quantity_decimal=str(quantity),
    )
    obj["pricing"] = _pricing(price, str(unit))
    obj["parent"]["subscription_item_details"].update(subscription=item["subscription"], subscription_item=item["id"])
    return obj


def _pricing(price: Json, unit: str | None) -> Json:
    details = {"price": price["id"], "product": price["product"]}
    return {"price_details": details, "type": "price_details", "unit_amount_decimal": unit}


def prorate(world: World, subscription: Json, item: Json, amount: int, credit: bool) -> Json:
    """Create an invoice item for the rest of the period: a credit for the old price, or a charge for the new one."""
    price, name = item["price"], catalogue.product_name(world, item["price"])
    obj = blank(
        "invoiceitem",
        id=ids.new("ii_1"),
        amount=amount,
        net_amount=amount,
        currency=subscription["currency"],
        customer=subscription["customer"],
        date=world.now(),
        description=f"{'Unused' if credit else 'Remaining'} time on {name}",
        period={"start": world.now(), "end": item["current_period_end"]},
        quantity=item["quantity"],
        quantity_decimal=str(item["quantity"]),
    )
    obj["pricing"] = _pricing(price, None)
    obj["parent"]["subscription_details"] = {"subscription": subscription["id"], "subscription_item": item["id"]}
    world.add(obj)
    world.emit("invoiceitem.created", obj)
    return obj


def pending_lines(world: World, subscription: Json) -> list[Json]:
    """Remove the prorations that wait for the next invoice, and return them as its lines."""
    rows = world.table("invoiceitem")
    waiting = [
        row
        for row in reversed(rows.values())
        if row["invoice"] is None and row["parent"]["subscription_details"]["subscription"] == subscription["id"]
    ]
    lines = []
    for row in waiting:
        obj = blank("invoice_line", id=ids.new("il_1"), discountable=False, subtotal=row["amount"])
        obj.update({key: row[key] for key in ("amount", "currency", "description", "period", "pricing", "quantity")})
        obj["quantity_decimal"] = row["quantity_decimal"]
        obj["parent"]["subscription_item_details"].update(
            invoice_item=row["id"], proration=True, **row["parent"]["subscription_details"]
        )
        lines.append(obj)
        del rows[row["id"]]  # billed once
    return lines
