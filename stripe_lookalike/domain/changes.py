"""Change a subscription's items (price, quantity, added, deleted), with prorations."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

from stripe_lookalike.domain import catalogue, entitlements, invoices, items, lifecycle, periods
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.world import World


@dataclass
class Change:
    """One entry of `items[…]`: the changes of the item with this ID, or, without an ID, a new item."""

    item: str | None = None
    price: Json | None = None
    quantity: int | None = None
    metadata: Json | None = None
    deleted: bool = False


def change_items(world: World, subscription: Json, requested: list[Change], prorations: str) -> None:
    """Change only the items, and emit the subscription's event. `prorations` is Stripe's `proration_behavior`."""
    with world.changing(subscription, "customer.subscription.updated"):
        apply(world, subscription, requested, prorations)
    entitlements.refresh(world, subscription["customer"])
    lifecycle.schedule(world, subscription)


def apply(world: World, subscription: Json, requested: list[Change], prorations: str) -> None:
    """Change the items in place; the caller emits the event. `prorations` is Stripe's `proration_behavior`."""
    before = {item["id"]: copy.deepcopy(item) for item in subscription["items"]["data"]}
    after = _merge(world, subscription, requested)
    if not after:
        raise invalid("A subscription must have at least one active item.", "items")
    if subscription["status"] == "trialing":
        lifecycle.set_items(subscription, after)
        return
    interval_changes = any(_interval(item) != _interval(before[item["id"]]) for item in after if item["id"] in before)
    if interval_changes:
        _restart(world, subscription, before, after)
        return
    if prorations != "none":
        _prorate(world, subscription, before, after)
    lifecycle.set_items(subscription, after)
    if prorations == "always_invoice":
        _bill_now(world, subscription, items.pending_lines(world, subscription))


def _interval(item: Json) -> tuple[str, int]:
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _merge(world: World, subscription: Json, requested: list[Change]) -> list[Json]:
    rows: dict[str, Json] = {item["id"]: copy.deepcopy(item) for item in subscription["items"]["data"]}
    for change in requested:
        if change.item is None:
            made = _added(world, subscription, change)
            rows[made["id"]] = made
            continue
        if change.item not in rows:
            raise invalid(f"No such subscription item: '{change.item}'", "items", "resource_missing")
        if change.deleted:
            del rows[change.item]
            continue
        item = rows[change.item]
        if change.price is not None:
            items.set_price(item, change.price)
        if change.quantity is not None:
            item["quantity"] = change.quantity
        if change.metadata is not None:
            item["metadata"] = change.metadata
    return list(rows.values())


def _added(world: World, subscription: Json, change: Change) -> Json:
    if change.price is None:
        raise invalid("A new item needs a price.", "items", "parameter_missing")
    quantity = 1 if change.quantity is None else change.quantity
    row = items.Row(change.price, quantity, change.metadata or {})
    now, anchor = world.now(), subscription["billing_cycle_anchor"]
    end = subscription["trial_end"] if subscription["status"] == "trialing" else None
    return items.new(world, subscription["id"], row, (now, end or periods.end(anchor, now, change.price["recurring"])))


def _prorate(world: World, subscription: Json, before: dict[str, Json], after: list[Json]) -> None:
    """Charge the rest of the period at the new price, then credit it at the old price, rounded down like Stripe."""
    now = {item["id"]: item for item in after}
    for item_id in before.keys() | now.keys():
        old, new = before.get(item_id), now.get(item_id)
        if (
            old
            and new
            and _cost(subscription, old) == _cost(subscription, new)
            and old["price"]["id"] == new["price"]["id"]
        ):
            continue
        if new:
            items.prorate(
                world, subscription, new, math.floor(_cost(subscription, new) * _unused_share(world, new)), credit=False
            )
        if old:
            items.prorate(
                world, subscription, old, math.floor(-_cost(subscription, old) * _unused_share(world, old)), credit=True
            )


def _cost(subscription: Json, item: Json) -> int:
    return catalogue.unit_amount(item["price"], subscription["currency"]) * int(item["quantity"])


def _unused_share(world: World, item: Json) -> float:
    start, end = item["current_period_start"], item["current_period_end"]
    return max(0.0, (end - world.now()) / (end - start)) if end > start else 0.0


def _restart(world: World, subscription: Json, before: dict[str, Json], after: list[Json]) -> None:
    """Begin a new cycle now for a changed interval: credit the rest of the old cycle, and bill the new one."""
    now = world.now()
    for old in before.values():
        items.prorate(
            world, subscription, old, math.floor(-_cost(subscription, old) * _unused_share(world, old)), credit=True
        )
    lines = items.pending_lines(world, subscription)
    for item in after:
        period = (now, periods.end(now, now, item["price"]["recurring"]))
        items.set_period(item, *period)
        lines.append(items.line(world, item, period))
    subscription["billing_cycle_anchor"] = now
    lifecycle.set_items(subscription, after)
    _bill_now(world, subscription, lines)


def _bill_now(world: World, subscription: Json, lines: list[Json]) -> None:
    if not lines:
        return
    invoice = invoices.create_draft(world, subscription, lines, "subscription_update", (world.now(), world.now()))
    subscription["latest_invoice"] = invoice["id"]
    invoices.finalize(world, invoice)
    if invoice["status"] == "open" and not invoices.pay(world, invoice):
        subscription["status"] = "past_due"
