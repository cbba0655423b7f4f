"""`/v1/webhook_endpoints`. Only the response to the creation has the secret."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.domain.endpoints import Webhook, register
from stripe_lookalike.errors import Json
from stripe_lookalike.lists import newest_first, page
from stripe_lookalike.params import Params, http_url
from stripe_lookalike.routes import Routes
from stripe_lookalike.world import World

routes = Routes()


@routes.list("/v1/webhook_endpoints")
def list_endpoints(world: World, params: Params) -> Json:
    return page("/v1/webhook_endpoints", newest_first(world.table("webhook_endpoint").values()), params)


@routes.post("/v1/webhook_endpoints", "api_version", "connect", "description", "enabled_events", "metadata", "url")
def create(world: World, params: Params) -> Json:
    secret = "whsec_" + ids.letters(32)
    url = http_url(params, "url") or params.required("url")
    webhook = Webhook(url, secret, params.text("api_version"), _events(params))
    endpoint = register(world, webhook)
    endpoint.update(description=params.text("description"), metadata=params.metadata())
    return {**endpoint, "secret": secret}


def _events(params: Params) -> list[str]:
    events = params.texts("enabled_events")
    if not events:
        raise params.missing_error("enabled_events")
    return events


@routes.get("/v1/webhook_endpoints/{endpoint}")
def retrieve(world: World, params: Params, endpoint: str) -> Json:
    return world.get("webhook_endpoint", endpoint)


@routes.post("/v1/webhook_endpoints/{endpoint}", "description", "disabled", "enabled_events", "metadata", "url")
def update(world: World, params: Params, endpoint: str) -> Json:
    found = world.get("webhook_endpoint", endpoint)
    found["url"] = http_url(params, "url") or found["url"]
    found["description"] = params.text("description") or found["description"]
    found["metadata"] = params.metadata(found["metadata"])
    if params.given("enabled_events"):
        found["enabled_events"] = _events(params)
    if params.given("disabled"):
        found["status"] = "disabled" if params.flag("disabled") else "enabled"
    return found


@routes.delete("/v1/webhook_endpoints/{endpoint}")
def delete(world: World, params: Params, endpoint: str) -> Json:
    world.get("webhook_endpoint", endpoint)
    del world.table("webhook_endpoint")[endpoint]
    return {"id": endpoint, "object": "webhook_endpoint", "deleted": True}
