"""`/v1/invoices` and `/v1/invoice_payments`."""

from __future__ import annotations

from collections.abc import Callable

from stripe_lookalike.domain import invoices, lifecycle, payments
from stripe_lookalike.errors import Json, declined, invalid
from stripe_lookalike.lists import field_filter, newest_first, page
from stripe_lookalike.params import Params
from stripe_lookalike.routes import Routes
from stripe_lookalike.world import World

routes = Routes()


@routes.list("/v1/invoices", "created", "customer", "status", "subscription")
def list_invoices(world: World, params: Params) -> Json:
    keep = field_filter(params, "customer", "status")
    wanted = params.text("subscription")
    rows = newest_first(world.table("invoice").values())
    return page("/v1/invoices", rows, params, lambda row: keep(row) and (not wanted or _is_for(row, wanted)))


def _is_for(invoice: Json, subscription: str) -> bool:
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    return bool(details.get("subscription") == subscription)


@routes.get("/v1/invoices/{invoice}")
def retrieve(world: World, params: Params, invoice: str) -> Json:
    return world.get("invoice", invoice)


@routes.list("/v1/invoices/{invoice}/lines")
def list_lines(world: World, params: Params, invoice: str) -> Json:
    return page(f"/v1/invoices/{invoice}/lines", world.get("invoice", invoice)["lines"]["data"], params)


@routes.post("/v1/invoices/{invoice}/pay", "payment_method")
def pay(world: World, params: Params, invoice: str) -> Json:
    """Pay now with the given card or the default card. Raises: `ApiError` 402 if the card is declined."""
    found = world.get("invoice", invoice)
    if found["status"] == "paid":
        raise invalid("Invoice is already paid", code="invoice_already_paid")
    if found["status"] == "draft":
        invoices.finalize(world, found)
    card = params.text("payment_method")
    method = world.get("payment_method", card, "payment_method", 400) if card else None
    paid = found["status"] == "paid" or invoices.pay(world, found, method)
    lifecycle.update_after_invoice(world, found)
    if not paid:
        intent = invoices.intent_of(world, found) or {}
        charge = payments.latest_charge(world, intent)
        raise declined(charge["id"] if charge else "", intent)
    return found


def _change(world: World, invoice: str, change: Callable[[World, Json], None]) -> Json:
    found = world.get("invoice", invoice)
    change(world, found)
    lifecycle.update_after_invoice(world, found)
    return found


@routes.post("/v1/invoices/{invoice}/void")
def void(world: World, params: Params, invoice: str) -> Json:
    return _change(world, invoice, invoices.void)


@routes.post("/v1/invoices/{invoice}/mark_uncollectible")
def mark_uncollectible(world: World, params: Params, invoice: str) -> Json:
    return _change(world, invoice, invoices.mark_uncollectible)


@routes.list("/v1/invoice_payments", "created", "invoice", "payment", "status")
def list_payments(world: World, params: Params) -> Json:
    keep = field_filter(params, "invoice", "status")
    asked = params.inner("payment")
    kind, intent = asked.text("type"), asked.text("payment_intent")
    rows = newest_first(world.table("invoice_payment").values())
    return page(
        "/v1/invoice_payments",
        rows,
        params,
        lambda row: (
            keep(row)
            and (kind is None or row["payment"]["type"] == kind)
            and (intent is None or row["payment"].get("payment_intent") == intent)
        ),
    )


@routes.get("/v1/invoice_payments/{payment}")
def retrieve_payment(world: World, params: Params, payment: str) -> Json:
    return world.get("invoice_payment", payment)
