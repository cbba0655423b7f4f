"""`/v1/checkout/sessions`."""

from __future__ import annotations

from typing import Any

from stripe_lookalike.api import checkout_options
from stripe_lookalike.api.catalogue import recurring_params
from stripe_lookalike.domain import catalogue, checkout, customers, items
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.lists import filtered_page, page
from stripe_lookalike.params import Params, http_url
from stripe_lookalike.routes import Routes
from stripe_lookalike.world import World

routes = Routes()

# Accepted without effect: the payment page has two test cards and no such options.
_COSMETIC = (
    "adaptive_pricing",
    "branding_settings",
    "consent_collection",
    "custom_text",
    "integration_identifier",
    "payment_method_options",
    "payment_method_types",
    "phone_number_collection",
    "saved_payment_method_options",
    "submit_type",
)
_PARAMETERS = (
    *checkout_options.PARAMETERS,
    "cancel_url",
    "client_reference_id",
    "customer",
    "customer_creation",
    "customer_email",
    "expires_at",
    "invoice_creation",
    "line_items",
    "metadata",
    "mode",
    "payment_intent_data",
    "payment_method_collection",
    "setup_intent_data",
    "subscription_data",
    "success_url",
    "ui_mode",
)

_LONGEST_TRIAL = 730  # days


@routes.list("/v1/checkout/sessions", "created", "customer", "payment_intent", "status", "subscription")
def list_sessions(world: World, params: Params) -> Json:
    sessions = world.table("checkout.session").values()
    fields = ("customer", "payment_intent", "status", "subscription")
    return filtered_page("/v1/checkout/sessions", sessions, params, *fields)


@routes.post("/v1/checkout/sessions", *_PARAMETERS, *_COSMETIC)
def create(world: World, params: Params) -> Json:
    mode = params.choice("mode", ("payment", "setup", "subscription"))
    if mode is None:
        raise params.missing_error("mode")
    if params.text("ui_mode", "hosted_page") not in ("hosted_page", "hosted"):
        raise invalid("The look-alike has hosted pages only.", "ui_mode")
    if params.text("customer"):
        customers.existing(world, params.required("customer"))
        if params.text("customer_email"):
            raise invalid("You may only specify one of these parameters: customer, customer_email.", "customer")
    fields: dict[str, Any] = {
        "cancel_url": http_url(params, "cancel_url"),
        "client_reference_id": _reference(params),
        "customer": params.text("customer"),
        "customer_creation": _customer_creation(params, mode),
        "customer_email": params.text("customer_email"),
        "metadata": params.metadata(),
        "mode": mode,
        "success_url": http_url(params, "success_url") or params.required("success_url"),
        **_deferred_fields(world, params, mode),
    }
    if params.given("expires_at"):
        fields["expires_at"] = _expiry(world, params)
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
        raise invalid("`customer_creation` can only be used in `payment` and `setup` mode.", "customer_creation")
    if params.text("customer"):
        return None
    return "always" if mode == "subscription" else chosen or "if_required"


def _expiry(world: World, params: Params) -> int:
    moment = params.integer("expires_at") or 0
    if not world.now() + 30 * 60 <= moment <= world.now() + 24 * 3600:
        raise invalid("The `expires_at` timestamp must be between 30 minutes and 24 hours from now.", "expires_at")
    return moment


def _deferred_fields(world: World, params: Params, mode: str) -> Json:
    """Return the private fields that the session keeps until it is paid."""
    for name, owner in (("subscription_data", "subscription"), ("payment_intent_data", "payment")):
        if params.given(name) and mode != owner:
            raise invalid(f"You can not pass `{name}` in `{mode}` mode.", name)
    data = params.inner("subscription_data")
    missing_card_behavior = data.inner("trial_settings").inner("end_behavior").text("missing_payment_method")
    days, until = data.integer("trial_period_days"), data.integer("trial_end")
    if days is not None and not 1 <= days <= _LONGEST_TRIAL:
        name = data.name("trial_period_days")
        raise invalid(f"Invalid {name}: must be from 1 to {_LONGEST_TRIAL}", name, "parameter_invalid_integer")
    if until is not None and until < world.now() + 48 * 3600:
        raise invalid("The `trial_end` date has to be at least 2 days in the future.", "subscription_data[trial_end]")
    intent = params.inner("payment_intent_data" if mode == "payment" else "setup_intent_data")
    return {
        "_order": {
            "metadata": data.metadata(),
            "description": data.text("description"),
            "billing_mode": data.inner("billing_mode").text("type"),
            "missing_card_behavior": missing_card_behavior or "create_invoice",
        },
        "_trial_days": days,
        "_trial_end": until,
        "_intent_metadata": intent.metadata(),
    }


def _lines(world: World, params: Params, mode: str) -> list[items.Row]:
    rows = params.rows("line_items")
    if mode == "setup":
        return []
    if not rows:
        raise invalid(f"`line_items` are required in `{mode}` mode.", "line_items", "parameter_missing")
    return [_line(world, row, mode) for row in rows]


def _line(world: World, row: Params, mode: str) -> items.Row:
    if row.given("price_data"):
        data = row.inner("price_data")
        price = catalogue.inline_price(
            world,
            data.required("currency").lower(),
            data.required("product"),
            data.integer("unit_amount", 0) or 0,
            recurring_params(data),
        )
    else:
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


@routes.post("/v1/checkout/sessions/{session}", "metadata")
def update(world: World, params: Params, session: str) -> Json:
    found = world.get("checkout.session", session)
    found["metadata"] = params.metadata(found["metadata"])
    return found


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
