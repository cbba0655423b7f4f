"""`/v1/account`: the one account there is."""

from __future__ import annotations

from service.demo.stripe.errors import Json
from service.demo.stripe.params import Params
from service.demo.stripe.routes import Routes
from service.demo.stripe.shapes import blank
from service.demo.stripe.world import World

routes = Routes()


@routes.get("/v1/account")
def retrieve(world: World, params: Params) -> Json:
    return blank("account")
