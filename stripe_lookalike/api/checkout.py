"""`/v1/checkout/sessions`."""

from __future__ import annotations

from typing import Any

from stripe_lookalike.api import checkout_options
from stripe_lookalike.domain import catalogue, checkout, customers, items
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.lists import filtered_page, page
from stripe_lookalike.params import Params, http_url
from stripe_lookalike.routes import Routes
from stripe_lookalike.world import World

routes = Routes()

_PARAMETERS = (
    *checkout_options.PARAMETERS,
    "cancel_url",
    "client_reference_id",
    "customer",
    "customer_creation",
    "line_items",
    "metadata",
    "mode",
    "payment_intent_data",
    "subscription_data",
    "success_url",
)

_LONGEST_TRIAL = 730  # days


@routes.list("/v1/checkout/sessions", "created", "customer", "payment_intent", "status", "subscription")
def list_sessions(world: World, params: Params) -> Json:
    sessions = world.table("checkout.session").values()
    fields = ("customer", "payment_intent", "status", "subscription")
    return filtered_page("/v1/checkout/sessions", sessions, params, *fields)


@routes.post("/v1/checkout/sessions", *_PARAMETERS)
def create(world: World, params: Params) -> Json:
    mode = params.choice("mode", ("payment", "subscription"))
    if mode is None:
        raise params.missing_error("mode")
    if params.text("customer"):
        customers.existing(world, params.required("customer"))
    fields: dict[str, Any] = {
        "cancel_url": http_url(params, "cancel_url"),
        "client_reference_id": _reference(params),
        "customer": params.text("customer"),
        "customer_creation": _customer_creation(params, mode),
        "metadata": params.metadata(),
        "mode": mode,
        "success_url": http_url(params, "success_url") or params.required("success_url"),
        **_deferred_fields(params, mode),
    }
    lines = _lines(world, params, mode)
    fields |= checkout_options.read(world, params, [row.price for row in lines])
    return checkout.open_session(world, lines, world.cause.base_url, **fields)


def _reference(params: Params) -> str | None:
    reference = params.text("client_reference_id")
    if reference and len(reference) > 200:
        raise invalid("Invalid client_reference_id: must be at most 200 characters", "client_reference_id")
    return reference


def _customer_creation(params: Params, mode: str) -> str | None:
    chosen = params.choice("customer_creation", ("always", "if_required"))
    if chosen and mode == "subscription":
        raise invalid("`customer_creation` can only be used in `payment` mode.", "customer_creation")
    if params.text("customer"):
        return None
    return "always" if mode == "subscription" else chosen or "if_required"


def _deferred_fields(params: Params, mode: str) -> Json:
    """Return the private fields that the session keeps until it is paid."""
    for name, owner in (("subscription_data", "subscription"), ("payment_intent_data", "payment")):
        if params.given(name) and mode != owner:
            raise invalid(f"You can not pass `{name}` in `{mode}` mode.", name)
    data = params.inner("subscription_data")
    days = data.integer("trial_period_days")
    if days is not None and not 1 <= days <= _LONGEST_TRIAL:
        name = data.name("trial_period_days")
        raise invalid(f"Invalid {name}: must be from 1 to {_LONGEST_TRIAL}", name, "parameter_invalid_integer")
    return {
        "_order": {"metadata": data.metadata(), "billing_mode": data.inner("billing_mode").text("type")},
        "_trial_days": days,
        "_intent_metadata": params.inner("payment_intent_data").metadata(),
    }


def _lines(world: World, params: Params, mode: str) -> list[items.Row]:
    rows = params.rows("line_items")
    if not rows:
        raise invalid(f"`line_items` are required in `{mode}` mode.", "line_items", "parameter_missing")
    return [_line(world, row, mode) for row in rows]


def _line(world: World, row: Params, mode: str) -> items.Row:
    price = catalogue.active_price(world, row.required("price"), row.name("price"))
    if mode == "payment" and price["recurring"]:
        raise invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use "
            "only one-time prices.",
            row.name("price"),
        )
    if mode == "subscription" and not price["recurring"]:
        raise invalid(
            "The look-alike takes only recurring prices in `subscription` mode.",
            row.name("price"),
        )
    quantity = row.integer("quantity", 1)
    if not quantity or quantity < 1:
        raise invalid("Invalid quantity: must be at least 1", row.name("quantity"), "parameter_invalid_integer")
    return items.Row(price, quantity, adjustable_quantity=_adjustable_quantity(row, quantity))


def _adjustable_quantity(row: Params, quantity: int) -> Json | None:
    given = row.inner("adjustable_quantity")
    if not given.flag("enabled"):
        return None
    least, most = given.integer("minimum", 0) or 0, given.integer("maximum", 99) or 99
    if not least <= quantity <= most:
        name = row.name("quantity")
        raise invalid(f"Invalid {name}: must be from {least} to {most}", name, "parameter_invalid_integer")
    return {"enabled": True, "maximum": most, "minimum": least}


@routes.get("/v1/checkout/sessions/{session}")
def retrieve(world: World, params: Params, session: str) -> Json:
    return world.get("checkout.session", session)


@routes.post("/v1/checkout/sessions/{session}/expire")
def expire(world: World, params: Params, session: str) -> Json:
    found = world.get("checkout.session", session)
    checkout.expire(world, found)
    return found


@routes.list("/v1/checkout/sessions/{session}/line_items")
def list_line_items(world: World, params: Params, session: str) -> Json:
    world.get("checkout.session", session)
    rows: list[Json] = world.table("line_items").get(session, {}).get("data", [])
    return page(f"/v1/checkout/sessions/{session}/line_items", rows, params)
