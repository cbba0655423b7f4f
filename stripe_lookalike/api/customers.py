"""`/v1/customers`, and the part of `/v1/payment_methods` that attaches cards."""

from __future__ import annotations

from typing import Any

from stripe_lookalike.domain import customers, lifecycle
from stripe_lookalike.errors import Json
from stripe_lookalike.lists import filtered_page, newest_first, page
from stripe_lookalike.params import Params
from stripe_lookalike.routes import Routes
from stripe_lookalike.world import World

routes = Routes()

_TEXTS = ("description", "email", "name", "phone")
_PARAMETERS = (*_TEXTS, "invoice_settings", "metadata")


@routes.list("/v1/customers", "created", "email")
def list_customers(world: World, params: Params) -> Json:
    rows = (row for row in world.table("customer").values() if not row.get("deleted"))
    return filtered_page("/v1/customers", rows, params, "email")


@routes.post("/v1/customers", *_PARAMETERS, "payment_method")
def create(world: World, params: Params) -> Json:
    fields: dict[str, Any] = {name: params.text(name) for name in _TEXTS}
    customer = customers.create(world, **fields, metadata=params.metadata())
    method = params.text("payment_method")
    default = params.inner("invoice_settings").text("default_payment_method")
    if method:
        attached = customers.attach(world, method, customer)
        if default in (method, attached["id"]):
            customers.set_default(world, customer, attached)
    return customer


@routes.get("/v1/customers/{customer}")
def retrieve(world: World, params: Params, customer: str) -> Json:
    return world.get("customer", customer)


@routes.post("/v1/customers/{customer}", *_PARAMETERS)
def update(world: World, params: Params, customer: str) -> Json:
    found = customers.existing(world, customer, "id", 404)
    with world.changing(found, "customer.updated"):
        found.update({name: params.text(name) for name in _TEXTS if params.given(name)})
        found["metadata"] = params.metadata(found["metadata"])
        default = params.inner("invoice_settings").text("default_payment_method")
        if default:
            world.get("payment_method", default, "invoice_settings[default_payment_method]", 400)
            found["invoice_settings"] = {**found["invoice_settings"], "default_payment_method": default}
    return found


@routes.delete("/v1/customers/{customer}")
def delete(world: World, params: Params, customer: str) -> Json:
    """Delete a customer and cancel their subscriptions. Both stay readable; the customer shows as deleted."""
    found = customers.existing(world, customer, "id", 404)
    for subscription in list(world.table("subscription").values()):
        if subscription["customer"] == customer and subscription["status"] not in lifecycle.TERMINAL:
            lifecycle.cancel(world, subscription, "cancellation_requested")
    world.emit("customer.deleted", found)
    gone = {"id": customer, "object": "customer", "deleted": True}
    # Keep the former fields as private ones: the subscriptions' invoices still refer to this customer.
    return world.add({**gone, **{f"_{key}": value for key, value in found.items() if key not in gone}})


@routes.list("/v1/customers/{customer}/payment_methods")
def list_cards(world: World, params: Params, customer: str) -> Json:
    customers.existing(world, customer, "id", 404)
    rows = [row for row in world.table("payment_method").values() if row["customer"] == customer]
    return page(f"/v1/customers/{customer}/payment_methods", newest_first(rows), params)


@routes.post("/v1/payment_methods/{payment_method}/attach", "customer")
def attach_card(world: World, params: Params, payment_method: str) -> Json:
    return customers.attach(world, payment_method, customers.existing(world, params.required("customer")))
