"""A reader's profile at a moment: features, sources, customers and meters.

The present and the future are what holds if nothing changes. The past is what was known then, from the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.adapters.redis.client.store import Store
from service.adapters.redis.readers import meters
from service.adapters.redis.readers.history import ReaderHistory
from service.adapters.redis.readers.readers import Readers
from service.domain.catalogue import Catalogue, MeterPolicy
from service.domain.decision import Entitlements, resolve_entitlements
from service.domain.meter import MeterStanding, MeterUse
from service.domain.sources import Holding, Source, Standing
from service.domain.times import LAST_WINDOW


@dataclass(frozen=True, slots=True)
class HeldFeature:
    """A feature that a reader holds, and the holding that keeps it longest."""

    feature: str
    holding: Holding


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source's holding by one plan, and its state at the profile's moment."""

    holding: Holding
    status: str
    standing: Standing

    @property
    def reason(self) -> str | None:
        """Return the admin's reason of a grant; of other sources the reason code that they open stories with."""
        holding = self.holding
        return holding.grant_reason if holding.type == "grant" else holding.reason and holding.reason.value


@dataclass(frozen=True, slots=True)
class ReaderProfile:
    """A reader at a moment. `sources` are all that are kept, active ones first."""

    reader: str
    features: Sequence[HeldFeature]
    sources: Sequence[SourceState]
    customers: Sequence[str]
    meters: Sequence[MeterStanding]

    @property
    def access(self) -> bool:
        """Return whether the reader holds any feature."""
        return bool(self.features)


@dataclass(frozen=True, slots=True)
class HeldPlan:
    """A plan that a reader holds, as their account page shows it.

    `until` is the latest end of its sources, `None` without an end. Where a subscription `renews`, it is the period's
    end without the leeway.
    """

    plan: str
    name: str
    until: int | None
    renews: bool


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """What a reader may see of their own access: no reasons, no actors."""

    features: Sequence[str]
    plans: Sequence[HeldPlan]


class ReaderProfiles:
    """Builds profiles of readers. Raises: StoreUnavailable from every method."""

    def __init__(self, catalogue: Catalogue, store: Store, readers: Readers) -> None:
        self._catalogue = catalogue
        self._readers = readers
        self.past = ReaderHistory(store)

    def load_profile(self, reader: str, at: float | None, now: float) -> ReaderProfile:
        """Return the profile at a moment, or now for `None`; of a merged reader it is that of the reader who stays."""
        at = now if at is None else at
        name = self._readers.resolve_merged(reader)
        holdings = [h for source in self.list_sources(name, at, now) for h in source.holdings(self._catalogue)]
        held = resolve_entitlements(holdings, self._catalogue.features, at)
        holdings.sort(key=lambda holding: (not holding.is_active_at(at), holding.type, holding.id, holding.plan or ""))
        return ReaderProfile(
            reader,
            [HeldFeature(feature, holding) for feature, holding in held.by_feature.items()],
            [SourceState(holding, holding.status_at(at), holding.standing_at(at)) for holding in holdings],
            self._readers.list_customers(name),
            self._meters(name, held, min(max(at, now), LAST_WINDOW)) if at >= int(now) else (),
        )

    def load_summary(self, reader: str, now: float) -> AccountSummary:
        """Return what the reader's own account page shows now; of a merged reader, what the reader who stays holds."""
        holdings = self._readers.load_holdings(self._readers.resolve_merged(reader), self._catalogue)
        held = resolve_entitlements(holdings, self._catalogue.features, now)
        active = [holding for holding in holdings if holding.is_active_at(now)]
        plans = []
        for plan in self._catalogue.plans.values():
            if opening := [holding for holding in active if holding.plan == plan.id]:
                ends = [self._visible_end(holding) for holding in opening]
                until = None if None in ends else max(end for end in ends if end is not None)
                plans.append(HeldPlan(plan.id, plan.name, until, any(holding.renews for holding in opening)))
        return AccountSummary(list(held.by_feature), plans)

    def _visible_end(self, holding: Holding) -> int | None:
        if holding.until is None or not holding.renews:
            return holding.until
        return holding.until - self._catalogue.leeway

    def list_sources(self, reader: str, at: float, now: float) -> list[Source]:
        """Return a reader's sources at a moment: a past one from history, another one as if nothing changes."""
        # The contract writes whole seconds, so a moment of the current second is not past.
        if at < int(now):
            return self.past.sources_at(reader, at)
        return self._readers.load_all(reader)

    def _meters(self, reader: str, held: Entitlements, at: float) -> list[MeterStanding]:
        uses = self.load_meter_uses(list(self._catalogue.meters.values()), reader, at)
        return [found for use in uses if (found := use.standing(held.meter_limit(use.policy, at))) is not None]

    def load_meter_uses(
        self, policies: Sequence[MeterPolicy], reader: str, at: float, story: bytes = b""
    ) -> list[MeterUse]:
        """Return what counts for a reader in these meters at a moment, with respect to the story with this mark."""
        frames = [meters.frame_at(policy, at) for policy in policies]
        stored = self._readers.load_meters(reader, [frame.code for frame in frames])
        return [
            MeterUse(frame.policy, frame.window, story, meters.unpack(frame, value), None)
            for frame, value in zip(frames, stored, strict=True)
        ]
