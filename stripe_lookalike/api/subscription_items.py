"""`/v1/subscription_items`."""

from __future__ import annotations

from stripe_lookalike.api.subscriptions import change_of, proration_behavior
from stripe_lookalike.domain import subscriptions
from stripe_lookalike.domain.changes import Change, change_items
from stripe_lookalike.errors import Json, missing
from stripe_lookalike.lists import page
from stripe_lookalike.params import Params
from stripe_lookalike.routes import Routes
from stripe_lookalike.world import World

routes = Routes()

_PARAMETERS = ("metadata", "payment_behavior", "price", "proration_behavior", "quantity")


def _owner(world: World, item_id: str) -> tuple[Json, Json]:
    for subscription in world.table("subscription").values():
        for item in subscription["items"]["data"]:
            if item["id"] == item_id:
                return subscription, item
    raise missing("subscription_item", item_id)


@routes.list("/v1/subscription_items", "subscription")
def list_items(world: World, params: Params) -> Json:
    subscription = world.get("subscription", params.required("subscription"), "subscription", 400)
    return page("/v1/subscription_items", subscription["items"]["data"], params)


@routes.post("/v1/subscription_items", *_PARAMETERS, "subscription")
def create(world: World, params: Params) -> Json:
    subscription = subscriptions.editable(world, params.required("subscription"))
    known = {item["id"] for item in subscription["items"]["data"]}
    change_items(world, subscription, [change_of(world, params)], proration_behavior(params))
    made: Json = next(item for item in subscription["items"]["data"] if item["id"] not in known)
    return made


@routes.get("/v1/subscription_items/{item}")
def retrieve(world: World, params: Params, item: str) -> Json:
    return _owner(world, item)[1]


@routes.post("/v1/subscription_items/{item}", *_PARAMETERS)
def update(world: World, params: Params, item: str) -> Json:
    subscription, _ = _owner(world, item)
    subscriptions.editable(world, subscription["id"])
    change = change_of(world, params)
    change.item = item
    change_items(world, subscription, [change], proration_behavior(params))
    return _owner(world, item)[1]


@routes.delete("/v1/subscription_items/{item}", "proration_behavior")
def delete(world: World, params: Params, item: str) -> Json:
    subscription, _ = _owner(world, item)
    subscriptions.editable(world, subscription["id"])
    change_items(world, subscription, [Change(item=item, deleted=True)], proration_behavior(params))
    return {"id": item, "object": "subscription_item", "deleted": True}
