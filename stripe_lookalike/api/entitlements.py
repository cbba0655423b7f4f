"""`/v1/entitlements`: features and active entitlements."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.domain import entitlements
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.lists import page
from stripe_lookalike.params import Params
from stripe_lookalike.routes import Routes
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World

routes = Routes()


@routes.list("/v1/entitlements/features", "archived", "lookup_key")
def list_features(world: World, params: Params) -> Json:
    key = params.text("lookup_key")
    archived = params.flag("archived")
    rows = list(reversed(world.table("entitlements.feature").values()))
    return page(
        "/v1/entitlements/features",
        rows,
        params,
        lambda row: (key is None or row["lookup_key"] == key) and row["active"] != archived,
    )


@routes.post("/v1/entitlements/features", "lookup_key", "metadata", "name")
def create_feature(world: World, params: Params) -> Json:
    key = params.required("lookup_key")
    taken = any(row["lookup_key"] == key and row["active"] for row in world.table("entitlements.feature").values())
    if taken:
        raise invalid(f"A feature with lookup key {key} already exists.", "lookup_key")
    return world.add(
        blank(
            "feature",
            id="feat_test_" + ids.letters(20),
            lookup_key=key,
            metadata=params.metadata(),
            name=params.required("name"),
        )
    )


@routes.get("/v1/entitlements/features/{feature}")
def retrieve_feature(world: World, params: Params, feature: str) -> Json:
    return world.get("entitlements.feature", feature)


@routes.post("/v1/entitlements/features/{feature}", "active", "metadata", "name")
def update_feature(world: World, params: Params, feature: str) -> Json:
    found = world.get("entitlements.feature", feature)
    found["active"] = params.flag("active", found["active"])
    found["name"] = params.text("name") or found["name"]
    found["metadata"] = params.metadata(found["metadata"])
    return found


@routes.list("/v1/entitlements/active_entitlements", "customer")
def list_active(world: World, params: Params) -> Json:
    customer = params.required("customer")
    world.get("customer", customer, "customer", 400)
    return page("/v1/entitlements/active_entitlements", entitlements.active(world, customer), params)
