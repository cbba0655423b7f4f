"""Trials: who may still have one, and who got a second."""

from __future__ import annotations

from service.adapters.redis.readers.history import ReaderHistory
from service.adapters.redis.reporting.alert_flags import AlertStore
from service.domain.catalogue import Catalogue
from service.domain.prices import HeldPrice
from service.domain.sources import Item, Subscription


class Trials:
    """Knows which plans readers held by a subscription, under any merged ID. Raises: StoreUnavailable."""

    def __init__(self, catalogue: Catalogue, past: ReaderHistory, alert_store: AlertStore) -> None:
        self._catalogue = catalogue
        self._past = past
        self._alert_store = alert_store

    def has_held(self, reader: str, plan: str) -> bool:
        """Return whether the reader ever held the plan by a subscription that was trialing or active."""
        return any(self._plan_of(held) == plan for held in self._past.held_prices(reader))

    def note_second(self, reader: str, trial: Subscription, now: float) -> None:
        """Note the later trial where the reader held its plan by another subscription: two sessions were open at once.

        Events can arrive in any order, so the one that was created later counts as the second.
        """
        plans = {
            plan for item in trial.items if (plan := self._plan_of(item)) and self._catalogue.plans[plan].trial_days
        }
        if not plans or trial.role != "subscription":
            return
        others = [h for h in self._past.held_prices(reader) if h.subscription != trial.id and self._plan_of(h) in plans]
        is_first = all((trial.created, trial.id) < (other.created, other.subscription) for other in others)
        second = {other.subscription for other in others} if is_first else {trial.id}
        self._alert_store.add_objects("trials", [f"subscription:{name}" for name in second], now)

    def _plan_of(self, line: Item | HeldPrice) -> str | None:
        plan = self._catalogue.plan_for(line.price, line.lookup_key, line.product)
        return plan.id if plan else None
