"""`/v1/subscriptions`."""

from __future__ import annotations

from collections.abc import Callable

from stripe_lookalike.domain import (
    catalogue,
    changes,
    customers,
    due_work,
    entitlements,
    items,
    lifecycle,
    subscriptions,
)
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.lists import field_filter, newest_first, page, time_filter
from stripe_lookalike.params import Params
from stripe_lookalike.routes import Routes
from stripe_lookalike.world import World

routes = Routes()

_STATUSES = ("active", "canceled", "incomplete", "incomplete_expired", "past_due", "paused", "trialing", "unpaid")
_BEHAVIORS = ("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete")
_PRORATIONS = ("always_invoice", "create_prorations", "none")
_SHARED = (
    "cancel_at",
    "cancel_at_period_end",
    "default_payment_method",
    "items",
    "metadata",
    "payment_behavior",
    "proration_behavior",
    "trial_end",
    "trial_settings",
)


@routes.list("/v1/subscriptions", "created", "customer", "price", "status", "current_period_end")
def list_subscriptions(world: World, params: Params) -> Json:
    """List subscriptions; without `status`, all except the canceled ones."""
    keep = field_filter(params, "customer")
    shown, price = _statuses(params), params.text("price")
    ends = time_filter(params, "current_period_end")

    def wanted(row: Json) -> bool:
        rows = row["items"]["data"]
        return (
            keep(row)
            and shown(row["status"])
            and (price is None or any(item["price"]["id"] == price for item in rows))
            and (not rows or ends(min(item["current_period_end"] for item in rows)))
        )

    return page("/v1/subscriptions", newest_first(world.table("subscription").values()), params, wanted)


def _statuses(params: Params) -> Callable[[str], bool]:
    asked = params.choice("status", (*_STATUSES, "all", "ended"))
    if asked == "all":
        return lambda status: True
    if asked == "ended":
        return lambda status: status in lifecycle.TERMINAL
    return lambda status: status == asked if asked else status != "canceled"


@routes.post("/v1/subscriptions", *_SHARED, "customer", "trial_period_days", "billing_mode")
def create(world: World, params: Params) -> Json:
    customer = customers.existing(world, params.required("customer"))
    rows = params.rows("items")
    if not rows:
        raise params.missing_error("items")
    behavior = params.choice("payment_behavior", _BEHAVIORS, "allow_incomplete")
    missing_card_behavior = params.inner("trial_settings").inner("end_behavior").text("missing_payment_method")
    return subscriptions.create(
        world,
        subscriptions.Order(
            customer=customer,
            rows=[_row(world, row) for row in rows],
            metadata=params.metadata(),
            trial_end=_trial_end(world, params),
            cancel_at=params.integer("cancel_at"),
            cancel_at_period_end=params.flag("cancel_at_period_end"),
            payment_behavior=behavior or "allow_incomplete",
            default_payment_method=_card(world, params),
            billing_mode=params.inner("billing_mode").choice("type", ("classic", "flexible")),
            missing_card_behavior=missing_card_behavior or "create_invoice",
        ),
    )


def _card(world: World, params: Params) -> str | None:
    card = params.text("default_payment_method")
    return str(world.get("payment_method", card, "default_payment_method", 400)["id"]) if card else None


def _trial_end(world: World, params: Params) -> int | None:
    days = params.integer("trial_period_days")
    if days:
        return world.now() + days * 86_400
    if params.text("trial_end") == "now":
        return None
    moment = params.integer("trial_end")
    if moment is not None and moment <= world.now():
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", "trial_end")
    return moment


def _price(world: World, row: Params) -> Json | None:
    price_id = row.text("price")
    price = catalogue.active_price(world, price_id, row.name("price")) if price_id else None
    if price is not None and not price["recurring"]:
        raise invalid(f"The price specified is set to `type=one_time`: {price_id}.", row.name("price"))
    return price


def _row(world: World, row: Params) -> items.Row:
    price = _price(world, row)
    if price is None:
        raise row.missing_error("price")
    quantity = row.integer("quantity", 1)
    return items.Row(price, 1 if quantity is None else quantity, row.metadata())


def change_of(world: World, row: Params) -> changes.Change:
    """Return the change that one entry of `items[…]`, or a subscription item's parameters, ask for."""
    metadata = row.metadata() if row.given("metadata") else None
    return changes.Change(row.text("id"), _price(world, row), row.integer("quantity"), metadata, row.flag("deleted"))


def proration_behavior(params: Params) -> str:
    return params.choice("proration_behavior", _PRORATIONS, "create_prorations") or "create_prorations"


@routes.get("/v1/subscriptions/{subscription}")
def retrieve(world: World, params: Params, subscription: str) -> Json:
    return world.get("subscription", subscription)


@routes.post("/v1/subscriptions/{subscription}", *_SHARED, "cancellation_details", "pause_collection")
def update(world: World, params: Params, subscription: str) -> Json:
    found = world.get("subscription", subscription)
    if set(params) - {"metadata", "cancellation_details"}:
        subscriptions.editable(world, subscription)
    with world.changing(found, "customer.subscription.updated"):
        _set_simple(world, found, params)
        if params.given("items"):
            asked = [change_of(world, row) for row in params.rows("items")]
            changes.apply(world, found, asked, proration_behavior(params))
        _set_trial(world, found, params)
        _set_end(world, found, params)
    entitlements.refresh(world, found["customer"])
    lifecycle.schedule(world, found)
    due_work.run_due(world)  # this response already shows the end of a trial that ends now
    return found


def _set_simple(world: World, found: Json, params: Params) -> None:
    found["metadata"] = params.metadata(found["metadata"])
    if params.given("default_payment_method"):
        found["default_payment_method"] = _card(world, params)
    if params.given("cancellation_details"):
        details = params.inner("cancellation_details").values
        found["cancellation_details"] = {**found["cancellation_details"], **details}
    if params.given("pause_collection"):
        found["pause_collection"] = _pause(params)


def _pause(params: Params) -> Json | None:
    if params.values["pause_collection"] == "":
        return None
    asked = params.inner("pause_collection")
    behavior = asked.choice("behavior", ("keep_as_draft", "mark_uncollectible", "void"))
    if behavior is None:
        raise asked.missing_error("behavior")
    return {"behavior": behavior, "resumes_at": asked.integer("resumes_at")}


def _set_trial(world: World, found: Json, params: Params) -> None:
    if not params.given("trial_end"):
        return
    if params.text("trial_end") == "now":
        if found["status"] != "trialing":
            raise invalid("The subscription is not in a trial.", "trial_end")
        moment = world.now()
    else:
        moment = _trial_end(world, params) or world.now()
        found.update(status="trialing", trial_start=found["trial_start"] or world.now())
    found.update(trial_end=moment, billing_cycle_anchor=moment)
    for item in found["items"]["data"]:
        items.set_period(item, item["current_period_start"], moment)


def _set_end(world: World, found: Json, params: Params) -> None:
    if params.flag("cancel_at_period_end"):
        subscriptions.schedule_end(world, found, None, at_period_end=True)
    elif moment := params.integer("cancel_at"):
        if moment < world.now():
            raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", "cancel_at")
        subscriptions.schedule_end(world, found, moment, at_period_end=False)
    elif params.given("cancel_at") or (params.given("cancel_at_period_end") and found["cancel_at_period_end"]):
        subscriptions.unschedule_end(found)


@routes.delete("/v1/subscriptions/{subscription}", "cancellation_details")
def cancel(world: World, params: Params, subscription: str) -> Json:
    found = world.get("subscription", subscription)
    if found["status"] in lifecycle.TERMINAL:
        raise invalid(f"No such subscription: '{subscription}'", "id", "resource_missing")
    details = params.inner("cancellation_details").values
    lifecycle.cancel(world, found, "cancellation_requested", details)
    return found


@routes.post("/v1/subscriptions/{subscription}/pause")
def pause(world: World, params: Params, subscription: str) -> Json:
    found = subscriptions.editable(world, subscription)
    subscriptions.pause(world, found)
    return found


@routes.post("/v1/subscriptions/{subscription}/resume")
def resume(world: World, params: Params, subscription: str) -> Json:
    found = subscriptions.editable(world, subscription)
    subscriptions.resume(world, found)
    return found
