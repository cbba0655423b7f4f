"""Stripe's Entitlements: the features of the products that a customer's subscriptions are for."""

from __future__ import annotations

import copy

from stripe_lookalike import ids
from stripe_lookalike.errors import Json
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World, embedded

_GIVING = ("active", "trialing", "past_due")
_IN_AN_EVENT = 10  # a summary holds no more, whatever the customer has


def refresh(world: World, customer_id: str) -> None:
    """Bring the customer's entitlements in line with the subscriptions, and tell of it if the set changed.

    Called when a subscription begins, ends, changes its items or enters a new period: a feature that a product gains
    reaches its subscribers at the next of these, as at Stripe.
    """
    if not world.table("product_feature") and not world.table("entitlements.active_entitlement"):
        return  # nobody uses them here
    wanted = _features(world, customer_id)
    held = world.table("entitlements.active_entitlement")
    mine = {row["feature"]: row for row in active(world, customer_id)}
    if wanted.keys() == mine.keys():
        return
    before = [_public(row) for row in mine.values()]
    for feature_id in mine.keys() - wanted.keys():
        del held[mine[feature_id]["id"]]
    for feature_id in wanted.keys() - mine.keys():
        row = blank(
            "active_entitlement",
            id="ent_test_" + ids.letters(20),
            feature=feature_id,
            lookup_key=wanted[feature_id]["lookup_key"],
        )
        held[row["id"]] = {**row, "_customer": customer_id}
    tell(world, customer_id, before)


def tell(world: World, customer_id: str, before: list[Json] | None = None) -> Json:
    """Send the customer's summary: the whole set, cut at ten, with a `url` that is no path of the API."""
    rows = [_public(row) for row in active(world, customer_id)]
    summary = blank("entitlement_summary", customer=customer_id)
    summary["entitlements"] = embedded(f"/v1/customer/{customer_id}/entitlements", rows[:_IN_AN_EVENT], total=False)
    summary["entitlements"]["has_more"] = len(rows) > _IN_AN_EVENT
    previous = None
    if before is not None:
        previous = {"entitlements": {"data": before[:_IN_AN_EVENT], "has_more": len(before) > _IN_AN_EVENT}}
    return world.emit("entitlements.active_entitlement_summary.updated", summary, previous)


def active(world: World, customer_id: str) -> list[Json]:
    """The rows of one customer, as they are kept."""
    rows = world.table("entitlements.active_entitlement").values()
    return [row for row in rows if row.get("_customer") == customer_id]  # One that was put by hand may be nobody's.


def _public(row: Json) -> Json:
    return {key: copy.deepcopy(value) for key, value in row.items() if not key.startswith("_")}


def _features(world: World, customer_id: str) -> dict[str, Json]:
    products = {
        item["price"]["product"]
        for subscription in world.table("subscription").values()
        if subscription["customer"] == customer_id and subscription["status"] in _GIVING
        for item in subscription["items"]["data"]
    }
    rows = [row for row in world.table("product_feature").values() if row["_product"] in products]
    return {row["entitlement_feature"]["id"]: row["entitlement_feature"] for row in rows}
