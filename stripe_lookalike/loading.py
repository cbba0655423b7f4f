"""Load state from outside: a recorded lifecycle, one object, or one event."""

from __future__ import annotations

import copy
from typing import Any

from stripe_lookalike.domain import lifecycle
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.world import World


def load_lifecycle(world: World, story: Json, *, send: bool, live: bool, upto: int | None) -> Json:
    """Add the `events` and the `final` objects of a recorded lifecycle.

    - `send`: also send the events to the webhook endpoints.
    - `live`: let the subscriptions renew when the clock moves. Otherwise they stay as they are.
    - `upto`: add only the first `upto` events, and each object as the last of these shows it.
    """
    events = story.get("events")
    final = story.get("final")
    if not isinstance(events, list) or not isinstance(final, dict):
        raise invalid("A lifecycle needs `events` and `final`.")
    loaded = events if upto is None else events[:upto]
    for event in loaded:
        subject = copy.deepcopy(event["data"]["object"])
        if subject.get("id"):
            world.add(subject)
    if upto is None:
        _load_final(world, final)
    else:
        _load_static(world, final)
    for event in loaded:
        made = world.add({**copy.deepcopy(event), "pending_webhooks": 0})
        world.pinned_events.add(event["id"])
        if send:
            world.on_event(made)
    if live:
        for subscription in world.table("subscription").values():
            lifecycle.schedule(world, subscription)
    return {"events": len(loaded), "last": loaded[-1]["created"] if loaded else None}


def _load_final(world: World, final: Json) -> None:
    for name, rows in final.items():
        if name != "checkout_line_items":
            for row in rows.values():
                world.add(copy.deepcopy(row))
    _load_static(world, final)


def _load_static(world: World, final: Json) -> None:
    """Add what no event carries: the catalogue and the line items of sessions."""
    for name in ("products", "prices"):
        for row in final.get(name, {}).values():
            world.add(copy.deepcopy(row))
    for session, rows in final.get("checkout_line_items", {}).items():
        world.table("line_items")[session] = {"data": copy.deepcopy(rows)}


def put_object(world: World, body: Json) -> Json:
    """Add or change an object: `{"object": {…}, "event": type or null, "live": false}`.

    In an object that exists, nested objects are merged, and lists are replaced. `event`: emit an event of this type.
    `live`: let a subscription renew when the clock moves.
    """
    given = body.get("object")
    if not isinstance(given, dict) or not given.get("id") or (not given.get("object")):
        raise invalid('Send {"object": {…}} with its `id` and `object`.')
    found = world.table(given["object"]).get(given["id"])
    before = copy.deepcopy(found)
    if found is None:
        found = world.add(copy.deepcopy(given))
    else:
        _merge(found, given)
    if body.get("event"):
        previous = {key: value for key, value in before.items() if found.get(key) != value} if before else None
        world.emit(body["event"], found, previous)
    if body.get("live") and found["object"] == "subscription":
        lifecycle.schedule(world, found)
    return found


def _merge(node: Json, patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(node.get(key), dict):
            _merge(node[key], value)
        else:
            node[key] = copy.deepcopy(value)


def load_event(world: World, body: Json) -> Json:
    """Add an event: `{"type", "object": {…}}`, and optionally its `id` and `created`.

    `"listed": false` keeps the event out of `/v1/events`, and `"send": false` keeps it from the endpoints.
    """
    if not isinstance(body.get("type"), str) or not isinstance(body.get("object"), dict):
        raise invalid("An event needs a `type` and an `object`.")
    chosen = {name: body[name] for name in ("id", "created") if name in body}
    data = {"object": copy.deepcopy(body["object"])}
    event = world.add_event(body["type"], data, **chosen, _hidden=not body.get("listed", True))
    world.pinned_events.add(event["id"])
    if body.get("send", True):
        world.on_event(event)
    return event
