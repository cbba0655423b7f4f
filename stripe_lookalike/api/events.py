"""`/v1/events`: the events of the last 30 days, newest first."""

from __future__ import annotations

import fnmatch

from stripe_lookalike.errors import Json, invalid, missing
from stripe_lookalike.lists import newest_first, page, time_filter
from stripe_lookalike.params import Params
from stripe_lookalike.routes import Routes
from stripe_lookalike.world import World

routes = Routes()


def _kept(world: World, event: Json) -> bool:
    oldest = world.now() - world.policy.keep_events_for
    return not event.get("_hidden") and (event["created"] >= oldest or event["id"] in world.pinned_events)


@routes.list("/v1/events", "created", "delivery_success", "type", "types")
def list_events(world: World, params: Params) -> Json:
    pattern, types, created = params.text("type"), params.texts("types"), time_filter(params, "created")
    if pattern and types:
        raise invalid("You may only specify one of these parameters: type, types.", "types")
    if len(types) > 20:
        raise invalid("You may only specify up to 20 types.", "types")
    delivered = params.flag("delivery_success") if params.given("delivery_success") else None

    def keep(event: Json) -> bool:
        return (
            (not pattern or fnmatch.fnmatchcase(event["type"], pattern))
            and (not types or event["type"] in types)
            and (delivered is None or (event["pending_webhooks"] == 0) == delivered)
            and created(event["created"])
        )

    rows = [event for event in world.table("event").values() if _kept(world, event)]
    return page("/v1/events", newest_first(rows), params, keep)


@routes.get("/v1/events/{event}")
def retrieve(world: World, params: Params, event: str) -> Json:
    found = world.get("event", event)
    if not _kept(world, found):
        raise missing("event", event)
    return found
