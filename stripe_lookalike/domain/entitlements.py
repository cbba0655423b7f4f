"""Stripe's Entitlements: the features of the products in a customer's subscriptions."""

from __future__ import annotations

import copy

from stripe_lookalike import ids
from stripe_lookalike.errors import Json
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World, embedded

_ENTITLING_STATUSES = ("active", "trialing", "past_due")
_MAX_IN_EVENT = 10  # Stripe cuts the list in an event after ten


def refresh(world: World, customer_id: str) -> None:
    """Update a customer's entitlements from their subscriptions, and emit the summary if the set changes.

    Call this when a subscription begins, ends, changes its items or enters a new period. As at Stripe, a product's new
    feature reaches its subscribers at the next of these.
    """
    if not world.table("product_feature") and not world.table("entitlements.active_entitlement"):
        return  # this account doesn't use Entitlements
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
    _emit_summary(world, customer_id, before)


def _emit_summary(world: World, customer_id: str, before: list[Json]) -> None:
    """Emit the customer's summary: the set, cut after ten, with a `url` that isn't a path of the API, as at Stripe."""
    rows = [_public(row) for row in active(world, customer_id)]
    summary = blank("entitlement_summary", customer=customer_id)
    summary["entitlements"] = embedded(f"/v1/customer/{customer_id}/entitlements", rows[:_MAX_IN_EVENT], total=False)
    summary["entitlements"]["has_more"] = len(rows) > _MAX_IN_EVENT
    previous = {"entitlements": {"data": before[:_MAX_IN_EVENT], "has_more": len(before) > _MAX_IN_EVENT}}
    world.emit("entitlements.active_entitlement_summary.updated", summary, previous)


def active(world: World, customer_id: str) -> list[Json]:
    """Return the stored rows of one customer."""
    rows = world.table("entitlements.active_entitlement").values()
    return [row for row in rows if row.get("_customer") == customer_id]  # one that a test added may have no customer


def _public(row: Json) -> Json:
    return {key: copy.deepcopy(value) for key, value in row.items() if not key.startswith("_")}


def _features(world: World, customer_id: str) -> dict[str, Json]:
    products = {
        item["price"]["product"]
        for subscription in world.table("subscription").values()
        if subscription["customer"] == customer_id and subscription["status"] in _ENTITLING_STATUSES
        for item in subscription["items"]["data"]
    }
    rows = [row for row in world.table("product_feature").values() if row["_product"] in products]
    return {row["entitlement_feature"]["id"]: row["entitlement_feature"] for row in rows}
