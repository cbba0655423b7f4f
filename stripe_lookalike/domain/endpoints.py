"""Webhook endpoints: URL, event types, API version and signing secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stripe_lookalike import ids
from stripe_lookalike.errors import Json
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World


@dataclass(frozen=True)
class Webhook:
    """An endpoint to register. An `api_version` before basil gets the old shapes; without one, the newest."""

    url: str
    secret: str
    api_version: str | None = None
    enabled_events: Sequence[str] = ("*",)


def register(world: World, webhook: Webhook) -> Json:
    """Add an endpoint, which gets the events from now on."""
    endpoint = blank(
        "webhook_endpoint",
        id=ids.new("we_1"),
        created=world.now(),
        api_version=webhook.api_version,
        enabled_events=list(webhook.enabled_events),
        url=webhook.url,
    )
    endpoint["_secret"] = webhook.secret
    return world.add(endpoint)
