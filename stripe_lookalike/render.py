"""Responses from stored objects: without private fields, with `expand`, in the requested API version."""

from __future__ import annotations

from typing import Any

from stripe_lookalike import legacy
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.world import World, embedded, public

_DEEPEST = 4


def render_object(world: World, found: Json, expand: list[str], version: str) -> Json:
    """Return a copy of `found` to send. Raises: `ApiError` 400 for an `expand` path that doesn't exist."""
    made: Json = public(found)
    for path in expand:
        steps = path.split(".")
        if len(steps) > _DEEPEST:
            raise invalid(f"You cannot expand more than {_DEEPEST} levels of a property. Property: {path}", "expand")
        _expand(world, made, steps, path)
    shaped: Json = legacy.in_version(made, version, world.find)
    return shaped


def _expand(world: World, node: Any, steps: list[str], path: str) -> None:
    if not steps or node is None:
        return
    if isinstance(node, list):
        for inner in node:
            _expand(world, inner, steps, path)
        return
    name, rest = steps[0], steps[1:]
    if not isinstance(node, dict):
        raise _cannot(path)
    if name not in node:
        node[name] = _included(world, node, name)
        if node[name] is None:
            raise _cannot(path)
    value = node[name]
    if isinstance(value, str):
        target = world.find(value)
        if target is None:
            raise _cannot(path)
        value = node[name] = public(target)
    elif not rest and not isinstance(value, dict | list | None):
        raise _cannot(path)
    _expand(world, value, rest, path)


def _cannot(path: str) -> Exception:
    return invalid(f"This property cannot be expanded ({path}).", "expand")


def _included(world: World, node: Json, name: str) -> Json | None:
    """Return a field that Stripe includes only on request with `expand`."""
    kind, own = node.get("object"), node.get("id", "")
    if (kind, name) == ("checkout.session", "line_items"):
        rows = world.table("line_items").get(own, {}).get("data", [])
        return embedded(f"/v1/checkout/sessions/{own}/line_items", public(rows), total=False)
    if (kind, name) == ("price", "currency_options"):
        amounts = world.table("price")[own].get("_currency_options", {})
        return {
            currency: {"unit_amount": amount, "tax_behavior": "unspecified"} for currency, amount in amounts.items()
        }
    source = {
        ("charge", "refunds"): ("refund", "charge"),
        ("customer", "subscriptions"): ("subscription", "customer"),
        ("invoice", "payments"): ("invoice_payment", "invoice"),
    }.get((str(kind), name))
    if source is None:
        return None
    table, field = source
    rows = [public(row) for row in world.table(table).values() if row[field] == own]
    return embedded(f"/v1/{table}s?{field}={own}", rows[::-1], total=False)
