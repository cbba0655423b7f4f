"""`/v1/billing_portal/sessions`."""

from __future__ import annotations

from service.demo.stripe import ids
from service.demo.stripe.domain import customers
from service.demo.stripe.errors import Json
from service.demo.stripe.params import Params, web_address
from service.demo.stripe.routes import Routes
from service.demo.stripe.shapes import blank
from service.demo.stripe.world import World

routes = Routes()


@routes.post("/v1/billing_portal/sessions", "configuration", "customer", "locale", "return_url")
def create(world: World, params: Params) -> Json:
    customer = customers.living(world, params.required("customer"))
    session_id = ids.new("bps_1")
    session = blank(
        "portal_session",
        id=session_id,
        created=world.now(),
        customer=customer["id"],
        locale=params.text("locale"),
        return_url=web_address(params, "return_url"),
        url=f"{world.cause.base_url}/p/session/{session_id}",
    )
    return world.add(session)
