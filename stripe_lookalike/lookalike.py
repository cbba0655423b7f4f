"""The look-alike: the world and its delivery, faults, limits, keys and journal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stripe_lookalike.clock import Clock
from stripe_lookalike.delivery import Delivery
from stripe_lookalike.domain import catalogue, discounts
from stripe_lookalike.domain.endpoints import Webhook, register
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.faults import Faults, Limits, RateLimit
from stripe_lookalike.idempotency import IdempotencyKeys
from stripe_lookalike.journal import Journal
from stripe_lookalike.openapi_check import ParameterCheck
from stripe_lookalike.world import World


class Lookalike:
    """The components that the routes use."""

    def __init__(self, webhooks: Sequence[Webhook], clock_file: Path | None) -> None:
        self._clock_file = clock_file
        self._webhooks = list(webhooks)
        self.faults = Faults()
        self.rate_limit = RateLimit()
        self.journal = Journal()
        self.strict: ParameterCheck | None = None
        self.keys = IdempotencyKeys()
        self.world = World(Clock(offset_file=self._clock_file))
        self.delivery = Delivery(self.world)
        self.reset()

    def reset(self) -> None:
        """Restore the initial state: a new world with the first catalogue and endpoints. `strict` stays."""
        self.faults.set(None)
        self.rate_limit.set(Limits())
        self.journal.clear()
        self.keys = IdempotencyKeys()
        self.world = World(Clock(offset_file=self._clock_file))
        self.delivery.attach(self.world)
        catalogue.seed(self.world)
        discounts.seed(self.world)
        for webhook in self._webhooks:
            register(self.world, webhook)

    def set_openapi(self, openapi: Json | None) -> None:
        """Check parameters against this OpenAPI description from now on; `None` ends the checks."""
        if openapi is not None and "paths" not in openapi:
            raise invalid("The body is not an OpenAPI description: it has no paths.")
        self.strict = ParameterCheck(openapi) if openapi else None
