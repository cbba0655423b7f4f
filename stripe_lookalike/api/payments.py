"""`/v1/payment_intents`, `/v1/charges`, `/v1/refunds`, `/v1/disputes`."""

from __future__ import annotations

from stripe_lookalike.domain import disputes, refunds
from stripe_lookalike.errors import Json
from stripe_lookalike.lists import filtered_page
from stripe_lookalike.params import Params
from stripe_lookalike.routes import Routes
from stripe_lookalike.world import World

routes = Routes()


@routes.list("/v1/payment_intents", "created", "customer")
def list_intents(world: World, params: Params) -> Json:
    return filtered_page("/v1/payment_intents", world.table("payment_intent").values(), params, "customer")


@routes.get("/v1/payment_intents/{intent}")
def retrieve_intent(world: World, params: Params, intent: str) -> Json:
    return world.get("payment_intent", intent)


@routes.list("/v1/charges", "created", "customer", "payment_intent")
def list_charges(world: World, params: Params) -> Json:
    return filtered_page("/v1/charges", world.table("charge").values(), params, "customer", "payment_intent")


@routes.get("/v1/charges/{charge}")
def retrieve_charge(world: World, params: Params, charge: str) -> Json:
    return world.get("charge", charge)


@routes.list("/v1/refunds", "charge", "created", "payment_intent")
def list_refunds(world: World, params: Params) -> Json:
    return filtered_page("/v1/refunds", world.table("refund").values(), params, "charge", "payment_intent")


@routes.post("/v1/refunds", "amount", "charge", "metadata", "payment_intent", "reason")
def create_refund(world: World, params: Params) -> Json:
    charge = refunds.charge_for(world, params.text("charge"), params.text("payment_intent"))
    reason = params.choice("reason", ("duplicate", "fraudulent", "requested_by_customer"))
    return refunds.refund(world, charge, params.integer("amount"), reason, params.metadata())


@routes.get("/v1/refunds/{refund}")
def retrieve_refund(world: World, params: Params, refund: str) -> Json:
    return world.get("refund", refund)


@routes.post("/v1/refunds/{refund}", "metadata")
def update_refund(world: World, params: Params, refund: str) -> Json:
    found = world.get("refund", refund)
    with world.changing(found, "refund.updated"):
        found["metadata"] = params.metadata(found["metadata"])
    return found


@routes.list("/v1/disputes", "charge", "created", "payment_intent")
def list_disputes(world: World, params: Params) -> Json:
    return filtered_page("/v1/disputes", world.table("dispute").values(), params, "charge", "payment_intent")


@routes.get("/v1/disputes/{dispute}")
def retrieve_dispute(world: World, params: Params, dispute: str) -> Json:
    return world.get("dispute", dispute)


@routes.post("/v1/disputes/{dispute}", "evidence", "metadata", "submit")
def answer_dispute(world: World, params: Params, dispute: str) -> Json:
    """Update a dispute. Evidence is submitted for good, except with `submit=false`."""
    found = world.get("dispute", dispute)
    found["metadata"] = params.metadata(found["metadata"])
    if params.given("evidence"):
        found["evidence"] = {**found["evidence"], **params.inner("evidence").values}
        if params.flag("submit", True):
            inquiry = found["status"].startswith("warning_")
            disputes.set_status(world, found, "warning_under_review" if inquiry else "under_review")
    return found


@routes.post("/v1/disputes/{dispute}/close")
def close_dispute(world: World, params: Params, dispute: str) -> Json:
    found = world.get("dispute", dispute)
    disputes.set_status(world, found, "lost")
    return found
