"""`/v1/billing_portal/sessions`."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.domain import customers
from stripe_lookalike.errors import Json
from stripe_lookalike.params import Params, http_url
from stripe_lookalike.routes import Routes
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World

routes = Routes()


@routes.post("/v1/billing_portal/sessions", "configuration", "customer", "locale", "return_url")
def create(world: World, params: Params) -> Json:
    customer = customers.existing(world, params.required("customer"))
    session_id = ids.new("bps_1")
    session = blank(
        "portal_session",
        id=session_id,
        created=world.now(),
        customer=customer["id"],
        locale=params.text("locale"),
        return_url=http_url(params, "return_url"),
        url=f"{world.cause.base_url}/p/session/{session_id}",
    )
    return world.add(session)
