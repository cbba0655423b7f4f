"""One look-alike: its world, and what stands around it. A reset gives it a new world."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stripe_lookalike.clock import Clock
from stripe_lookalike.delivery import Delivery
from stripe_lookalike.domain import catalogue
from stripe_lookalike.domain.endpoints import Webhook, register
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.faults import Faults, Limits, RateLimit
from stripe_lookalike.idempotency import IdempotencyKeys
from stripe_lookalike.journal import Journal
from stripe_lookalike.openapi_check import ParameterCheck
from stripe_lookalike.world import World


class Lookalike:
    """What the routes work with."""

    def __init__(
        self, seed_catalog: bool, webhooks: Sequence[Webhook], openapi: Json | None, clock_file: Path | None = None
    ) -> None:
        self._seed_catalog = seed_catalog
        self._clock_file = clock_file
        self._webhooks = list(webhooks)
        self.faults = Faults()
        self.rate_limit = RateLimit()
        self.journal = Journal()
        self.strict = ParameterCheck(openapi) if openapi else None
        self.keys = IdempotencyKeys()
        self.world = World(Clock(told=self._clock_file))
        self.delivery = Delivery(self.world)
        self.reset()

    def reset(self, seed_catalog: bool | None = None) -> None:
        """As at the start: catalogue and endpoints of the start, the wall's time, nothing else. `strict` stays."""
        seed = self._seed_catalog if seed_catalog is None else seed_catalog
        self.faults.set([])
        self.rate_limit.set(Limits())
        self.journal.clear()
        self.keys = IdempotencyKeys()
        self.world = World(Clock(told=self._clock_file))
        self.delivery.watch(self.world)
        if seed:
            catalogue.seed(self.world)
        for webhook in self._webhooks:
            register(self.world, webhook)

    def be_strict(self, openapi: Json | None) -> None:
        """Refuse from now on what this description does not allow; `None`: no longer."""
        if openapi is not None and "paths" not in openapi:
            raise invalid("That is no OpenAPI description: it has no paths.")
        self.strict = ParameterCheck(openapi) if openapi else None
