"""`/v1/account`: the look-alike's only account."""

from __future__ import annotations

from stripe_lookalike.errors import Json
from stripe_lookalike.params import Params
from stripe_lookalike.routes import Routes
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World

routes = Routes()


@routes.get("/v1/account")
def retrieve(world: World, params: Params) -> Json:
    return blank("account")
